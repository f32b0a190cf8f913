"""Batches of coming steps, drawn by other processes while the model learns.

A batch is a function of its step and seed, so who draws it and when changes nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

Draw = Callable[[int, torch.Generator], Any]
Drawn = list[tuple[int, Any]]
"""(seed, batch) of the micro-batches of one step."""

AHEAD = 4
"""Steps that each process draws ahead."""


class _Steps(Dataset):
    """Step after step, each as its micro-batches."""

    def __init__(self, draw: Draw, seeds: Sequence[tuple[int, list[int]]]):
        self.draw, self.seeds = draw, seeds

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> Drawn:
        step, seeds = self.seeds[index]
        return [(seed, self.draw(step, torch.Generator().manual_seed(seed))) for seed in seeds]


def drawn_batches(draw: Draw, seeds: Sequence[tuple[int, list[int]]], workers: int = 0) -> Iterator[Drawn]:
    """The micro-batches of each step in turn.

    Args:
        draw: (step, generator) -> batch; everything random comes from the generator.
        seeds: (step, seeds of its micro-batches).
        workers: processes that draw ahead, forked, so that they share the examples; 0 draws when asked.
    """
    steps = _Steps(draw, seeds)
    if not workers:
        yield from (steps[index] for index in range(len(steps)))
        return
    loader = DataLoader(steps, batch_size=None, num_workers=workers, prefetch_factor=AHEAD,
                        multiprocessing_context="fork", worker_init_fn=lambda _: torch.set_num_threads(1))  # fmt: skip
    yield from loader
