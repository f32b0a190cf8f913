"""`hf_vision` and `hf_audio`: any vision or audio encoder of the transformers library, described by its own config.

The nested config (with `model_type`) is part of ours, so a saved model rebuilds its encoders without asking any hub.
Weights come with the checkpoint, or once from a folder or hub name by `load_weights`.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from cuewise.mllm.encoders.base import (
    Encoder,
    EncoderConfig,
    EncoderStates,
    ImageEncoderConfig,
    InputKind,
    clip_means,
)
from cuewise.mllm.encoders.expert_block import add_experts
from cuewise.mllm.registry import ENCODERS

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
WHISPER_SECONDS, WHISPER_HOP = 30, 160
BALANCE_WEIGHT = 1e-3
"""Weight of the experts' load balance beside the loss of a stage, as in S4D."""


def inner_config(values: dict[str, Any], part: str) -> PreTrainedConfig:
    """The library's config object; of a two-sided model (CLIP, SigLIP) the `part`, e.g. ``vision_config``."""
    values = dict(values)
    kind = values.pop("model_type", None)
    if kind not in CONFIG_MAPPING:
        raise ValueError(f"encoder.hf.model_type {kind!r} is not known to transformers; e.g. clip_vision_model, hubert")
    config = CONFIG_MAPPING[kind](**values)
    return getattr(config, part, None) or config


def hidden_size(config: PreTrainedConfig) -> int:
    """Width of the hidden states."""
    for name in ("hidden_size", "d_model"):
        if isinstance(getattr(config, name, None), int):
            return getattr(config, name)
    raise ValueError(f"{config.model_type}: the config names neither hidden_size nor d_model")


def pick_layers(output: Any, layers: list[int]) -> Tensor:
    """The last hidden state, or the mean of the chosen hidden states (0 = embeddings, -1 = last layer)."""
    if not layers:
        return output.last_hidden_state
    return torch.stack([output.hidden_states[index] for index in layers]).mean(0)


def load_into(model: PreTrainedModel, name_or_path: str, part: str | None = None) -> None:
    """Fill `model` with the weights of a checkpoint; of a two-sided model its `part`. Shapes must fit."""
    source = AutoModel.from_pretrained(name_or_path)
    source = getattr(source, part, source) if part else source
    state = source.state_dict()
    fitting = {key: state[key] for key in model.state_dict() if key in state}
    missing = sorted(set(model.state_dict()) - set(fitting))
    if missing:
        raise ValueError(f"{name_or_path} lacks {len(missing)} weights of this encoder, e.g. {missing[0]}")
    model.load_state_dict(fitting)


