"""Is a run that was killed the same run? `kill -9` in the middle of 2,000 samples, resume, compare bytes.

    python benchmarks/eval_resume.py [--samples 2000] [--kills 3] [--system nano]

Texts are made on the spot, so nothing but the shipped model is needed. One run goes undisturbed; another is killed
`--kills` times after random parts of it, resumed each time, and must end with the same `results.json`, byte for byte,
having answered every sample once. Exit code 1 when it does not.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SENTENCES = {
    "happy": ("I am so glad you came", "we won the final", "what a lovely surprise"),
    "sad": ("I miss him every day", "nobody came to say goodbye", "we lost everything in the fire"),
    "angry": ("how dare you open my letters", "stop lying to me", "this is the third time you are late"),
    "fearful": ("there is someone behind the door", "please do not leave me alone here", "I heard steps in the attic"),
    "neutral": ("the meeting begins at ten", "the blue folder is on the desk", "we take the second road on the left"),
}
SUITE = """\
title: Texts made for the resume benchmark
about: Five emotions in words.
datasets:
  texts:
    source: {rows: rows.jsonl}
    truth: label
    form: direct
    classes: [happy, sad, angry, fearful, neutral]
    metrics: [uar, war, hit_rate, ew_level1, calibration, well_formed]
primary: {dataset: texts, metric: uar}
"""


def write_task(folder: Path, count: int) -> Path:
    """Suite and rows."""
    rng = random.Random(0)
    rows = folder / "data" / "texts" / "rows.jsonl"
    rows.parent.mkdir(parents=True)
    with rows.open("w") as out:
        for i in range(count):
            label = rng.choice(list(SENTENCES))
            text = f"{rng.choice(SENTENCES[label])}, {rng.choice(['really', 'I say', 'you know', 'and'])} {i}."
            out.write(json.dumps({"id": f"t{i:05d}", "corpus": "texts", "transcript": text, "labels": [label]}) + "\n")
    suite = folder / "texts.yaml"
    suite.write_text(SUITE)
    return suite


def start(suite: Path, out: Path, system: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "cuewise", "eval", str(suite), "--data", str(suite.parent / "data"),
               "--system", system, "--out", str(out)]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def answered(out: Path) -> int:
    journal = out / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def kill_at(process: subprocess.Popen, out: Path, wanted: int) -> int:
    """Kill -9 once `wanted` samples are answered; returns how many then were."""
    while process.poll() is None and answered(out) < wanted:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return answered(out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--system", default="nano")
    args = parser.parse_args()
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        suite = write_task(folder, args.samples)
        began = time.perf_counter()
        if start(suite, folder / "whole", args.system).wait():
            print("the undisturbed run failed")
            return 1
        seconds = time.perf_counter() - began
        points = sorted(rng.randrange(1, args.samples - 32) for _ in range(args.kills))
        reached = [kill_at(start(suite, folder / "killed", args.system), folder / "killed", at) for at in points]
        if start(suite, folder / "killed", args.system).wait():
            print("the resumed run failed")
            return 1
        lines = [json.loads(line) for line in (folder / "killed/journal.jsonl").read_text().splitlines()]
        once = len({line["id"] for line in lines}) == len(lines) == args.samples
        same = (folder / "killed/results.json").read_bytes() == (folder / "whole/results.json").read_bytes()
    print(f"undisturbed: {args.samples} samples in {seconds:.1f} s")
    print(f"killed after {', '.join(map(str, reached))} answers")
    print(f"every sample answered once: {once}; results.json identical: {same}")
    print(json.dumps({"samples": args.samples, "killed_after": reached, "once": once, "identical": same}))
    return 0 if once and same else 1


if __name__ == "__main__":
    sys.exit(main())
