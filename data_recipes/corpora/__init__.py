"""The corpora `cuewise` can read: one file each, `read(root, split) -> Iterator[Row]`.

`product_use` says whether weights trained on the corpus may go into a product without the corpus's own terms going
with them. Share-alike and non-commercial licences say no here; read the licence itself before deciding otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from cuewise.data_recipes.corpora.labels import COMMON_LABELS, common_label, nearest
from cuewise.data_recipes.corpora.tables import TableError

if TYPE_CHECKING:
    from cuewise.data_recipes.schema import Row

__all__ = ["COMMON_LABELS", "CORPORA", "Corpus", "TableError", "common_label", "get", "read"]


@dataclass(frozen=True, slots=True)
class Corpus:
    """What one needs to know about a corpus before reading it."""

    name: str
    title: str
    licence: str
    product_use: bool
    content: str
    split_by: str = "speaker"
    """What never stands in two splits: `speaker`, `dialogue` or `text`."""

    evaluation_only: bool = False
    """True where the project measures on the corpus and never trains a shipped model on it."""

    def read(self, root: str | Path, split: str | None = None) -> "Iterator[Row]":
        """Rows of the corpus below `root`, all splits or one; media paths are relative to `root`."""
        root = Path(root)
        if not root.is_dir():
            raise TableError(f"{root}: no such folder; give the folder in which {self.title} was unpacked")
        yield from import_module(f"{__name__}.{self.name}").read(root, split)


CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        Corpus("ravdess", "RAVDESS", "CC BY-NC-SA 4.0", False, "acted English speech, sound and picture"),
        Corpus("ravdess_au", "RAVDESS face action units", "CC BY-NC-SA 4.0", False, "OpenFace action units per clip"),
        Corpus("av_clips", "audio-visual sample clips", "CC BY-NC-SA 4.0; ODbL", False, "19 clips of two corpora"),
        Corpus("emodb", "EMO-DB", "CC0-1.0", True, "acted German speech"),
        Corpus("nemo", "nEMO", "CC BY-NC-SA 4.0", False, "acted Polish speech"),
        Corpus("crema_d", "CREMA-D", "ODbL-1.0", False, "votes of a crowd for voice, face and both"),
        Corpus("meld", "MELD", "GPL-3.0", False, "words of a television series", "dialogue", evaluation_only=True),
        Corpus("goemotions", "GoEmotions", "CC BY 4.0", True, "forum texts, 27 emotions and neutral", "text"),
        Corpus("emobank", "EmoBank", "CC BY-SA 4.0", False, "sentences with valence, arousal, dominance", "text",
               evaluation_only=True),
        Corpus("dfew", "DFEW", "research only", False, "faces in films, seven emotions, five folds", "clip",
               evaluation_only=True),
        Corpus("mafw", "MAFW", "research only", False, "clips in the wild, eleven emotions, five folds", "clip",
               evaluation_only=True),
        Corpus("ferv39k", "FERV39k", "research only", False, "faces in 22 scenes, seven emotions", "clip",
               evaluation_only=True),
        Corpus("iemocap", "IEMOCAP", "licence form", False, "acted dyads in five sessions", evaluation_only=True),
        Corpus("mmsa", "CMU-MOSI, CMU-MOSEI, CH-SIMS", "own agreements", False, "monologues with sentiment scores",
               evaluation_only=True),
        Corpus("unibench", "MER-UniBench", "own agreements", False, "nine data sets with open answers", "text",
               evaluation_only=True),
        Corpus("london_faces", "Face Research Lab London Set", "CC BY 4.0", True, "photographs, neutral and smiling"),
        Corpus("emer", "EMER", "research only", False, "clips with written explanations", "clip"),
        Corpus("cped", "CPED", "Apache-2.0", False, "Chinese television, speakers with personality", "dialogue"),
        Corpus("emotiontalk", "EmotionTalk", "CC BY-NC-SA 4.0", False, "Chinese dialogues rated per modality"),
        Corpus("emotic", "EMOTIC", "research only", False, "people in photographs, 26 categories", "clip"),
        Corpus("emoset", "EmoSet", "research only", False, "what pictures make people feel, with attributes", "clip"),
        Corpus("bah", "BAH", "research only", False, "ambivalence and hesitancy before a webcam"),
        Corpus("sewa", "SEWA", "research only", False, "continuous arousal and valence in six cultures"),
        Corpus("emonet_voice", "EmoNet-Voice", "CC BY 4.0", False, "40 categories of voice with intensities", "clip"),
        Corpus("emollms", "EmoLLMs", "MIT", False, "affect tasks in text, answers as numbers and classes", "text"),
    )
}  # fmt: skip


def get(name: str) -> Corpus:
    """The corpus of that name; an unknown name is an error with the nearest one."""
    if name not in CORPORA:
        raise ValueError(f"unknown corpus `{name}`; {nearest(name, tuple(CORPORA))}")
    return CORPORA[name]


def read(name: str, root: str | Path, split: str | None = None) -> "Iterator[Row]":
    """Rows of the corpus `name` below `root`."""
    return get(name).read(root, split)
