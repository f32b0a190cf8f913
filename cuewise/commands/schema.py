"""`cuewise schema report`: the JSON schema that every report of this version validates against."""

import argparse
import json

from cuewise.errors import EXIT_OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be asked for: the report is the one public document so far."""
    parser.add_argument(
        "what", choices=["report"], help="which document: the report that `cuewise analyze --json` writes"
    )


def run(args: argparse.Namespace) -> int:
    """Print the schema (JSON Schema, draft 2020-12)."""
    from cuewise.mllm.report import EmotionReport

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | EmotionReport.model_json_schema()
    print(json.dumps(schema, indent=2, ensure_ascii=False))
    return EXIT_OK