@dataclass(kw_only=True, slots=True)
class HFVisionConfig(ImageEncoderConfig):
    """A vision encoder: CLIP, SigLIP, DINOv2 and so on. One state per picture."""

    hf: dict[str, Any] = field(default_factory=dict)
    """The encoder's own config with `model_type`."""

    image_size: int = 224
    """Side of the pictures in pixels, as the encoder expects it."""

    layers: list[int] = field(default_factory=list)
    """Hidden states that are averaged (0 = embeddings, -1 = last); empty takes the final, normed output."""

    pool: Literal["cls", "mean", "patches"] = "cls"
    """One state per picture, its first token or the mean over all; or one state per patch, row after row."""

    experts: dict[str, Any] = field(default_factory=dict)
    """Bottleneck experts beside the feed-forward of the last `layers` layers (S4D): layers, experts, top, ratio,
    capacity; none when empty."""

    image_mean: list[float] = field(default_factory=lambda: list(CLIP_MEAN))
    """Mean of each colour, of values in [0, 1]."""

    image_std: list[float] = field(default_factory=lambda: list(CLIP_STD))
    """Deviation of each colour."""

    def __post_init__(self) -> None:
        if self.pool not in ("cls", "mean", "patches"):
            raise ValueError(f"hf_vision.pool must be cls, mean or patches, got {self.pool!r}")
        unknown = sorted(set(self.experts) - {"layers", "experts", "top", "ratio", "capacity"})
        if unknown:
            raise ValueError(f"hf_vision.experts has no option `{unknown[0]}`; it has layers, experts, top, ratio, "
                             "capacity")  # fmt: skip
        inner = inner_config(self.hf, "vision_config")
        if self.pool == "cls" and inner.model_type.startswith("siglip"):
            raise ValueError("hf_vision.pool is cls but SigLIP has no class token; set it to mean")
        side = getattr(inner, "image_size", self.image_size)
        if side != self.image_size:
            raise ValueError(f"hf_vision.image_size is {self.image_size} but the encoder was made for {side}")

    @property
    def d_out(self) -> int:
        return hidden_size(inner_config(self.hf, "vision_config"))

    @property
    def patches(self) -> int:
        """Patches of one picture."""
        return (self.image_size // inner_config(self.hf, "vision_config").patch_size) ** 2

    def num_states(self, length: int) -> int:
        return length * self.patches if self.pool == "patches" else length


@ENCODERS.register("hf_vision", HFVisionConfig)
class HFVision(Encoder):
    """Each picture on its own."""

    def __init__(self, config: HFVisionConfig):
        super().__init__(config)
        self.model = AutoModel.from_config(inner_config(config.hf, "vision_config"))
        options = dict(config.experts)
        self.experts = add_experts(self.model, config.d_out, options.pop("layers", 6), **options) if options else []

    def balance(self) -> Tensor:
        """Mean load-balance term of the experts in the last forward pass; 0 without experts."""
        return torch.stack([e.balance for e in self.experts]).mean() if self.experts else torch.zeros(())

    def auxiliary(self) -> Tensor | None:
        term = BALANCE_WEIGHT * self.balance()
        for expert in self.experts:
            expert.balance = expert.balance.detach()
        return term if self.experts else None

    @property
    def depth_widths(self) -> list[int]:
        return [self.d_out] * (self.model.config.num_hidden_layers + 1)

    def forward(self, values: Tensor, mask: Tensor, times_s: Tensor | None) -> EncoderStates:
        """uint8 pictures [B, T, S, S, 3] -> states [B, T, C], or [B, T * patches, C]."""
        out = self._read(values[mask])
        self.keep_depths([clip_means(layer.mean(1), mask) for layer in out.hidden_states or ()])
        seen = pick_layers(out, self.config.layers)
        if self.config.pool == "patches":
            return self._patches(seen[:, -self.config.patches :], mask, times_s)
        picked = seen[:, 0] if self.config.pool == "cls" else seen.mean(1)
        states = picked.new_zeros(*mask.shape, picked.shape[-1])
        states[mask] = picked
        return EncoderStates(states, mask, times_s)

    def _patches(self, seen: Tensor, mask: Tensor, times_s: Tensor | None) -> EncoderStates:
        """[n, patches, C] of the valid pictures -> every patch a state, with the time of its picture."""
        states = seen.new_zeros(*mask.shape, *seen.shape[1:])
        states[mask] = seen
        times = None if times_s is None else times_s.repeat_interleave(seen.shape[1], 1)
        return EncoderStates(states.flatten(1, 2), mask.repeat_interleave(seen.shape[1], 1), times)

    def picture_maps(self, pictures: Tensor) -> Tensor:
        """uint8 [n, S, S, 3] -> the patches of each picture [n, h, w, C]."""
        side = round(self.config.patches**0.5)
        seen = pick_layers(self._read(pictures), self.config.layers)
        return seen[:, -self.config.patches :].unflatten(1, (side, side))

    def _read(self, pictures: Tensor) -> Any:
        """What the library's encoder says about uint8 pictures [n, S, S, 3]."""
        dtype = next(self.model.parameters()).dtype
        mean, std = (
            torch.tensor(value, device=pictures.device) for value in (self.config.image_mean, self.config.image_std)
        )
        pixels = ((pictures.float() / 255 - mean) / std).permute(0, 3, 1, 2).to(dtype)
        wanted = bool(self.config.layers) or self.depths is not None
        return self.model(pixel_values=pixels, output_hidden_states=wanted)

    def load_weights(self, name_or_path: str) -> None:
        """Weights of a checkpoint in a folder or on the hub."""
        if self.experts:
            raise ValueError("load the weights of the encoder before experts are added: build it without `experts`, "
                             "load, save, and add them with the next config")  # fmt: skip
        load_into(self.model, name_or_path, "vision_model")


@dataclass(kw_only=True, slots=True)
class HFAudioConfig(EncoderConfig):
    """An audio encoder: HuBERT, WavLM, wav2vec 2.0 (samples in) or the encoder of Whisper (log-mel in)."""

    input_kind: ClassVar[InputKind] = "samples"

    hf: dict[str, Any] = field(default_factory=dict)
    """The encoder's own config with `model_type`."""

    layers: list[int] = field(default_factory=list)
    """Hidden states that are averaged (0 = embeddings, -1 = last); empty takes the final output."""

    normalise: bool = True
    """Zero mean and unit deviation per clip, as most sample-reading encoders were trained. Not used for Whisper."""

    stride: int = 1
    """Neighbouring states that are averaged into one."""

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError(f"hf_audio.stride must be >= 1, got {self.stride}")
        inner = inner_config(self.hf, "audio_config")
        if not self.is_mel and not hasattr(inner, "conv_kernel"):
            raise ValueError(
                f"hf_audio reads encoders of samples (HuBERT, WavLM, wav2vec 2.0) and Whisper, not {inner.model_type}"
            )

    @property
    def is_mel(self) -> bool:
        """Whether the encoder reads Whisper's log-mel windows of 30 s."""
        return self.hf.get("model_type") == "whisper"

    @property
    def d_out(self) -> int:
        return hidden_size(inner_config(self.hf, "audio_config"))

    @property
    def min_samples(self) -> int:
        """Shorter clips are padded with silence to this length."""
        if self.is_mel:
            return 2 * WHISPER_HOP
        need = 1
        inner = inner_config(self.hf, "audio_config")
        for kernel, step in reversed(list(zip(inner.conv_kernel, inner.conv_stride))):
            need = (need - 1) * step + kernel
        return need

    def num_states(self, length: int) -> int:
        """States from `length` samples at 16 kHz."""
        length = max(length, self.min_samples)
        if self.is_mel:
            states = -(-length // (2 * WHISPER_HOP))
        else:
            states = length
            inner = inner_config(self.hf, "audio_config")
            for kernel, step in zip(inner.conv_kernel, inner.conv_stride):
                states = (states - kernel) // step + 1
        return -(-states // self.stride)


@ENCODERS.register("hf_audio", HFAudioConfig)
class HFAudio(Encoder):
    """Clips of one length at a time: group norm in the first HuBERT layer sees padding and would change the states."""

    def __init__(self, config: HFAudioConfig):
        super().__init__(config)
        inner = inner_config(config.hf, "audio_config")
        if config.is_mel:
            from transformers.models.whisper.modeling_whisper import WhisperEncoder

            self.model = WhisperEncoder(inner)
        else:
            self.model = AutoModel.from_config(inner)

    def forward(self, values: Tensor, mask: Tensor, times_s: Tensor | None) -> EncoderStates:
        """samples [B, T] at 16 kHz -> states [B, N, C]."""
        lengths = mask.sum(1).tolist()
        rows: list[Tensor | None] = [None] * len(lengths)
        for length in sorted(set(lengths)):
            group = [index for index, size in enumerate(lengths) if size == length]
            clips = torch.stack([values[index][mask[index]] for index in group])
            for index, states in zip(group, self._states(clips)):
                rows[index] = states
        valid = torch.tensor([len(row) for row in rows], device=values.device)
        states = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        steps = torch.arange(states.shape[1], device=values.device)
        return EncoderStates(states, steps < valid[:, None], self._times(mask, times_s, steps, valid))

    def _times(self, mask: Tensor, times_s: Tensor | None, steps: Tensor, valid: Tensor) -> Tensor | None:
        """[B, N] centre of each state; states divide the clip evenly."""
        if times_s is None:
            return None
        last = (times_s * mask).amax(1, keepdim=True)
        return (steps + 0.5) / valid[:, None] * last

    def _states(self, clips: Tensor) -> Tensor:
        """Clips [n, T] of equal length, without padding -> [n, N, C]."""
        clips = functional.pad(clips.float(), (0, max(0, self.config.min_samples - clips.shape[1])))
        states = self._mel_states(clips) if self.config.is_mel else self._wave_states(clips)
        if self.config.stride > 1:
            states = functional.avg_pool1d(
                states.transpose(1, 2), self.config.stride, ceil_mode=True, count_include_pad=False
            ).transpose(1, 2)
        return states

    def _wave_states(self, clips: Tensor) -> Tensor:
        if self.config.normalise:
            clips = (clips - clips.mean(1, keepdim=True)) / (clips.var(1, keepdim=True, unbiased=False) + 1e-7).sqrt()
        dtype = next(self.model.parameters()).dtype
        out = self.model(clips.to(dtype), output_hidden_states=bool(self.config.layers))
        return pick_layers(out, self.config.layers)

    def _mel_states(self, clips: Tensor) -> Tensor:
        """Windows of 30 s, each padded with silence as in training; states of the padding are cut off."""
        from transformers import WhisperFeatureExtractor

        reader = WhisperFeatureExtractor(feature_size=self.model.config.num_mel_bins, chunk_length=WHISPER_SECONDS)
        weight, parts = next(self.model.parameters()), []
        for piece in clips.split(WHISPER_SECONDS * 16_000, dim=1):
            mel = reader(list(piece.cpu().numpy()), sampling_rate=16_000, return_tensors="pt")["input_features"]
            out = self.model(mel.to(weight), output_hidden_states=bool(self.config.layers))
            parts.append(pick_layers(out, self.config.layers)[:, : -(-piece.shape[1] // (2 * WHISPER_HOP))])
        return torch.cat(parts, 1)

    def load_weights(self, name_or_path: str) -> None:
        """Weights of a checkpoint in a folder or on the hub."""
        load_into(self.model, name_or_path, "encoder" if self.config.is_mel else None)
