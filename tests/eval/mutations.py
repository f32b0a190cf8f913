"""Mutation run: break the metrics on purpose, one way at a time, and show that the tests notice.

    python tests/eval/mutations.py [WORD ...]     only mutations whose name contains a word

Each mutation is one textual change in a private copy of the sources; the tests of the metrics, the taxonomy and the
command then run against the copy: first those that mirror the changed file, then, when they notice nothing, all of
them. A mutation that no test notices is a hole in the tests, and the exit code is 1.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("mllm", "eval", "data_recipes")
TESTS = ("tests/eval/metrics", "tests/mllm/taxonomy/test_wheels.py", "tests/cuewise/commands/test_score.py")


class Mutation(NamedTuple):
    what: str
    file: str
    old: str
    new: str


MUTATIONS = (
    Mutation("NaN becomes 0 (F undefined)", "eval/metrics/ew.py",
             'NAN if profile == "affectgpt2025" else 0.0', "0.0"),
    Mutation("NaN becomes 0 (nothing scored)", "eval/metrics/ew.py",
             'zero = 0.0 if profile == "mer2026" else NAN', "zero = 0.0"),
    Mutation("NaN wheel left out of the mean", "eval/metrics/base.py",
             "numbers = list(values)", "numbers = [v for v in values if v == v]"),
    Mutation("two wheels swapped", "mllm/taxonomy/wheels.py",
             'wheel, core, rows = line.split("|")', 'wheel, core, rows = line.split("|"); '
             'wheel = {"2": "4", "4": "2"}.get(wheel, wheel)'),
    Mutation("hits clipped to 1", "eval/metrics/hits.py",
             "hits.append((g & p).bit_count())", "hits.append(min(1, (g & p).bit_count()))"),
    Mutation("case kept", "mllm/taxonomy/wheels.py", "return label.lower().strip()", "return label.strip()"),
    Mutation("labels not trimmed", "mllm/taxonomy/wheels.py", "return label.lower().strip()", "return label.lower()"),
    Mutation("last wheel word decides", "mllm/taxonomy/wheels.py",
             "first[candidates & -candidates]", "first[1 << candidates.bit_length() - 1]"),
    Mutation("first place of a repeated word wins", "mllm/taxonomy/wheels.py",
             "inner[word], outer[word] = core, middle",
             "inner.setdefault(word, core), outer.setdefault(word, middle)"),
    Mutation("fear repaired in the 2025 profile", "mllm/taxonomy/wheels.py",
             'drop_2026=profile != "affectgpt2025"', "drop_2026=True"),
    Mutation("empty ground truth scores 0", "eval/metrics/ew.py",
             "samples.append(None)", "samples.append((0.0, 0.0))"),
    Mutation("empty prediction is skipped", "eval/metrics/ew.py",
             "if hits else (0.0, 0.0))", "if hits else (0.0, 0.0) if p else None)"),
    Mutation("F per sample, then averaged", "eval/metrics/ew.py",
             "len(scored), precision, recall, f_of(precision, recall,",
             "len(scored), precision, recall, mean(f_of(*s) for s in scored) if scored else f_of(precision, recall,"),
    Mutation("precision and recall swapped", "eval/metrics/ew.py",
             "(hits / p.bit_count(), hits / g.bit_count())", "(hits / g.bit_count(), hits / p.bit_count())"),
    Mutation("neutral scored as published", "eval/metrics/hits.py",
             "return not labels or \"neutral\" in labels", "return not labels"),
    Mutation("mscore candidates lower-cased", "eval/metrics/hits.py",
             "table.value(raw, field.metric_id)", "table.value(raw.lower().strip(), field.metric_id)"),
    Mutation("brackets stripped everywhere", "eval/metrics/labels.py",
             "return text.replace(\"'\", \",\")", "return text.strip(\"[] \").replace(\"'\", \",\")"),
    Mutation("prefixes removed repeatedly", "eval/metrics/labels.py",
             "text = text.removeprefix(prefix)",
             "text = text.removeprefix(prefix).removeprefix(prefix)"),
    Mutation("neutral sentiment dropped", "eval/metrics/sentiment.py",
             "zip(scores, pred) if score != 0]", "zip(scores, pred) if score != 0 and _word(word)]"),
    Mutation("zero scores kept", "eval/metrics/sentiment.py", "if score != 0]", "]"),
    Mutation("weighted F1 unweighted", "eval/metrics/classification.py",
             "sum(n * f1 for n, f1 in zip(self.support, self.f1s))",
             "sum(self.n / len(self.f1s) * f1 for f1 in self.f1s)"),
    Mutation("NaN checkpoint ignored", "eval/metrics/unibench.py",
             "return math.nan if any(map(math.isnan, scores)) else max(scores)",
             "return max((s for s in scores if s == s), default=math.nan)"),
    Mutation("worst checkpoint taken", "eval/metrics/unibench.py", "else max(scores)", "else min(scores)"),
    Mutation("unanswered samples dropped", "eval/metrics/classification.py",
             "other[index[g]] += 1", "pass"),
    Mutation("last confidence bin open", "eval/metrics/calibration.py",
             "min(int(sure * bins), bins - 1)", "int(sure * bins)"),
    Mutation("floor without shuffling", "eval/metrics/emocue.py", "np.roll(order, 1)", "order"),
    Mutation("strict matching not one-to-one", "eval/metrics/emocue.py",
             "return int((similarity[rows, columns] >= threshold).sum())",
             "return int((similarity.max(0) >= threshold).sum())"),
    Mutation("duplicate ids accepted", "eval/scoring.py", "!= number:", "!= number and False:"),
    Mutation("output written in place", "cuewise/commands/score.py",
             "handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f\".{path.name}.\")",
             "temporary = str(path); handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)"),
)  # fmt: skip


def main() -> int:
    chosen = [m for m in MUTATIONS if not sys.argv[1:] or any(word in m.what for word in sys.argv[1:])]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        baseline = run_tests(fresh_copy(copy))
        if baseline is not None:
            print(f"the tests fail without any mutation: {baseline}")
            return 1
        for mutation in chosen:
            package = fresh_copy(copy)
            file = package / mutation.file.removeprefix("cuewise/")
            text = file.read_text(encoding="utf-8")
            if text.count(mutation.old) != 1:
                print(f"{mutation.what}: the text to change stands {text.count(mutation.old)} times in {mutation.file}")
                return 1
            file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
            noticed = run_tests(package, near_tests(mutation.file)) or run_tests(package)
            survivors += noticed is None
            print(f"{'SURVIVED' if noticed is None else 'noticed '}  {mutation.what:40} {noticed or ''}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutations noticed")
    return 1 if survivors else 0


def fresh_copy(folder: Path) -> Path:
    """The package as one tree, `cuewise/eval` and so on, which hides the installed one when it is first on the path."""
    package = folder / "cuewise"
    shutil.rmtree(package, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__", "pretrained")
    shutil.copytree(ROOT / "cuewise", package, ignore=ignore)
    for room in ROOMS:
        shutil.copytree(ROOT / room, package / room, ignore=ignore)
    return package


def near_tests(file: str) -> list[str]:
    """The tests that mirror a source file, and the published vectors where a metric or a table was changed."""
    path = Path(file)
    near = [f"tests/{path.parent}/test_{path.stem}.py", "tests/eval/metrics/test_vectors.py"]
    return [test for test in near if (ROOT / test).is_file()]


def run_tests(package: Path, tests: Sequence[str] = TESTS) -> str | None:
    """First failing test against the copy; None when all pass."""
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "--tb=no", "-rf", f"--rootdir={ROOT}",
               "-c", str(ROOT / "pyproject.toml"), *(str(ROOT / test) for test in tests)]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(command, cwd=package.parent, env=environment, capture_output=True, text=True)
    if run.returncode == 0:
        return None
    failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split("::", 1)[-1][:70] if failed else run.stdout[-200:]


if __name__ == "__main__":
    sys.exit(main())
