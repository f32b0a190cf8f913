"""`prompt_gate`: what is said decides how much each branch counts.

After HumanOmni (arXiv:2501.15111), where a text encoder reads the user's prompt and a softmax over the branches weighs
their feature maps. Here the text is the `words` stream of the clip; a clip without words weighs its branches equally.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cuewise.mllm.fusion.base import (
    Fusion,
    FusionConfig,
    StreamStates,
    given_streams,
    in_config_order,
    masked_softmax,
    resampled,
)
from cuewise.mllm.registry import FUSIONS


@dataclass(kw_only=True, slots=True)
class PromptGateConfig(FusionConfig):
    """Sizes of the gate."""

    text: str = "words"
    """The stream that is read by the gate and not weighed itself."""

    steps: int = 4
    hidden: int = 128

    def num_tokens(self, present: list[str]) -> int:
        return self.steps if any(name in self.streams and name != self.text for name in present) else 0


@FUSIONS.register("prompt_gate", PromptGateConfig)
class PromptGate(Fusion):
    """`steps` tokens in time order: the weighted sum of the branches."""

    needs_states = True

    def __init__(self, config: PromptGateConfig, widths: dict[str, int], d_model: int):
        super().__init__()
        self.config = config
        self.branches = [name for name in config.streams if name != config.text]
        if not self.branches:
            raise ValueError(f"prefusion prompt_gate has only its text stream `{config.text}`; add a branch")
        self.inputs = nn.ModuleDict({
            name: nn.Sequential(nn.LayerNorm(widths[name]), nn.Linear(widths[name], config.hidden))
            for name in self.branches
        })  # fmt: skip
        self.gate = None
        if config.text in config.streams:
            self.gate = nn.Sequential(
                nn.LayerNorm(widths[config.text]), nn.Linear(widths[config.text], config.hidden), nn.GELU(),
                nn.Linear(config.hidden, len(self.branches)),
            )  # fmt: skip
        self.out = nn.Linear(config.hidden, d_model)

    def forward(
        self, means: dict[str, Tensor], present: dict[str, Tensor], states: dict[str, StreamStates] | None = None
    ) -> tuple[Tensor, Tensor]:
        given = [name for name in given_streams(self.config, means, "prompt_gate") if name != self.config.text]
        if not given:
            raise ValueError(f"prefusion prompt_gate got none of its branches ({', '.join(self.branches)})")
        there = torch.stack([present[name] for name in given], 1)
        rows = torch.stack([self.inputs[name](resampled(states[name], self.config.steps)) for name in given], 1)
        weight = masked_softmax(self._scores(given, means, present), there)
        tokens = torch.einsum("bm,bmkh->bkh", weight.to(rows.dtype), rows * there[:, :, None, None])
        return self.out(tokens), in_config_order(weight, given, self.config)

    def _scores(self, given: list[str], means: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """[B, branches]; 0 for a clip without words."""
        size = len(means[given[0]])
        text = self.config.text
        if self.gate is None or text not in means:
            return means[given[0]].new_zeros(size, len(given))
        columns = [self.branches.index(name) for name in given]
        score = self.gate(means[text])[:, columns].float()
        return score * present[text][:, None]
