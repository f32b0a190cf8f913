"""`voice_committee`: several `conv_voice` networks side by side, read by one head each, which agree by their mean.

Networks that began from different weights err on different clips, so their mean errs less (deep ensembles,
arXiv:1612.01474). The states of all stand side by side for the language model.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cuewise.mllm.config_tools import from_dict
from cuewise.mllm.encoders.base import Encoder, EncoderConfig, EncoderStates, InputKind
from cuewise.mllm.encoders.conv_voice import ConvVoice, ConvVoiceConfig
from cuewise.mllm.registry import ENCODERS


@dataclass(kw_only=True, slots=True)
class VoiceCommitteeConfig(EncoderConfig):
    """The members."""

    input_kind: ClassVar[InputKind] = "log_mel"

    members: list[dict[str, Any]] = field(default_factory=lambda: [{}, {}])
    """Options of `conv_voice`, one mapping a member. All read the same mel bands."""

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("voice_committee.members needs at least one member, e.g. [{width: 128}, {width: 64}]")
        bands = {config.bands for config in self.configs}
        if len(bands) > 1:
            raise ValueError(f"all members of a voice_committee read the same bands, got {sorted(bands)}")

    @property
    def configs(self) -> list[ConvVoiceConfig]:
        """The members' own configs."""
        return [from_dict(ConvVoiceConfig, options, f"voice_committee.members.{i}.")
                for i, options in enumerate(self.members)]  # fmt: skip

    @property
    def bands(self) -> int:
        """Mel bands of the input."""
        return self.configs[0].bands

    @property
    def prosody(self) -> bool:
        """Whether a member reads the melody."""
        return any(config.prosody for config in self.configs)

    @property
    def columns(self) -> int:
        """Values of an input frame."""
        return max(config.columns for config in self.configs)

    @property
    def parts(self) -> list[int]:
        """Channels of each member's states."""
        return [config.d_out for config in self.configs]

    @property
    def d_out(self) -> int:
        return sum(self.parts)

    def num_states(self, length: int) -> int:
        return self.configs[0].num_states(length)


@ENCODERS.register("voice_committee", VoiceCommitteeConfig)
class VoiceCommittee(Encoder):
    """Members that know nothing of each other."""

    def __init__(self, config: VoiceCommitteeConfig):
        super().__init__(config)
        self.members = nn.ModuleList(ConvVoice(member) for member in config.configs)

    def forward(self, values: Tensor, mask: Tensor, times_s: Tensor | None) -> EncoderStates:
        """log-mel [B, T, columns] -> states [B, ceil(T / 8), sum of the members' widths]."""
        found = [member(values[..., : member.config.columns], mask, times_s) for member in self.members]
        return EncoderStates(torch.cat([one.states for one in found], -1), found[0].mask, found[0].times_s)
