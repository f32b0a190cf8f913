"""Decode steps of a GPU, recorded once and replayed: a step of few rows is over before Python has launched its kernels.

A recording is good for one number of rows and of visible positions, so that both are rounded up; rows that are not in
use run along. Shapes: R rows of a recording, V vocabulary.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_LOG = logging.getLogger(__name__)
VISIBLE = 256
"""Visible positions are rounded up to a multiple of this."""

Step = Callable[[], Tensor]
Record = Callable[[Step], tuple[Callable[[], object], Tensor]]


def cuda_recorder() -> Record:
    """Records steps as CUDA graphs: (replay, output) of each.

    Its recordings share their memory: they never run at the same time, and an output is read before the next step. Once
    they are all forgotten the memory is gone, and a new recorder is needed.
    """
    pool = torch.cuda.graph_pool_handle()

    def record(step: Step) -> tuple[Callable[[], object], Tensor]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # what is set up on first use must not be recorded
            for _ in range(2):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            output = step()
        return graph.replay, output

    return record


@dataclass(slots=True)
class _Recording:
    tokens: Tensor
    positions: Tensor
    replay: Callable[[], object]
    logits: Tensor


class StepGraphs:
    """Recordings of decode steps, made when first needed.

    Args:
        forward: (tokens [R], positions [R], visible) -> logits [R, V], with nothing that waits for the device.
        slots: most rows.
    """

    def __init__(
        self, forward: Callable[[Tensor, Tensor, int], Tensor], slots: int, device: torch.device,
        recorder: Callable[[], Record] = cuda_recorder,
    ):  # fmt: skip
        self._forward, self._slots, self._device, self._recorder = forward, slots, device, recorder
        self._record: Record | None = None
        self._known: dict[tuple[int, int], _Recording] = {}
        self._generation = 0
        self.broken: str | None = None
        """Why steps cannot be recorded here."""

    def run(self, tokens: list[int], positions: list[int], generation: int) -> Tensor | None:
        """Logits [rows, V], good until the next step; None when steps cannot be recorded here.

        `generation` changes when keys and values lie elsewhere: recordings of before are then forgotten.
        """
        if self.broken:
            return None
        if generation != self._generation:
            self._known.clear()
            self._record, self._generation = None, generation
        rows, visible = self.size(len(tokens)), -(-(max(positions) + 1) // VISIBLE) * VISIBLE
        pad = [0] * (rows - len(tokens))
        given = torch.tensor([tokens + pad, positions + pad], device=self._device)
        known = self._known.get((rows, visible))
        try:
            if known is None:
                known = self._known[rows, visible] = self._made(given, visible)
            known.tokens.copy_(given[0])
            known.positions.copy_(given[1])
            known.replay()
        except RuntimeError as error:
            self.broken = str(error)
            self._known.clear()
            _LOG.warning("decode steps cannot be recorded (%s): they are launched kernel by kernel", error)
            return None
        return known.logits[: len(tokens)]

    def size(self, rows: int) -> int:
        """Rows of the recording for so many: a power of two, from 16 on a multiple of 16, at most all."""
        rounded = 1 << (rows - 1).bit_length() if rows <= 16 else -(-rows // 16) * 16
        return min(rounded, self._slots)

    def _made(self, given: Tensor, visible: int) -> _Recording:
        tokens, positions = given[0].clone(), given[1].clone()
        self._record = self._record or self._recorder()
        replay, logits = self._record(lambda: self._forward(tokens, positions, visible))
        return _Recording(tokens, positions, replay, logits)
