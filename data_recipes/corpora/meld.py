"""MELD: utterances of a television series with emotion and sentiment; text only.

Both layouts hold the published tables ``train_sent_emo.csv``, ``dev_sent_emo.csv``, ``test_sent_emo.csv``; the folder
may be ``data/MELD`` or the one above. Where the release's clips stand beside them (``train_splits/``,
``dev_splits_complete/``, ``output_repeated_splits_test/``, files ``dia3_utt5.mp4``), they become the row's video; the
clips known to be broken (train dia125_utt3) or missing (dev dia110_utt7) have none.

The split is by dialogue: the series' characters speak in all three. The text carries stray Windows-1252 quotation
marks, which are repaired. GPL-3.0, research use; Poria S. et al. (2019), ACL.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import Line, TableError, fix_windows_1252, read_table
from cuewise.data_recipes.schema import Dialogue, Row

LICENCE = "GPL-3.0"
SOURCE = "MELD, Poria et al. (2019)"
EMOTIONS = {
    "neutral": "neutral", "surprise": "surprised", "fear": "fearful", "sadness": "sad", "joy": "happy",
    "disgust": "disgust", "anger": "angry",
}  # fmt: skip
SENTIMENTS = {"negative": "-1", "neutral": "0", "positive": "1"}
CLIP_FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
BROKEN = {("train", 125, 3), ("dev", 110, 7)}
_TIME = re.compile(r"^(\d+):(\d\d):(\d\d),(\d{1,3})$")
COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID", "Season", "Episode",
           "StartTime", "EndTime")  # fmt: skip


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows of the tables that are there."""
    folder = next(
        (place for place in (root, root / "data" / "MELD", root / "MELD") if list(place.glob("*_sent_emo.csv"))), root
    )
    tables = {name: folder / f"{name}_sent_emo.csv" for name in CLIP_FOLDERS}
    there = {name: path for name, path in tables.items() if path.is_file()}
    if not there:
        raise TableError(f"{root}: none of {', '.join(path.name for path in tables.values())} is there")
    rows = (row for name, path in there.items() if split in (None, name) for row in _rows(root, path, name))
    yield from keep_split(rows, split, root)


def _rows(root: Path, path: Path, split: str) -> Iterator[Row]:
    for line in read_table(path, COLUMNS):
        dialogue, turn = int(line.number_in("Dialogue_ID", 0, 1e6)), int(line.number_in("Utterance_ID", 0, 1e6))
        clip = f"{CLIP_FOLDERS[split]}/dia{dialogue}_utt{turn}.mp4"
        usable = (split, dialogue, turn) not in BROKEN and (root / clip).is_file()
        yield Row(
            id=f"{split}_dia{dialogue}_utt{turn}", corpus="meld", split=split, media={"video": clip} if usable else {},
            transcript=fix_windows_1252(line["Utterance"]).strip(), language="en",
            speaker=f"meld_{fix_windows_1252(line['Speaker']).strip()}",
            dialogue=Dialogue(id=f"{split}_{dialogue}", turn=turn), labels=[line.choice("Emotion", EMOTIONS)],
            sentiment=float(line.choice("Sentiment", SENTIMENTS)), licence=LICENCE, source=_episode(line),
        )  # fmt: skip


def _episode(line: Line) -> str:
    start, end = _seconds(line, "StartTime"), _seconds(line, "EndTime")
    return f"{SOURCE}, season {line['Season']} episode {line['Episode']}, {start:.3f}-{end:.3f} s"


def _seconds(line: Line, column: str) -> float:
    match = _TIME.match(line[column].strip())
    if match is None:
        raise line.fail(column, f"{line[column]!r} is no time like 00:16:16,059")
    hours, minutes, seconds, milliseconds = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(milliseconds) / 1000
