"""Blocks of samples: the unit that is asked together and journalled together, with the next one made ahead of time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from multiprocessing import get_context

from cuewise.eval.samples import Sample, made
from cuewise.eval.suites.suite import Suite

BLOCK_SIZE = 16


@dataclass(slots=True)
class Block:
    number: int
    samples: list[Sample]


def blocks_of(samples: Sequence[Sample], size: int = BLOCK_SIZE) -> list[Block]:
    """Consecutive samples of one data set, at most `size` of them; the same samples always give the same blocks."""
    blocks: list[Block] = []
    for _, group in groupby(samples, key=lambda sample: sample.dataset):
        rows = list(group)
        for start in range(0, len(rows), size):
            blocks.append(Block(len(blocks), rows[start : start + size]))
    return blocks


def prefetched(blocks: Sequence[Block], suite: Suite) -> Iterator[Block]:
    """The blocks with what is made on the spot; the next block is made in another process meanwhile."""
    if not any(needs_making(sample, suite) for block in blocks for sample in block.samples):
        yield from blocks
        return
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        waiting: list[tuple[Block, list[Future[Sample]]]] = []
        for block in blocks:
            waiting.append((block, [pool.submit(make_sample, sample, suite) for sample in block.samples]))
            if len(waiting) > 1:
                yield _whole(*waiting.pop(0))
        for entry in waiting:
            yield _whole(*entry)


def needs_making(sample: Sample, suite: Suite) -> bool:
    """Whether a clip is made, or pictures are changed, before a sample can be asked."""
    condition = suite.datasets[sample.dataset].conditions.get(sample.condition or "")
    return sample.synthetic_seed is not None or (condition is not None and condition.changes_pictures)


def make_sample(sample: Sample, suite: Suite) -> Sample:
    """One sample, its clip made when it is synthetic."""
    return made(sample, suite.datasets[sample.dataset])


def made_block(block: Block, suite: Suite) -> Block:
    """A block with its synthetic clips made in this process."""
    return Block(block.number, list(map(partial(make_sample, suite=suite), block.samples)))


def _whole(block: Block, futures: list["Future[Sample]"]) -> Block:
    return Block(block.number, [future.result() for future in futures])
