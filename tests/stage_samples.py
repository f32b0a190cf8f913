"""Stages and clips with everything in their rows, for tests of the curriculum."""

import torch
from tiny import tiny_media, tiny_processor

from cuewise.data_recipes.schema import Row
from cuewise.mllm.config_tools import from_dict
from cuewise.mllm.report import Cue
from cuewise.train.curriculum import StageConfig
from cuewise.train.examples import Example

CUES = [
    Cue(channel="voice", start=0.2, end=1.1, observation="pitch clearly higher", supports=["happy"]),
    Cue(channel="face", start=0.1, end=0.9, observation="lip corners clearly up (AU12)", supports=["happy"]),
]


def example(seed: int, streams=("face", "scene", "voice", "words"), **row) -> Example:
    media = tiny_media(seed, streams=streams, seconds=1.6)
    values = {"id": f"e{seed}", "corpus": "t", "labels": ["happy"], "transcript": "we won", "cues": CUES,
              "reasoning": "The voice is bright.", "media": {"video": "x.mp4"}}  # fmt: skip
    return Example(Row(**(values | row)), tiny_processor().tensors(media), 1.6, "t")


def stage(**options) -> StageConfig:
    values = {"trains": ["llm"], "loop": {"steps": 100, "batch_size": 8}, "mixture": {"weights": {"a": 1.0}}}
    return from_dict(StageConfig, values | options)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
