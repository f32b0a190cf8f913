"""The one-way doors between the folders, read from the import statements themselves."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("mllm", "data_recipes", "train", "eval", "serve")
MAY_IMPORT = {
    "mllm": set(),
    "data_recipes": {"mllm"},
    "eval": {"mllm", "data_recipes"},
    "train": {"mllm", "data_recipes", "eval"},
    "serve": {"mllm"},
}
HEAVY = ("torch", "transformers", "cv2", "av", "decord", "scipy", "numpy", "pydantic", "datasets", "tqdm")


def module_name(path: Path) -> str:
    """`mllm/media/types.py` -> `cuewise.mllm.media.types`; a package is named like its folder."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[0] != "cuewise":
        parts.insert(0, "cuewise")
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


SOURCES = {module_name(p): p for folder in ("cuewise", *ROOMS) for p in sorted((ROOT / folder).rglob("*.py"))}


def imports(module: str) -> Iterator[str]:
    """Dotted names that a module imports anywhere, functions included, save for type checking alone."""
    tree = ast.parse(SOURCES[module].read_text(encoding="utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in node.body
        for inner in ast.walk(child)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(module, node)
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in SOURCES else base


def absolute(module: str, node: ast.ImportFrom) -> str:
    """The whole name that a `from … import` statement refers to, leading dots resolved."""
    if node.level == 0:
        return node.module
    package = module.split(".") if SOURCES[module].name == "__init__.py" else module.split(".")[:-1]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def room_of(module: str) -> str | None:
    """The room of a module, `front` for the front door, None for what is not ours."""
    parts = module.split(".")
    if parts[0] != "cuewise":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else "front"


def test_the_readers_of_this_test_see_the_whole_house():
    assert {"cuewise.__main__", "cuewise.mllm.report", "cuewise.data_recipes.schema"} <= set(SOURCES)
    assert "cuewise.mllm.report" in set(imports("cuewise.mllm.clip"))
    assert room_of("cuewise.mllm.report") == "mllm" and room_of("cuewise.wording") == "front" and room_of("ast") is None


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_through_its_doors(room):
    allowed = MAY_IMPORT[room] | {room, None}
    wrong = [
        f"{module} imports {name}"
        for module in SOURCES
        if room_of(module) == room
        for name in imports(module)
        if room_of(name) not in allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_rooms_are_imported_as_parts_of_cuewise_never_bare():
    files = [*SOURCES.values(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    files += (ROOT / "examples").rglob("*.py")
    wrong = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            wrong += [f"{path.relative_to(ROOT)}: {n}" for n in names if n.split(".")[0] in ROOMS]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", [*ROOMS, "front"])
def test_files_of_a_folder_form_no_circle(room):
    graph = {
        module: {name for name in imports(module) if name in SOURCES and name != module and room_of(name) == room}
        for module in SOURCES
        if room_of(module) == room
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, "circle: " + " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for name in sorted(graph[module]):
                visit(name, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def heavy_modules_after(code: str) -> list[str]:
    """Which heavy modules a fresh interpreter has loaded after running `code`."""
    probe = f"import sys\n{code}\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return ast.literal_eval(done.stdout.splitlines()[-1])


def test_help_loads_nothing_heavy():
    assert heavy_modules_after("from cuewise.__main__ import main; main(['--help'])") == []


def test_importing_cuewise_loads_nothing_heavy_and_its_names_are_there():
    assert heavy_modules_after("import cuewise; cuewise.__version__") == []
    assert "torch" not in heavy_modules_after("import cuewise; cuewise.Clip, cuewise.EmotionReport, cuewise.analyze")


@pytest.mark.parametrize("command", ["schema report", "score --help", "analyze --help", "analyze --text x --audio y"])
def test_light_commands_load_no_torch(command):
    assert "torch" not in heavy_modules_after(f"from cuewise.__main__ import main; main({command.split()!r})")


def test_reports_clips_and_claims_load_without_torch():
    for module in ("report", "clip", "taxonomy", "media", "evidence.claims"):
        assert "torch" not in heavy_modules_after(f"import cuewise.mllm.{module}"), module
