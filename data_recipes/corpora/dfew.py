"""DFEW: 11,697 single-label clips of faces in films, seven emotions, five folds, ten annotators.

Original release: ``EmoLabel_DataSplit/{train,test}(single-labeled)/set_{1..5}.csv`` with `video_name,label` (1-7; some
re-releases count from 0, which is detected by the range), ``Annotation/annotation.csv`` with the votes, and media as
``Clip/original/part_*/<name>.mp4`` or any folder below the root. Every clip stands in exactly one test fold, so the
test lists are the corpus; `tier` is the fold (`fold 1`). Research only, by application; Jiang X. et al. (2020), ACM MM.
"""

from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.files import media_index
from cuewise.data_recipes.corpora.tables import Line, TableError, read_table
from cuewise.data_recipes.schema import Row

LICENCE = "research only, by application"
SOURCE = "DFEW, Jiang et al. (2020)"
LABELS = ("happy", "sad", "neutral", "angry", "surprised", "disgust", "fearful")
"""In the order of the ids 1-7."""

VOTE_COLUMNS = ("1happy", "2sad", "3neutral", "4angry", "5surprise", "6disgust", "7fear")
FOLDS = range(1, 6)


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Test rows of all five folds; `split` may be `test` or one fold (`fold 3`)."""
    media = media_index(root, (".mp4", ".avi"))
    votes = _votes(root)
    seen = False
    for fold in FOLDS:
        if split not in (None, "test", f"fold {fold}"):
            continue
        path = _fold_file(root, fold)
        lines = list(read_table(path, ("video_name", "label")))
        first = 0 if any(line["label"].strip() == "0" for line in lines) else 1
        for line in lines:
            seen = True
            yield _row(line, fold, first, media, votes)
    if not seen:
        raise TableError(f"{root}: no rows of split `{split}`; DFEW has test and fold 1 to fold 5")


def _fold_file(root: Path, fold: int) -> Path:
    names = (f"EmoLabel_DataSplit/test(single-labeled)/set_{fold}.csv", f"EmoLabel_DataSplit/test/set_{fold}.csv",
             f"test_set_{fold}.csv")  # fmt: skip
    found = next((root / name for name in names if (root / name).is_file()), None)
    if found is None:
        raise TableError(f"{root}: the list of test fold {fold} is missing; looked for {', '.join(names)}")
    return found


def _row(line: Line, fold: int, first: int, media: dict[str, str], votes: dict[str, dict[str, float]]) -> Row:
    name = line["video_name"].strip().removesuffix(".mp4").zfill(5)
    label = LABELS[int(line.number_in("label", first, first + len(LABELS) - 1)) - first]
    video = media.get(name) or media.get(name.lstrip("0"))
    return Row(
        id=name, corpus="dfew", split="test", tier=f"fold {fold}", media={"video": video} if video else {},
        labels=[label], votes={"all": votes[name]} if name in votes else {}, licence=LICENCE, source=SOURCE,
    )  # fmt: skip


def _votes(root: Path) -> dict[str, dict[str, float]]:
    """Votes of ten annotators by clip; empty when the table is not there."""
    path = root / "Annotation" / "annotation.csv"
    if not path.is_file():
        return {}
    found = {}
    for line in read_table(path, (*VOTE_COLUMNS, "order")):
        counts = {label: line.number_in(column, 0, 100) for label, column in zip(LABELS, VOTE_COLUMNS)}
        found[line["order"].strip().zfill(5)] = {label: count for label, count in counts.items() if count}
    return found
