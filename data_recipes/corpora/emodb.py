"""EMO-DB (Berlin): acted German speech, ten speakers, seven emotions.

Original release: ``wav/03a01Fa.wav``: speaker 03, text a01, emotion F, version a. Letters: W anger, L boredom,
E disgust, A fear, F happiness, T sadness, N neutral. Boredom has no common label and stays `bored`.
Development layout: ``clips.csv`` and ``audio/`` (four of the classes).

Split by speaker: train 03 08 09 10, dev 11 13, test 12 14 15 16. Licence CC0 1.0 as stated by the publisher.
Burkhardt F. et al. (2005), A database of German emotional speech, Interspeech.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.labels import NEUTRAL_WORDS, SAME_STATE, nearest
from cuewise.data_recipes.corpora.splits import keep_split, same_speaker_split
from cuewise.data_recipes.corpora.tables import TableError, read_table
from cuewise.data_recipes.schema import Row

LICENCE = "CC0-1.0"
SOURCE = "EMO-DB, Burkhardt et al. (2005)"
LETTERS = {
    "W": "angry", "L": "bored", "E": "disgust", "A": "fearful", "F": "happy", "T": "sad", "N": "neutral",
}  # fmt: skip
SPEAKERS = {
    "03": ("male", 31), "08": ("female", 34), "09": ("female", 21), "10": ("male", 32), "11": ("male", 26),
    "12": ("male", 30), "13": ("female", 32), "14": ("female", 35), "15": ("male", 25), "16": ("female", 31),
}  # fmt: skip
TEXTS = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
SPLIT_SPEAKERS = {"train": ("03", "08", "09", "10"), "dev": ("11", "13"), "test": ("12", "14", "15", "16")}
_NAME = re.compile(r"^(\d\d)([ab]\d\d)([A-Z])([a-z])$")


def split_of(speaker: str) -> str:
    """Split of a speaker, ``03`` to ``16``."""
    return next(split for split, speakers in SPLIT_SPEAKERS.items() if speaker in speakers)


def row_of(stem: str, media: dict[str, str]) -> Row:
    """The row that a file name describes, ``03a01Fa``."""
    match = _NAME.match(stem)
    if match is None:
        raise TableError(f"`{stem}` is no EMO-DB name: it must look like 03a01Fa (speaker, text, emotion, version)")
    speaker, text, letter, _ = match.groups()
    for part, value, known in (("speaker", speaker, SPEAKERS), ("text", text, TEXTS), ("emotion", letter, LETTERS)):
        if value not in known:
            raise TableError(f"`{stem}` is no EMO-DB name: {part} {value!r}; {nearest(value, tuple(known))}")
    sex, age = SPEAKERS[speaker]
    return Row(
        id=stem, corpus="emodb", split=split_of(speaker), media=media, transcript=TEXTS[text], language="de",
        speaker=f"emodb_{speaker}", demographics={"sex": sex, "age": age}, labels=[LETTERS[letter]],
        votes={"words": dict(NEUTRAL_WORDS)},
        licence=LICENCE, source=SOURCE,
    )  # fmt: skip


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows of either layout."""
    rows = _table(root) if (root / "clips.csv").is_file() else _folder(root)
    yield from keep_split(rows, split, root)


def _table(root: Path) -> Iterator[Row]:
    for line in read_table(root / "clips.csv", ("clip", "file", "split", "emotion", "transcript_de")):
        try:
            row = row_of(line["clip"], {"audio": line["file"]})
        except TableError as error:
            raise line.fail("clip", str(error)) from None
        if [line.choice("emotion", SAME_STATE)] != row.labels:
            raise line.fail("emotion", f"{line['emotion']!r} but the name says {row.labels[0]!r}")
        same_speaker_split(line["split"], row.split, f"{line.path}, line {line.number}, column `split`")
        yield row


def _folder(root: Path) -> Iterator[Row]:
    for path in sorted((root / "wav" if (root / "wav").is_dir() else root).glob("*.wav")):
        try:
            yield row_of(path.stem, {"audio": path.relative_to(root).as_posix()})
        except TableError as error:
            raise TableError(f"{path}: {error}") from None
