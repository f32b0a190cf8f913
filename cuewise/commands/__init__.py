"""The commands, one file each with `add_arguments(parser)` and `run(args) -> exit code`.

This table is all that `cuewise --help` reads: a command's file is imported only when that command is called.
"""

COMMANDS = {
    "analyze": "report emotions, cues and evidence for clips, a folder of clips, or words",
    "demo": "make a clip without any outside file, analyze it and write a page",
    "schema": "print the JSON schema of a report",
    "score": "score a file of predictions with the exact metrics",
    "eval": "run a whole suite through a system, with results and a report",
    "data": "make, convert and examine training data",
    "train": "train a model from a recipe",
    "plan": "say what training a recipe needs: parameters, memory, time",
    "serve": "answer requests over HTTP, in the OpenAI form and our own",
}
