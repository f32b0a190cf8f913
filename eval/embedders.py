"""Sentence embedders for metrics that compare short texts: `embed(texts) -> [n, d] unit rows`, and a name.

The choice of embedder moves every number, so each has a name that goes into the result: a number belongs to its
embedder and is comparable with no other. The default needs no download and is no neural network.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np

KINDS = ("offline", "hf:FOLDER", "sentence-transformers:FOLDER")


class EmbedderError(ValueError):
    """No such embedder, or it cannot be loaded; the message says what to change."""


class Embedder(Protocol):
    """Texts to unit vectors; equal texts give equal vectors, whatever stands beside them."""

    name: str

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, d], each row of length 1 (all zeros for a text without any sign)."""

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """The same, so that metrics can take the embedder as a function."""

    def describe(self) -> dict[str, Any]:
        """Kind, model and weights hash."""


def load_embedder(spec: str = "offline", **options: Any) -> Embedder:
    """The embedder behind a name.

    Args:
        spec: ``offline``; ``hf:FOLDER``, any encoder of transformers with mean pooling;
            ``sentence-transformers:FOLDER``, a model of that library with its own pooling (all-MiniLM-L6-v2 is the one
            EmoCue-360 was published with).
        options: `device` and `batch_size` for the two that are models.

    Raises EmbedderError.
    """
    kind, _, rest = spec.partition(":")
    if spec == "offline":
        return OfflineEmbedder()
    if kind == "hf" and rest:
        return EncoderEmbedder(rest, **options)
    if kind == "sentence-transformers" and rest:
        return SentenceEmbedder(rest, **options)
    near = get_close_matches(kind, [known.partition(":")[0] for known in KINDS], n=1)
    hint = f"did you mean `{near[0]}`?" if near and near[0] != kind else f"embedders are {', '.join(KINDS)}"
    raise EmbedderError(f"unknown embedder {spec!r}; {hint}")


class OfflineEmbedder:
    """Hashed words, pieces of words, and what the taxonomy knows about emotion words.

    Texts are near when they share words or word forms (``frown``, ``frowning``), or when their emotion words share
    roots, synonyms or wheel sectors (``joyful``, ``happy``). It knows nothing else about meaning: ``brows lowered`` and
    ``a frown`` are far apart.
    """

    name = "cuewise-offline-1"
    size = 4096

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), self.size), np.float32)
        for row, text in zip(rows, texts):
            for feature, weight in _features(text):
                place, sign = _place(feature, self.size)
                row[place] += sign * weight
        return unit_rows(rows)

    __call__ = embed

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "kind": "offline", "note": "hashed words and taxonomy, not a neural network"}


_WORD = re.compile(r"[^\W_]+")
_FILLING = "a an the and or of in on at to is are was with his her their its he she they it this that for by from"
_FILLERS = frozenset(_FILLING.split())
WORD, FILLER, PIECE, ROOT, SECTOR = 1.0, 0.15, 0.25, 0.6, 0.6
PIECE_CHARS = (3, 4)


def _features(text: str) -> Iterator[tuple[str, float]]:
    """(feature, weight) of a text."""
    for word in _WORD.findall(text.lower()):
        if word in _FILLERS:
            yield f"word {word}", FILLER
            continue
        yield f"word {word}", WORD
        padded = f"^{word}$"
        pieces = [padded[i : i + n] for n in PIECE_CHARS for i in range(len(padded) - n + 1)]
        for piece in pieces:
            yield f"piece {piece}", PIECE
        yield from _emotion_features(word)


@lru_cache(maxsize=50_000)
def _emotion_features(word: str) -> tuple[tuple[str, float], ...]:
    """What the taxonomy knows about a word: its roots, and its sectors of the five wheels."""
    from cuewise.eval.judges.words import is_emotion
    from cuewise.mllm.taxonomy import LEVEL1_IDS, LEVEL2_IDS, wheel_table

    if not is_emotion(word):
        return ()
    table = wheel_table("cuewise2026")
    roots = [(f"root {root}", ROOT) for root in table.roots.get(word, ())]
    sectors = [(f"{metric_id} {sector}", SECTOR) for metric_id in (*LEVEL1_IDS, *LEVEL2_IDS)
               if (sector := table.value(word, metric_id)) is not None]  # fmt: skip
    return (*roots, *sectors)


