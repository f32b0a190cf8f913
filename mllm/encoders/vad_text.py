"""`vad_text`: the transcript network with the place of every word in a lexicon beside its embedding; after SEVLM.

Each token carries the valence, arousal and dominance of the word it belongs to, zeros where the lexicon does not know
it. A small transformer reads them and its states are concatenated to the token embeddings. The lexicon is a file of the
user; without it the encoder reads ids alone.

Shapes: B clips, T tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cuewise.mllm.encoders.layers import TemporalAttention
from cuewise.mllm.encoders.text import TextConfig, TextEncoder
from cuewise.mllm.registry import ENCODERS


@dataclass(kw_only=True, slots=True)
class VadTextConfig(TextConfig):
    """Sizes of the network beside the embeddings."""

    lexicon: str | None = None
    """File with a word and its valence, arousal and dominance on each line."""

    vad_width: int = 16
    """Channels of what is concatenated; part of `width`."""

    vad_layers: int = 3

    def __post_init__(self) -> None:
        TextConfig.__post_init__(self)
        if self.vad_width % 4 or not 0 < self.vad_width < self.width:
            raise ValueError(f"vad_text.vad_width must be a multiple of 4 below width {self.width}, got "
                             f"{self.vad_width}")  # fmt: skip

    @property
    def embed_width(self) -> int:
        return self.width - self.vad_width


@ENCODERS.register("vad_text", VadTextConfig)
class VadTextEncoder(TextEncoder):
    """Reads ids [B, T], or [B, T, 4]: id, valence, arousal, dominance, NaN for unknown words."""

    config: VadTextConfig

    def __init__(self, config: VadTextConfig):
        super().__init__(config)
        self.vad = nn.Linear(4, config.vad_width)
        self.vad_layers = nn.ModuleList(
            TemporalAttention(config.vad_width, expand=2, dropout=config.dropout) for _ in range(config.vad_layers)
        )

    def embedded(self, values: Tensor, mask: Tensor) -> Tensor:
        if values.ndim == 2:
            nowhere = torch.full((*values.shape, 3), torch.nan, device=values.device)
            values = torch.cat([values.unsqueeze(-1).float(), nowhere], -1)
        ids, places = values[..., 0].long(), values[..., 1:]
        known = ~places.isnan().any(-1, keepdim=True)
        x = self.vad(torch.cat([places.nan_to_num(), known.to(places.dtype)], -1).to(self.vad.weight.dtype))
        x = x * mask.unsqueeze(-1)
        for layer in self.vad_layers:
            x = layer(x, mask)
        return torch.cat([self.embed(ids), x], -1)
