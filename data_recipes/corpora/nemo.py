"""nEMO: acted Polish speech, nine speakers, six emotions.

Original release: ``data.tsv`` (file_id, emotion, raw_text, normalized_text, speaker_id, gender, age) and
``samples/``. Fields carry stray blanks and the file id ends in ``.wav``; both are cleaned on reading.
Development layout: ``clips.csv`` and ``audio/`` (a sample).

The release has no split. Ours is by speaker: train EB0 KD0 KS0 SM0 WR0, dev IC0 MP0, test MK0 TP0.
Licence CC BY-NC-SA 4.0; Christop I. (2024), LREC-COLING.
"""

from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.labels import NEUTRAL_WORDS, SAME_STATE
from cuewise.data_recipes.corpora.splits import keep_split, same_speaker_split
from cuewise.data_recipes.corpora.tables import Line, read_table
from cuewise.data_recipes.schema import Row

LICENCE = "CC BY-NC-SA 4.0"
SOURCE = "nEMO, Christop (2024)"
SPLIT_SPEAKERS = {"train": ("EB0", "KD0", "KS0", "SM0", "WR0"), "dev": ("IC0", "MP0"), "test": ("MK0", "TP0")}


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows of either layout."""
    rows = _table(root) if (root / "clips.csv").is_file() else _release(root)
    yield from keep_split(rows, split, root)


def _split_of(line: Line, column: str) -> str:
    speakers = {speaker: split for split, speakers in SPLIT_SPEAKERS.items() for speaker in speakers}
    return line.choice(column, speakers)


def _table(root: Path) -> Iterator[Row]:
    columns = ("clip", "file", "speaker", "sex", "age", "split", "emotion", "transcript_pl")
    for line in read_table(root / "clips.csv", columns):
        where = f"{line.path}, line {line.number}, column `split`"
        same_speaker_split(line["split"], _split_of(line, "speaker"), where)
        yield _row(line, line["clip"], line["file"], "speaker", "sex", line["transcript_pl"])


def _release(root: Path) -> Iterator[Row]:
    for line in read_table(
        root / "data.tsv", ("file_id", "emotion", "raw_text", "speaker_id", "gender", "age"), tabs=True
    ):
        file = line["file_id"].strip()
        stem = file.removesuffix(".wav")
        yield _row(line, stem, f"samples/{stem}.wav", "speaker_id", "gender", line["raw_text"].strip())


def _row(line: Line, stem: str, file: str, speaker: str, sex: str, text: str) -> Row:
    age = line.optional_number("age")
    person = {"sex": line[sex].strip(), "age": None if age is None else int(age)}
    return Row(
        id=stem, corpus="nemo", split=_split_of(line, speaker), media={"audio": file}, transcript=text, language="pl",
        speaker=f"nemo_{line[speaker].strip()}", demographics=person,
        labels=[line.choice("emotion", SAME_STATE)], votes={"words": dict(NEUTRAL_WORDS)}, licence=LICENCE,
        source=SOURCE,
    )  # fmt: skip
