"""RAVDESS speech: acted English, 24 actors, 8 emotions, 2 intensities.

Original release: ``Actor_NN/03-01-05-02-01-01-NN.wav`` (sound) and ``.mp4`` (01 picture and sound, 02 picture only),
any folders above. Everything is in the name: modality, channel, emotion, intensity, statement, repetition, actor.
Development layout: ``clips.csv`` and ``audio/``. Song (channel 02) and silent video (modality 02, the picture of the
01 file) are left out.

The release has no split. Ours is by actor and follows the five folds of Luna-Jimenez et al. (2022): folds 1-3 train,
4 dev, 0 test. Licence CC BY-NC-SA 4.0; Livingstone & Russo (2018), doi:10.1371/journal.pone.0196391.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cuewise.data_recipes.corpora.labels import NEUTRAL_WORDS, SAME_STATE, nearest
from cuewise.data_recipes.corpora.splits import keep_split, same_speaker_split
from cuewise.data_recipes.corpora.tables import TableError, read_table
from cuewise.data_recipes.schema import Row

LICENCE = "CC BY-NC-SA 4.0"
SOURCE = "RAVDESS, doi:10.5281/zenodo.1188976"
EMOTIONS = {
    "01": "neutral", "02": "calm", "03": "happy", "04": "sad",
    "05": "angry", "06": "fearful", "07": "disgust", "08": "surprised",
}  # fmt: skip
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
FOLDS = ((2, 5, 14, 15, 16), (3, 6, 7, 13, 18), (10, 11, 12, 19, 20), (8, 17, 21, 23, 24), (1, 4, 9, 22))


@dataclass(frozen=True, slots=True)
class Name:
    """The seven parts of a file name, read."""

    modality: str
    channel: str
    label: str
    intensity: str
    transcript: str
    repetition: int
    actor: int

    @property
    def sex(self) -> str:
        return "male" if self.actor % 2 else "female"


def read_name(stem: str) -> Name:
    """Read ``03-01-05-02-01-01-12``; a name of another form is an error that says which part is wrong."""
    parts = stem.split("-")
    if len(parts) != 7:
        raise TableError(
            f"`{stem}` is no RAVDESS name: {len(parts)} parts where there are 7, like 03-01-05-01-02-01-12"
        )
    modality, channel, emotion, intensity, statement, repetition, actor = parts
    known = {"modality": ("01", "02", "03"), "channel": ("01", "02"), "emotion": tuple(EMOTIONS),
             "intensity": tuple(INTENSITIES), "statement": tuple(STATEMENTS), "repetition": ("01", "02"),
             "actor": tuple(f"{number:02d}" for number in range(1, 25))}  # fmt: skip
    for (part, values), value in zip(known.items(), parts):
        if value not in values:
            raise TableError(f"`{stem}` is no RAVDESS name: {part} {value!r}; {nearest(value, values)}")
    return Name(modality, channel, EMOTIONS[emotion], INTENSITIES[intensity], STATEMENTS[statement],
                int(repetition), int(actor))  # fmt: skip


def split_of(actor: int) -> str:
    """Split of an actor, 1-24."""
    fold = next(number for number, actors in enumerate(FOLDS) if actor in actors)
    return "test" if fold == 0 else "dev" if fold == 4 else "train"


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows of either layout."""
    rows = _table(root) if (root / "clips.csv").is_file() else _folders(root)
    yield from keep_split(rows, split, root)


def row_of(stem: str, media: dict[str, str], split: str | None = None) -> Row:
    """The row that a file name describes."""
    name = read_name(stem)
    return Row(
        id=stem, corpus="ravdess", split=split or split_of(name.actor), media=media, transcript=name.transcript,
        language="en", speaker=f"ravdess_{name.actor:02d}", demographics={"sex": name.sex}, labels=[name.label],
        votes={"words": dict(NEUTRAL_WORDS)},
        tier=name.intensity, licence=LICENCE, source=SOURCE,
    )  # fmt: skip


def _table(root: Path) -> Iterator[Row]:
    for line in read_table(root / "clips.csv", ("clip", "file", "actor", "split", "emotion")):
        try:
            name = read_name(line["clip"])
        except TableError as error:
            raise line.fail("clip", str(error)) from None
        if line.choice("emotion", SAME_STATE) != name.label:
            raise line.fail("emotion", f"{line['emotion']!r} but the name says {name.label!r}")
        where = f"{line.path}, line {line.number}, column `split`"
        yield row_of(
            line["clip"], {"audio": line["file"]}, same_speaker_split(line["split"], split_of(name.actor), where)
        )


def _folders(root: Path) -> Iterator[Row]:
    for path in sorted(root.rglob("Actor_*/*")):
        if path.suffix.lower() not in (".wav", ".mp4", ".flac", ".opus") or path.name.startswith("."):
            continue
        try:
            name = read_name(path.stem)
        except TableError as error:
            raise TableError(f"{path}: {error}") from None
        if name.channel == "01" and name.modality != "02":
            kind = "video" if path.suffix.lower() == ".mp4" else "audio"
            yield row_of(path.stem, {kind: path.relative_to(root).as_posix()})
