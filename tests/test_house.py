"""The rules of the house: sizes, words without a place, declared packages, shipped data, links that lead somewhere."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("cuewise", "mllm", "data_recipes", "train", "eval", "serve", "tests", "benchmarks", "examples")
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
DATA_SUFFIXES = (".yaml", ".json", ".jsonl", ".safetensors", ".txt", ".md", ".html", ".css", ".js", ".npz", ".csv")
DISTRIBUTION = {
    "PIL": "pillow", "av": "av", "cv2": "opencv-python-headless", "decord": "decord2", "sklearn": "scikit-learn",
    "yaml": "pyyaml", "qwen_vl_utils": "qwen-vl-utils",
}  # fmt: skip
"""Import name -> name of the distribution, where they differ."""
BY_CHOICE = {"vllm", "flash_attn_interface"}
"""Used where a user has them: vLLM pins other versions and lives in an environment of its own, and FlashAttention 3 is
in no package index."""
PEERS = {"benchmarks/"}
"""Folders that compare with other packages, which they name themselves and may find absent."""


def tracked(*suffixes: str) -> list[Path]:
    """Files under version control (or all files, in a checkout without it) with one of the endings."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    names = done.stdout.split("\0") if done.returncode == 0 else []
    paths = [ROOT / name for name in names if name] or [p for f in FOLDERS for p in (ROOT / f).rglob("*")]
    return [p for p in paths if p.is_file() and (not suffixes or p.suffix in suffixes)]


def test_no_file_is_longer_than_the_budget():
    lengths = {str(p.relative_to(ROOT)): len(p.read_text(encoding="utf-8").splitlines()) for p in tracked(".py")}
    long = {name: lines for name, lines in lengths.items() if lines > MAX_LINES}
    assert not long, f"split by concept: {long}"


def test_no_function_is_longer_than_the_budget():
    long = []
    for path in tracked(".py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} ({lines} lines)")
    assert not long, "\n".join(long)


# Written so that this file does not contain what it looks for.
ABSOLUTE_PATH = re.compile(
    r"(?<![\w./<~-])/(?:" + "|".join(("work", "home/[a-z]", "root", "Users", "mnt")) + r")/[\w.]"
)
UNFINISHED = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME")) + r")\b|(?:#|//)\s*XX" + r"X\b")


def test_no_path_of_one_machine_and_nothing_left_for_later():
    wrong = []
    for path in tracked(".py", ".md", ".toml", ".yaml", ".html", ".css", ".js", ".sh", ""):
        if path.name in ("LICENSE", "NOTICE") or "tests/data" in path.as_posix():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if ABSOLUTE_PATH.search(line) or UNFINISHED.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not wrong, "\n".join(wrong)


def top_imports(path: Path) -> set[str]:
    """First parts of all names that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def test_every_imported_package_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    declared = {re.split(r"[\[<>=~!; ]", line)[0].lower() for line in lines}
    missing = set()
    for path in tracked(".py"):
        name = path.relative_to(ROOT).as_posix()
        if any(name.startswith(folder) for folder in PEERS):
            continue
        for top in top_imports(path) - set(sys.stdlib_module_names) - {"cuewise"} - BY_CHOICE:
            beside = (ROOT / "tests" / f"{top}.py").exists() or (path.parent / f"{top}.py").exists()
            if not beside and DISTRIBUTION.get(top, top).lower().replace("_", "-") not in declared:
                missing.add(f"{name}: {top}")
    assert not missing, "declare in pyproject.toml: " + ", ".join(sorted(missing))


def test_constraints_pin_everything_that_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["train"], *extras["eval"], *extras["dev"]]
    declared = {re.split(r"[\[<>=~!; ]", line)[0].lower() for line in lines} - {"cuewise", "setuptools"}
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+", pin) for pin in pins), pins
    assert declared <= {pin.split("==")[0].lower().replace("_", "-") for pin in pins}


def test_a_build_carries_the_data_files_of_every_room(tmp_path):
    pytest.importorskip("setuptools")
    build = [sys.executable, "setup.py", "-q", "egg_info", "-e", str(tmp_path), "build_py", "-d", str(tmp_path / "lib")]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    built = {p.relative_to(tmp_path / "lib").as_posix() for p in (tmp_path / "lib").rglob("*") if p.is_file()}
    wanted = set()
    for path in tracked(".py", *DATA_SUFFIXES):
        parts = path.relative_to(ROOT).parts
        if parts[0] == "cuewise":
            wanted.add("/".join(parts))
        elif parts[0] in ("mllm", "data_recipes", "train", "eval", "serve"):
            wanted.add("/".join(("cuewise", *parts)))
    assert "cuewise/page/page.html" in wanted
    assert not wanted - built, sorted(wanted - built)
    assert not [name for name in built if "__pycache__" in name]


LINK = re.compile(r"(?<!\!)!?\[[^\]\n]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#+\s+(.*?)\s*#*$", re.MULTILINE)


def anchor(heading: str) -> str:
    """A heading as the anchor that repository hosts make of it."""
    bare = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", bare).strip().replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """All anchors of a page."""
    return {anchor(heading) for heading in HEADING.findall(page.read_text(encoding="utf-8"))}


def test_every_link_between_the_pages_leads_somewhere():
    broken = []
    for page in tracked(".md"):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in LINK.findall(text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, part = target.partition("#")
            other = (page.parent / name).resolve() if name else page
            if not other.exists():
                broken.append(f"{page.relative_to(ROOT)} -> {target}")
            elif part and other.suffix == ".md" and part not in anchors(other):
                broken.append(f"{page.relative_to(ROOT)} -> {target} (no such heading)")
    assert not broken, "\n".join(broken)


def test_the_continuous_check_runs_what_the_readme_says():
    script = (ROOT / ".ci" / "run").read_text()
    assert "set -euo pipefail" in script
    assert script.rstrip().splitlines()[-1].startswith("make test")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme and "make test" in readme
