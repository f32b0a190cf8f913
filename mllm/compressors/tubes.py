"""`tube_topk`: the frame means, and the states of the few space-time tubes that a scorer finds telling.

After StimuVAR (arXiv:2409.00304): states of frames of `grid` places are scored from their own and the clip's content,
windows of `window` (frames, rows, columns) at `stride` get the mean score, and the best `tubes` windows keep all their
states. In training the choice is the perturbed maximum of Berthet et al. (2020), so the scorer learns; in evaluation it
is the plain one.
"""

from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor, nn

from cuewise.mllm.compressors.base import Compressed, Compressor, CompressorConfig, valid_first
from cuewise.mllm.registry import COMPRESSORS


@dataclass(kw_only=True, slots=True)
class TubeConfig(CompressorConfig):
    """Sizes of the selection."""

    grid: list[int] = field(default_factory=lambda: [4, 4])
    window: list[int] = field(default_factory=lambda: [2, 2, 2])
    stride: list[int] = field(default_factory=lambda: [1, 2, 2])
    tubes: int = 4
    samples: int = 100
    """Draws of the perturbed maximum in training."""

    sigma: float = 0.1
    """Standard deviation of the perturbation."""

    tokens: int = 512

    def __post_init__(self) -> None:
        if self.summary:
            raise ValueError("compressor.summary is not made by tube_topk; it keeps the mean of each frame")
        if len(self.grid) != 2 or len(self.window) != 3 or len(self.stride) != 3 or min(self.stride) < 1:
            raise ValueError("compressor.grid needs 2 numbers, window and stride 3 (frames, rows, columns)")
        if any(w > g for w, g in zip(self.window[1:], self.grid)):
            raise ValueError(f"compressor.window {self.window} does not fit the grid {self.grid}")

    def frames(self, num_states: int) -> int:
        """Frames in `num_states` states."""
        places = self.grid[0] * self.grid[1]
        if num_states < places or num_states % places:
            raise ValueError(f"{num_states} states are no whole frames of {self.grid[0]} x {self.grid[1]} places")
        return num_states // places

    def windows(self, frames: int) -> list[tuple[int, int, int]]:
        """Corners of all windows; a clip shorter than a window has windows of its own length."""
        depth = min(self.window[0], frames)
        starts = [range(0, size - w + 1, s) for size, w, s in
                  zip((frames, *self.grid), (depth, *self.window[1:]), self.stride)]  # fmt: skip
        return list(product(*starts))

    def num_tokens(self, num_states: int) -> int:
        frames = self.frames(num_states)
        per_tube = min(self.window[0], frames) * self.window[1] * self.window[2]
        return frames + min(self.tubes, len(self.windows(frames))) * per_tube


@COMPRESSORS.register("tube_topk", TubeConfig)
class TubeTopK(Compressor):
    """One mean per frame, in time order, then the states of the chosen tubes."""

    config: TubeConfig

    def __init__(self, config: TubeConfig, channels: int):
        super().__init__(config, channels)
        self.local = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels), nn.GELU())
        self.score = nn.Sequential(nn.Linear(2 * channels, channels), nn.GELU(), nn.Linear(channels, 1))

    def forward(self, states: Tensor, mask: Tensor, times_s: Tensor | None) -> Compressed:
        """Clips are taken one by one: how many tubes there are depends on a clip's own length."""
        states, valid, times_s = valid_first(states, mask, times_s)
        rows = []
        for clip, count, times in zip(states, valid.sum(1).tolist(), times_s if times_s is not None else states):
            own = times[:count].float() if times_s is not None else torch.zeros(count, device=states.device)
            rows.append(self._clip(clip[:count], own))
        longest = max(len(tokens) for tokens, _ in rows)
        out = states.new_zeros(len(rows), longest, self.channels)
        exists = torch.zeros(len(rows), longest, dtype=torch.bool, device=states.device)
        at = torch.zeros(len(rows), longest, device=states.device)
        for i, (tokens, when) in enumerate(rows):
            out[i, : len(tokens)], exists[i, : len(tokens)], at[i, : len(tokens)] = tokens, True, when
        return Compressed(out, exists, at, torch.zeros(longest, dtype=torch.bool, device=states.device))

    def tube_scores(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """states [N, C] of one clip -> scores [W] in [0, 1] and the state indices [W, L] of each window."""
        frames = self.config.frames(len(states))
        local = self.local(states)
        score = self.score(torch.cat([local, local.mean(0).expand_as(local)], 1)).squeeze(1)
        index = self._indices(frames, states.device)
        mean = score[index].mean(1)
        spread = mean.max() - mean.min()
        return (mean - mean.min()) / spread.clamp(min=1e-6), index

    def _clip(self, states: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        frames = self.config.frames(len(states))
        score, index = self.tube_scores(states)
        chosen = self._choose(score, min(self.config.tubes, len(index)))
        tubes = torch.einsum("kw,wlc->klc", chosen, states[index]).flatten(0, 1)
        when = (chosen.detach() @ times[index]).flatten()
        means = states.view(frames, -1, self.channels).mean(1)
        return torch.cat([means, tubes]), torch.cat([times.view(frames, -1)[:, 0], when])

    def _choose(self, score: Tensor, k: int) -> Tensor:
        """[W] -> [k, W] one row per chosen window, in window order: one-hot in evaluation, its smooth mean else."""
        if not self.training:
            return one_hot_top(score, k)
        return PerturbedTopK.apply(score, k, self.config.samples, self.config.sigma)

    def _indices(self, frames: int, device: torch.device) -> Tensor:
        rows, columns = self.config.grid
        depth = min(self.config.window[0], frames)
        offsets = list(product(range(depth), range(self.config.window[1]), range(self.config.window[2])))
        flat = [[((t + dt) * rows + y + dy) * columns + x + dx for dt, dy, dx in offsets]
                for t, y, x in self.config.windows(frames)]  # fmt: skip
        return torch.tensor(flat, device=device)


def one_hot_top(score: Tensor, k: int) -> Tensor:
    """[..., W] -> [..., k, W]: one-hot rows of the k largest scores, in the order of the windows."""
    top = score.topk(k, -1).indices.sort(-1).values
    return nn.functional.one_hot(top, score.shape[-1]).to(score.dtype)


class PerturbedTopK(torch.autograd.Function):
    """Mean of `one_hot_top` under Gaussian noise, with its exact gradient in expectation (Berthet et al. 2020)."""

    @staticmethod
    def forward(ctx, score: Tensor, k: int, samples: int, sigma: float) -> Tensor:
        noise = torch.randn(samples, *score.shape, device=score.device, dtype=score.dtype)
        chosen = one_hot_top(score + sigma * noise, k)
        ctx.save_for_backward(chosen, noise)
        ctx.sigma = sigma
        return chosen.mean(0)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        chosen, noise = ctx.saved_tensors
        along = torch.einsum("skw,kw->s", chosen, grad)
        return torch.einsum("s,sw->w", along, noise) / (len(noise) * ctx.sigma), None, None, None
