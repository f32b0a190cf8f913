"""MAFW: clips in the wild, eleven single emotions in five folds, eleven annotators.

Original release: ``Train & Test Set/single/**/set_{1..5}/test.txt`` with lines ``00025.mp4 anger`` (captions may follow
after a tab), media below ``data/clips``. Every clip of the single set stands in one test fold; `tier` is the fold.
Non-commercial research agreement; Liu Y. et al. (2022), ACM MM.
"""

from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.files import media_index
from cuewise.data_recipes.corpora.labels import nearest
from cuewise.data_recipes.corpora.tables import TableError, decode
from cuewise.data_recipes.schema import Row

LICENCE = "research only, by agreement"
SOURCE = "MAFW, Liu et al. (2022)"
LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise", "contempt", "anxiety",
          "helplessness", "disappointment")  # fmt: skip


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Test rows of all five folds; `split` may be `test` or one fold (`fold 3`)."""
    media = media_index(root, (".mp4", ".avi"))
    lists = sorted(path for path in root.rglob("set_*/test.txt") if "compound" not in path.as_posix().lower())
    by_fold: dict[int, Path] = {}
    for path in lists:
        by_fold.setdefault(int(path.parent.name.removeprefix("set_")), path)
    if not by_fold:
        raise TableError(f"{root}: no list set_1/test.txt ... set_5/test.txt of the single set below it")
    wanted = {fold: path for fold, path in by_fold.items() if split in (None, "test", f"fold {fold}")}
    if not wanted:
        raise TableError(f"{root}: no rows of split `{split}`; it has test, fold {', fold '.join(map(str, by_fold))}")
    for fold, path in sorted(wanted.items()):
        for number, line in enumerate(decode(path.read_bytes()).splitlines(), 1):
            if line.strip():
                yield _row(line, fold, f"{path}, line {number}", media)


def _row(line: str, fold: int, where: str, media: dict[str, str]) -> Row:
    fields = line.split("\t") if "\t" in line else line.split(maxsplit=1)
    name, label, *captions = (field.strip() for field in fields)
    label = label.lower()
    if label not in LABELS:
        raise TableError(f"{where}: unknown label {label!r}; {nearest(label, LABELS)}")
    stem = Path(name).stem
    return Row(
        id=stem, corpus="mafw", split="test", tier=f"fold {fold}", labels=[label],
        media={"video": media[stem]} if stem in media else {},
        reasoning=next((text for text in captions if text), None), licence=LICENCE, source=SOURCE,
    )  # fmt: skip
