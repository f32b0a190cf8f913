"""A handful of real clips with face and speech, from RAVDESS and CREMA-D: ``clips.csv`` beside the MP4 files.

`tier` says whether the picture is real: `recording`, or `mouth_resynthesised` where a model rewrote the lower face.
Speakers carry the same names as in the corpora they come from.
"""

from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora import crema_d, ravdess
from cuewise.data_recipes.corpora.labels import NEUTRAL_WORDS, SAME_STATE
from cuewise.data_recipes.corpora.splits import keep_split, same_speaker_split
from cuewise.data_recipes.corpora.tables import Line, read_table
from cuewise.data_recipes.schema import Row


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows of the folder."""
    columns = ("file", "corpus", "actor", "split", "emotion", "transcript", "mouth_resynthesised")
    yield from keep_split((_row(line) for line in read_table(root / "clips.csv", columns)), split, root)


def _row(line: Line) -> Row:
    corpus = line.choice("corpus", {"RAVDESS": "ravdess", "CREMA-D": "crema_d"})
    home = ravdess if corpus == "ravdess" else crema_d
    actor = int(line.number_in("actor", 1, 9999))
    where = f"{line.path}, line {line.number}, column `split`"
    return Row(
        id=Path(line["file"]).stem, corpus="av_clips", media={"video": line["file"]},
        split=same_speaker_split(line["split"], home.split_of(actor), where),
        transcript=line["transcript"], language="en", labels=[line.choice("emotion", SAME_STATE)],
        votes={"words": dict(NEUTRAL_WORDS)},
        speaker=f"{corpus}_{actor:02d}" if corpus == "ravdess" else f"{corpus}_{actor}",
        tier=line.choice("mouth_resynthesised", {"yes": "mouth_resynthesised", "no": "recording"}),
        licence=home.LICENCE, source=home.SOURCE,
    )  # fmt: skip
