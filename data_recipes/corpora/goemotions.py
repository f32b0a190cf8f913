"""GoEmotions: forum texts with 27 emotions and neutral, several each.

Layouts: the filtered split ``train.tsv``, ``dev.tsv``, ``test.tsv`` (text, label numbers, id; the numbers are lines of
``emotions.txt`` or ``labels.txt``, beside the files, in ``data/`` or in ``labels/``); or the raw ratings
``goemotions_1.csv`` ... (one line a rater, one 0/1 column an emotion). From raw ratings `votes` are counted, a label
is kept when two raters chose it, and there is no split.

The 28 words stay as they are; `common_label` maps them to the common labels. Placeholders like [NAME] are kept.
CC BY 4.0; Demszky D. et al. (2020), ACL.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.splits import SPLITS, keep_split
from cuewise.data_recipes.corpora.tables import TableError, read_table
from cuewise.data_recipes.schema import Row

LICENCE = "CC BY 4.0"
SOURCE = "GoEmotions, Demszky et al. (2020)"
LABELS = (
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
    "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
    "love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral",
)  # fmt: skip
RATERS_NEEDED = 2


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows of the filtered split where it is there, else of the raw ratings."""
    places = (root, root / "data", root / "data" / "full_dataset", root / "full_dataset")
    for place in places:
        tables = {name: place / f"{name}.tsv" for name in SPLITS if (place / f"{name}.tsv").is_file()}
        if tables:
            _check_labels(root, place)
            rows = (row for name, path in tables.items() if split in (None, name) for row in _filtered(path, name))
            yield from keep_split(rows, split, root)
            return
        raw = sorted(place.glob("goemotions_*.csv"))
        if raw:
            yield from keep_split(_raw(raw), split, root)
            return
    raise TableError(f"{root}: neither train.tsv (filtered split) nor goemotions_1.csv (raw ratings) is there")


def _check_labels(root: Path, place: Path) -> None:
    names = ("emotions.txt", "labels.txt", "labels/emotions.txt")
    path = next((folder / name for folder in (place, root) for name in names if (folder / name).is_file()), None)
    if path is None:
        return
    listed = tuple(path.read_text(encoding="utf-8").split())
    if listed != LABELS:
        wrong = next((i for i, (a, b) in enumerate(zip(listed, LABELS)) if a != b), min(len(listed), len(LABELS)))
        raise TableError(f"{path}, line {wrong + 1}: the 28 labels are not those of the release, in its order; "
                         f"expected {LABELS[wrong] if wrong < len(LABELS) else 'no further line'!r}")  # fmt: skip


def _filtered(path: Path, split: str) -> Iterator[Row]:
    for line in read_table(path, (), tabs=True, header=["text", "labels", "id"]):
        words = []
        for number in line["labels"].split(","):
            if not number.strip().isdigit() or int(number) >= len(LABELS):
                raise line.fail("labels", f"{number!r} is no label number from 0 to {len(LABELS) - 1}")
            words.append(LABELS[int(number)])
        yield _row(line["id"].strip(), split, line["text"], words)


def _raw(paths: list[Path]) -> Iterator[Row]:
    texts: dict[str, str] = {}
    votes: dict[str, Counter[str]] = {}
    for path in paths:
        for line in read_table(path, ("text", "id", *LABELS)):
            texts[line["id"]] = line["text"]
            counts = votes.setdefault(line["id"], Counter())
            counts.update(word for word in LABELS if line.number_in(word, 0, 1) == 1)
    for key, text in texts.items():
        agreed = [word for word in LABELS if votes[key][word] >= RATERS_NEEDED]
        row = _row(key, None, text, sorted(agreed, key=lambda word: (-votes[key][word], LABELS.index(word))))
        row.votes = {"words": {word: float(count) for word, count in votes[key].items()}}
        yield row


def _row(key: str, split: str | None, text: str, labels: list[str]) -> Row:
    return Row(id=key, corpus="goemotions", split=split, transcript=text.strip(), language="en", labels=labels,
               licence=LICENCE, source=SOURCE)  # fmt: skip