@lru_cache(maxsize=200_000)
def _place(feature: str, size: int) -> tuple[int, int]:
    """Place and sign of a feature, the same in every process."""
    number = int.from_bytes(blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return (number >> 1) % size, 1 if number & 1 else -1


class EncoderEmbedder:
    """Any encoder of transformers in a folder, the mean over its tokens."""

    def __init__(self, folder: str | Path, device: str = "cpu", batch_size: int = 32):
        from transformers import AutoModel, AutoTokenizer

        path = _folder("hf", folder)
        try:
            self.model = AutoModel.from_pretrained(path, local_files_only=True).eval().to(device)
            self.tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise EmbedderError(f"embedder hf:{folder} cannot be loaded: {error}") from error
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.tokenizer.padding_side = "right"  # padding before a text would shift its positions
        self.batch_size, self.hash = batch_size, _hash(path)
        self.name = f"hf:{path.name}@{self.hash[:12]}"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        import torch

        limit = min(getattr(self.model.config, "max_position_embeddings", None) or 512, 512)
        rows = np.zeros((len(texts), self.model.config.hidden_size), np.float32)
        filled = [i for i, text in enumerate(texts) if text.strip()]
        with torch.inference_mode():
            for start in range(0, len(filled), self.batch_size):
                places = filled[start : start + self.batch_size]
                inputs = self.tokenizer([_encodable(texts[i]) for i in places], padding=True, truncation=True,
                                        max_length=limit, return_tensors="pt").to(self.model.device)  # fmt: skip
                inputs.pop("token_type_ids", None)
                states = self.model(**inputs).last_hidden_state.float()
                mask = inputs["attention_mask"].unsqueeze(-1)
                rows[places] = ((states * mask).sum(1) / mask.sum(1).clamp(min=1)).cpu().numpy()
        return unit_rows(rows)

    __call__ = embed

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "kind": "hf", "model_type": self.model.config.model_type, "pooling": "mean",
                "weights_sha256": self.hash}  # fmt: skip


class SentenceEmbedder:
    """A model of the sentence-transformers library."""

    def __init__(self, folder: str | Path, device: str = "cpu", batch_size: int = 32):
        path = _folder("sentence-transformers", folder)
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise EmbedderError("this embedder needs the package sentence-transformers; install cuewise[embed], or use "
                                f"hf:{folder}, which pools by the mean without it") from error  # fmt: skip
        try:
            self.model = SentenceTransformer(str(path), device=device, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise EmbedderError(f"embedder sentence-transformers:{folder} cannot be loaded: {error}") from error
        self.batch_size, self.hash = batch_size, _hash(path)
        self.name = f"sentence-transformers:{path.name}@{self.hash[:12]}"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        encode: Callable[..., Any] = self.model.encode
        some = [_encodable(text) for text in texts]
        rows = encode(some, batch_size=self.batch_size, convert_to_numpy=True, show_progress_bar=False)
        return unit_rows(np.asarray(rows, np.float32).reshape(len(texts), -1))

    __call__ = embed

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "kind": "sentence-transformers", "weights_sha256": self.hash}


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their length; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _folder(kind: str, folder: str | Path) -> Path:
    path = Path(folder)
    if not path.is_dir():
        raise EmbedderError(f"embedder {kind}:{folder}: there is no such folder; models are not downloaded here, "
                            "save one to a folder first")  # fmt: skip
    return path


def _hash(folder: Path) -> str:
    from cuewise.mllm.systems.facts import weights_hash

    return weights_hash(folder) or "no-weights"
