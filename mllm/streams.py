"""Streams: which there are, how each becomes tokens, and how many. Model and processor share this plan.

`StreamPlan.num_tokens` is the one function that says how many rows an input becomes: the processor writes that many
placeholders, the model checks that it filled exactly those.
"""

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import cuewise.mllm.compressors
import cuewise.mllm.encoders
import cuewise.mllm.fusion  # noqa: F401
from cuewise.mllm.compressors import CompressorConfig, ProjectorConfig
from cuewise.mllm.config_tools import from_dict
from cuewise.mllm.encoders import EncoderConfig
from cuewise.mllm.encoders.features import MelConfig
from cuewise.mllm.fusion import FusionConfig
from cuewise.mllm.registry import COMPRESSORS, ENCODERS, FUSIONS

STREAMS = ("face", "scene", "voice", "words", "context")
"""What a clip may have. `context` is text of the caller about the clip; it is no channel that a cue may speak of."""

FUSED = "fused"
SLOTS = (*STREAMS, FUSED)
INPUT_KINDS = {
    "face": ("images",), "scene": ("images",), "voice": ("log_mel", "samples"), "words": ("token_ids",),
    "context": ("token_ids",),
}  # fmt: skip


@dataclass(kw_only=True, slots=True)
class StreamConfig:
    """One stream: encoder -> compressor -> projector."""

    encoder: dict[str, Any]
    """``{family: NAME, **options}``."""

    compressor: dict[str, Any] = field(default_factory=lambda: {"name": "attn_pool"})
    """``{name: NAME, tokens: K, **options}``."""

    projector: ProjectorConfig = field(default_factory=ProjectorConfig)
    """Sizes of the projector."""

    frozen: bool = False
    """The encoder keeps its weights, its eval mode and builds no gradients."""

    @property
    def encoder_config(self) -> EncoderConfig:
        """The encoder's own config dataclass."""
        return ENCODERS.config(self.encoder)

    @property
    def compressor_config(self) -> CompressorConfig:
        """The compressor's own config dataclass."""
        return COMPRESSORS.config(self.compressor)

    def num_tokens(self, length: int) -> int:
        """Language-model rows made from `length` valid input items (mel frames, samples, pictures, token ids)."""
        return self.compressor_config.num_tokens(self.encoder_config.num_states(length))


@dataclass(kw_only=True, slots=True)
class TokenIds:
    """Ids of the tokens that structure a prompt."""

    pad: int
    end: int
    user: int
    assistant: int
    placeholders: dict[str, int]
    """slot (face, scene, voice, words, context, fused) -> the id that a media row takes the place of."""

    begins: dict[str, int]
    """slot -> the id written before its rows."""

    media_end: int
    """The id written after the rows of a slot."""

    def __post_init__(self) -> None:
        ids = [self.pad, self.end, self.user, self.assistant, self.media_end]
        ids += [*self.placeholders.values(), *self.begins.values()]
        if len(set(ids)) != len(ids):
            raise ValueError(f"every structural token needs an id of its own, got {ids}")


@dataclass(slots=True)
class StreamPlan:
    """All streams of a model, in the order of `STREAMS`."""

    streams: dict[str, StreamConfig]
    prefusion: dict[str, Any]
    features: MelConfig
    tokens: TokenIds

    @classmethod
    def build(cls, streams: dict, prefusion: dict, features: dict, tokens: dict) -> "StreamPlan":
        """From plain values; unknown streams, names and options are errors that tell the nearest."""
        for name in streams:
            check_name("stream", name, STREAMS)
        built = {
            name: from_dict(StreamConfig, streams[name], f"streams.{name}.") for name in STREAMS if name in streams
        }
        if not built:
            raise ValueError(f"`streams` is empty; name at least one of {', '.join(STREAMS)}")
        prefusion = {**prefusion, "streams": prefusion.get("streams") or list(built)}
        for name in prefusion["streams"]:
            check_name("prefusion stream", name, tuple(built))
        plan = cls(
            built, prefusion, from_dict(MelConfig, features, "features."), from_dict(TokenIds, tokens, "tokens.")
        )
        plan.check()
        return plan

    def check(self) -> None:
        """Raise ValueError where the parts do not fit together."""
        slots = [*self.streams, FUSED]
        missing = [name for name in slots if name not in self.tokens.placeholders or name not in self.tokens.begins]
        if missing:
            raise ValueError(f"`tokens` gives no placeholder or begin id for {', '.join(missing)}")
        _ = self.fusion
        for name, stream in self.streams.items():
            encoder = ENCODERS.config(stream.encoder, f"streams.{name}.encoder")
            COMPRESSORS.config(stream.compressor, f"streams.{name}.compressor")
            if encoder.input_kind not in INPUT_KINDS[name]:
                raise ValueError(
                    f"streams.{name}.encoder `{stream.encoder['family']}` reads {encoder.input_kind}, "
                    f"but {name} offers {' or '.join(INPUT_KINDS[name])}"
                )
            if encoder.input_kind == "log_mel" and encoder.bands != self.features.bands:
                raise ValueError(
                    f"streams.{name}.encoder reads {encoder.bands} mel bands but features.bands is "
                    f"{self.features.bands}; make them equal"
                )
            if encoder.input_kind == "log_mel" and encoder.columns != self.features.columns:
                raise ValueError(
                    f"streams.{name}.encoder reads {encoder.columns} values a frame but features give "
                    f"{self.features.columns}; set features.prosody to {bool(encoder.prosody)}"
                )

    @property
    def fusion(self) -> FusionConfig:
        """The pre-fusion's own config dataclass."""
        return FUSIONS.config(self.prefusion, "prefusion")

    def num_tokens(self, lengths: dict[str, int]) -> dict[str, int]:
        """{present stream: valid input items} -> {slot: rows}, `fused` included when there is one."""
        for name in lengths:
            check_name("stream", name, tuple(self.streams))
        counts = {name: self.streams[name].num_tokens(lengths[name]) for name in STREAMS if name in lengths}
        fused = self.fusion.num_tokens(list(counts))
        return counts | ({FUSED: fused} if fused else {})


def check_name(kind: str, name: str, known: tuple[str, ...]) -> None:
    """Raise ValueError for a name that is not `known`, with the nearest one that is."""
    if name not in known:
        near = get_close_matches(str(name), known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
        raise ValueError(f"unknown {kind} `{name}`; {hint}")
