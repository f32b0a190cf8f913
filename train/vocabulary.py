"""The tokenizer of a new model, learnt from the texts it will read and write."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from cuewise.data_recipes.action_words import AU_WORDS, in_words
from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.targets import target
from cuewise.mllm.evidence.claims import degrees, phrase, vocabulary
from cuewise.mllm.prompts import build, text_of
from cuewise.mllm.report import Claim, render
from cuewise.mllm.tokenizer import train_tokenizer
from cuewise.train.examples import SourceConfig

REPEATS = 40


@dataclass(kw_only=True, slots=True)
class VocabularyConfig:
    size: int = 4096
    """Ids, structure and bytes included."""

    texts_per_source: int = 20_000
    """At most this many rows of each source are read."""


def build_tokenizer(
    config: VocabularyConfig, sources: dict[str, SourceConfig], data_root: Path, folder: Path
) -> PreTrainedTokenizerBase:
    """Learn the tokenizer, or load it when `folder` has it already (an interrupted run keeps its ids)."""
    if (folder / "tokenizer.json").is_file():
        return AutoTokenizer.from_pretrained(folder)
    tokenizer = train_tokenizer(texts(config, sources, data_root), config.size)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    tokenizer.save_pretrained(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)  # whole or not there, since its ids are those of all checkpoints
    return tokenizer


def texts(config: VocabularyConfig, sources: dict[str, SourceConfig], data_root: Path) -> Iterator[str]:
    """Transcripts, prompts and answers; claims and face actions often enough for their words to become whole tokens."""
    for source in sources.values():
        for row in islice(_rows(source, data_root), config.texts_per_source):
            yield row.transcript or ""
            yield text_of(build(["face", "voice"], transcript=row.transcript, duration_s=3.52))
            if row.labels:
                yield render(target(row, "explained"))
    for channel in ("face", "voice", "scene"):
        for attribute, direction in vocabulary(channel):
            for degree in degrees(channel, attribute, direction):
                line = phrase(channel, Claim(attribute=attribute, direction=direction, degree=degree))
                yield from [f"[{channel} 0.40-1.25] {line} => "] * REPEATS
    for unit, value in zip(AU_WORDS, range(100, 400)):
        yield from [in_words({unit: value / 100})] * REPEATS


def _rows(source: SourceConfig, data_root: Path) -> Iterator[Row]:
    if source.kind == "synthetic":
        from cuewise.data_recipes.synthetic.script import bank

        for sentence in bank():
            yield Row(id="sentence", corpus="synthetic", transcript=sentence.text, labels=[sentence.label])
    elif source.kind == "rows":
        from cuewise.data_recipes.schema import read_jsonl

        yield from read_jsonl(data_root / str(source.folder))
    else:
        from cuewise.data_recipes.corpora import read

        yield from read(str(source.corpus), data_root / (source.folder or str(source.corpus)), source.split)
