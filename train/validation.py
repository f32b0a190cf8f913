"""What validation looks at, and how the numbers of its batches become one: as if all clips had been one batch.

A stage is validated on what it trains: its tasks, each clip once, whole, explained, without augmentation. How many
clips a batch has changes no number, save for losses that hold the clips of a batch against each other.
"""

import zlib
from collections.abc import Sequence
from dataclasses import replace

from torch import Generator

from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.augment import AugmentConfig
from cuewise.train.curriculum import Curriculum, StageConfig
from cuewise.train.data import Written
from cuewise.train.examples import Example
from cuewise.train.parallel import weighted_mean
from cuewise.train.stage_losses import Said, joined, said_loss

PLAIN = AugmentConfig(voice=False, pictures=False, context_share=1.0, action_noise=0.0, rewording=0.0)
COUNTED_BY = {
    "token_accuracy": "tokens", "vad/loss": "vad/words", "heatmap/correlation": "heatmap/clips",
    "heatmap/iou": "heatmap/clips", "context/loss": "context/labelled", "context/accuracy": "context/labelled",
    "accuracy": "labelled", "actions/loss": "actions/labelled", "actions/spread": "actions/labelled",
}  # fmt: skip
"""Number of a batch -> the number that counts what it is a mean of; counts are summed."""

PER_SAMPLE = ("media_rows", "task/", "readings/")
"""Beginnings of names that are means over the samples of a batch, however much each of them writes."""


class Given(Curriculum):
    """A stage's mixture that gives the examples it is told, unvaried; each is always asked the same task."""

    fixed = True
    given: Sequence[Example] = ()

    def __init__(
        self, examples: list[Example], stage: StageConfig, processor: CuewiseProcessor, units: Sequence[str] = ()
    ):
        quiet = replace(stage.mixture, weights={"valid": 1.0}, stream_dropout=0.0, explained_share=1.0, augment=PLAIN,
                        even_labels=False)  # fmt: skip
        alone = replace(stage, mixture=quiet, replay=0.0, difficulty=None)
        super().__init__({"valid": examples}, alone, processor, (), units)

    def draw(self, count: int, generator: Generator) -> list[Example]:
        return list(self.given)

    def sample(self, example: Example, generator: Generator) -> tuple[ClipTensors, Written]:
        return super().sample(example, Generator().manual_seed(zlib.crc32(example.row.id.encode())))


class Found:
    """The numbers of all batches of one validation.

    Args:
        head_share: factor with which the loss contains that of the heads.
    """

    def __init__(self, head_share: float):
        self.head_share = head_share
        self.parts: dict[str, list[tuple[dict[str, float], float]]] = {}
        self.said: list[Said] = []

    def add(self, numbers: dict[str, float], ids: int, weight: float, said: Sequence[Said]) -> None:
        """Numbers of one batch with `loss`, its samples, its weight, and what the heads said of it."""
        own = sum(float(said_loss(one)[0]) for one in said)
        numbers = {**numbers, "loss": numbers["loss"] - self.head_share * own}
        self.said += said
        for name, value in numbers.items():
            counter = "labelled" if name == "loss" and "labelled" in numbers else COUNTED_BY.get(name)
            counts = ids if name.startswith(PER_SAMPLE) else numbers.get(counter, weight)
            self.parts.setdefault(name, []).append(({name: value}, counts))

    def numbers(self) -> dict[str, float]:
        """Means over what was counted, sums of counts; what the heads said is looked at as one batch."""
        counts = {*COUNTED_BY.values(), "turns", "dialogues"}
        found: dict[str, float] = {}
        for name, parts in self.parts.items():
            total = sum(numbers[name] for numbers, _ in parts)
            found |= {name: total} if name in counts else weighted_mean(parts)
        if self.said:
            loss, stats = said_loss(joined(self.said))
            found |= {"loss": found["loss"] + self.head_share * float(loss)}
            found |= {name: float(value) for name, value in stats.items()}
        return found
