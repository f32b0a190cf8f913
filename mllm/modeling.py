"""`CuewiseForConditionalGeneration`: streams of one person's clip in front of any causal language model.

Shapes: B clips, L prompt tokens, N rows of a slot, d language-model width, V vocabulary. The rows of a stream stand at
the positions of that stream's placeholder id, in order; their number is checked for every stream and every clip.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMultimodalLM,
    GenerationMixin,
    PreTrainedModel,
)
from transformers.utils import ModelOutput

from cuewise.mllm.configuration import CuewiseConfig
from cuewise.mllm.media_tokens import MediaTokens
from cuewise.mllm.shared_prefix import PackedLayout, packed_inputs
from cuewise.mllm.tensors import BATCH_KEYS
from cuewise.mllm.towers import EncodedBatch, MediaEncoder


@dataclass
class CuewiseOutput(ModelOutput):
    """What `forward` returns."""

    loss: Tensor | None = None
    """Mean cross-entropy of `labels`, when given."""

    logits: Tensor | None = None
    """[B, L, V]; structural ids that are never written (placeholders and so on) have the lowest possible value."""

    past_key_values: Any | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    encoded: EncodedBatch | None = None
    """Rows and readings of the streams, when raw stream tensors were given."""


class CuewisePreTrainedModel(PreTrainedModel):
    """What the library asks of a model class."""

    config_class = CuewiseConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    input_modalities = ("image", "video", "audio", "text")
    supports_gradient_checkpointing = True
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012  the library's own form

    def _init_weights(self, module: nn.Module) -> None:
        """Our modules initialise themselves when they are built; language model and hub encoders do theirs."""


class CuewiseForConditionalGeneration(CuewisePreTrainedModel, GenerationMixin):
    """Encoders, compressors, projectors and heads (`media`), and a causal language model (`language_model`)."""

    def __init__(self, config: CuewiseConfig):
        super().__init__(config)
        self.plan = config.plan
        self.language_model = AutoModelForCausalLM.from_config(config.text_config)
        d_model = self.language_model.get_input_embeddings().embedding_dim
        self.media = MediaEncoder(self.plan, config.heads_config, d_model)
        ids = self.plan.tokens
        self._never_written = sorted({
            ids.pad, ids.user, ids.assistant, ids.media_end, *ids.placeholders.values(), *ids.begins.values()
        })  # fmt: skip
        self._frozen: set[str] = set()
        self._adapter_parts: list[tuple[nn.Module, bool]] = []
        self.row_kinds: list[Any] = []
        """States of mechanisms in the language model that must know which rows are media; see `engine.kinds`."""

        self.adapter: Any | None = None
        """What `cuewise.mllm.adapters` put into this model."""

        self.post_init()
        self.generation_config.pad_token_id, self.generation_config.eos_token_id = ids.pad, ids.end
        self.freeze(*(f"{name}.encoder" for name, stream in self.plan.streams.items() if stream.frozen))

    # What the library asks for

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.language_model.set_output_embeddings(new_embeddings)

    def get_decoder(self) -> nn.Module:
        return self.language_model.get_decoder()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """As in the library, but missing, unexpected or mismatched weights are an error."""
        wants_info = kwargs.pop("output_loading_info", False)
        model, info = super().from_pretrained(pretrained_model_name_or_path, *args, output_loading_info=True, **kwargs)
        faults = {kind: sorted(map(str, info[kind])) for kind in info if info[kind]}
        if faults:
            listed = "; ".join(f"{kind}: {', '.join(keys[:5])} ({len(keys)} in all)" for kind, keys in faults.items())
            raise ValueError(
                f"the weights in {pretrained_model_name_or_path} do not fit this model ({listed}); "
                "use the config that was saved with them"
            )
        _align(model)
        return (model, info) if wants_info else model

    # Freezing

    def scopes(self) -> dict[str, nn.Module]:
        """Names that `freeze` and `unfreeze` take: `llm`, `fusion`, `fused_head`, STREAM.encoder and so on, and the
        wider `heads` (all heads) and STREAM (all its parts)."""
        found: dict[str, nn.Module] = {
            "llm": self.language_model, "fusion": self.media.fusion, "fused_head": self.media.fused_head,
        }  # fmt: skip
        if self.media.dialogue is not None:
            found["dialogue"] = self.media.dialogue
        found["heads"] = nn.ModuleList([self.media.fused_head])
        for name, tower in self.media.towers.items():
            found[name] = tower
            found |= {f"{name}.{part}": module for part, module in tower.named_children()}
            found["heads"].append(tower.head)
            found["heads"].extend([tower.units] if tower.units is not None else [])
        return found

    def freeze(self, *names: str) -> None:
        """Keep these scopes as they are: no gradients, and eval mode even while the model trains."""
        for name in names:
            self._scope(name).requires_grad_(False).eval()
            self._frozen.add(name)

    def unfreeze(self, *names: str) -> None:
        """Let these scopes train again."""
        for name in names:
            self._scope(name).requires_grad_(True).train(self.training)
            self._frozen.discard(name)
        for name in self._frozen:
            self._scope(name).requires_grad_(False).eval()

    def train_only(self, *names: str) -> None:
        """Freeze everything but these scopes."""
        for name in names:
            self._scope(name)
        self.requires_grad_(True)
        self._frozen.clear()
        for name in self.scopes():
            stream, _, part = name.partition(".")
            narrow = bool(part) or name in ("llm", "fusion", "fused_head", "dialogue")
            wider = {name, stream} | ({"heads"} if part in ("head", "units") or name == "fused_head" else set())
            if narrow and not wider & set(names):
                self.freeze(name)
        self.train(self.training)

    def train(self, mode: bool = True) -> "CuewiseForConditionalGeneration":
        super().train(mode)
        for name in getattr(self, "_frozen", ()):
            self._scope(name).eval()
        for part, learns in getattr(self, "_adapter_parts", ()):  # dropout of LoRA layers, also in frozen scopes
            part.train(mode and learns)
        return self

    def _scope(self, name: str) -> nn.Module:
        scopes = self.scopes()
        if name not in scopes:
            raise ValueError(f"unknown scope `{name}`; this model has {', '.join(sorted(scopes))}")
        return scopes[name]

    # From clips to rows

    def encode_batch(self, batch: Mapping[str, Tensor]) -> EncodedBatch:
        """Rows and readings of a batch made by `processor.collate`, with gradients where parts train."""
        given = {key: batch[key] for key in BATCH_KEYS if batch.get(key) is not None}
        if not given:
            raise ValueError(f"the batch holds no stream tensors; expected keys such as {', '.join(BATCH_KEYS[:3])}")
        return self.media(given, len(next(iter(given.values()))))

    def encode(self, batch: Mapping[str, Tensor]) -> list[MediaTokens]:
        """One `MediaTokens` per clip of a batch."""
        return self.encode_batch(batch).split()

    def prompt_rows(self, input_ids: Tensor | Sequence[int], media_tokens: MediaTokens | None = None) -> Tensor:
        """Prompt ids [L] and the clip's tokens -> embedding rows [L, d]. Raises ValueError where they do not match."""
        table = self.get_input_embeddings()
        ids = torch.as_tensor(input_ids, device=table.weight.device)
        rows = table(ids)
        tokens = media_tokens.tokens if media_tokens is not None else {}
        for slot, placeholder in self.plan.tokens.placeholders.items():
            places = ids == placeholder
            wanted, given = int(places.sum()), len(tokens.get(slot, ()))
            if wanted != given:
                raise ValueError(
                    f"{slot}: {wanted} placeholder tokens in the prompt but {given} rows from the encoder; "
                    "write the prompt with the processor saved with this model, for the same clip"
                )
            if given:
                rows = rows.masked_scatter(places.unsqueeze(-1), tokens[slot].to(rows))
        return rows

    def prompt_batch(self, input_ids: Tensor, media_tokens: Sequence[MediaTokens] | None) -> Tensor:
        """Prompts [B, L] -> rows [B, L, d]."""
        if media_tokens is None:
            media_tokens = [MediaTokens()] * len(input_ids)
        if len(media_tokens) != len(input_ids):
            raise ValueError(f"{len(input_ids)} prompts but {len(media_tokens)} clips; give one clip per prompt")
        rows = []
        for index, (ids, clip) in enumerate(zip(input_ids, media_tokens)):
            try:
                rows.append(self.prompt_rows(ids, clip))
            except ValueError as error:
                raise ValueError(f"prompt {index}: {error}") from None
        return torch.stack(rows)

    def batch_rows(self, input_ids: Tensor, encoded: EncodedBatch) -> Tensor:
        """What `prompt_batch` makes of `encoded.split()`, without taking the batch apart: [B, L] -> [B, L, d]."""
        places = {slot: input_ids == placeholder for slot, placeholder in self.plan.tokens.placeholders.items()}
        given = {slot: item.mask.sum(1) for slot, item in encoded.streams.items()}
        if not torch.stack([(here.sum(1) == given.get(slot, 0)).all() for slot, here in places.items()]).all():
            return self.prompt_batch(input_ids, encoded.split())  # says which clip and stream
        rows = self.get_input_embeddings()(input_ids)
        for slot, item in encoded.streams.items():
            rows = rows.masked_scatter(places[slot].unsqueeze(-1), item.tokens[item.mask].to(rows))
        return rows

    def packed_rows(
        self, input_ids: Tensor, layout: PackedLayout, media_tokens: Sequence[MediaTokens] | None
    ) -> Tensor:
        """A packed row of ids [1, L] and one clip per group -> rows [1, L, d]; media stands in prefixes only."""
        media_tokens = [MediaTokens()] * len(layout.groups) if media_tokens is None else media_tokens
        if len(media_tokens) != len(layout.groups) or tuple(input_ids.shape) != (1, layout.length):
            raise ValueError(
                f"the layout has {len(layout.groups)} groups in a row of {layout.length} tokens, "
                f"but {len(media_tokens)} clips and ids of shape {tuple(input_ids.shape)} were given"
            )
        rows = []
        for segment in layout.segments:
            clip = MediaTokens() if segment.position else media_tokens[segment.group]
            try:
                rows.append(self.prompt_rows(input_ids[0, segment.begin : segment.end], clip))
            except ValueError as error:
                raise ValueError(f"group {segment.group}: {error}") from None
        return torch.cat(rows)[None]

    # From rows to text

    def forward(
        self, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None,
        attention_mask: Tensor | None = None, labels: Tensor | None = None, position_ids: Tensor | None = None,
        past_key_values: Any | None = None, use_cache: bool | None = None, logits_to_keep: int | Tensor = 0,
        media_tokens: Sequence[MediaTokens] | None = None, packed: PackedLayout | None = None, **kwargs: Any,
    ) -> CuewiseOutput:  # fmt: skip
        """Prompt ids (or rows) and streams -> logits.

        Args:
            input_ids: [B, L] ids with placeholders; or `inputs_embeds` [B, L, d] with everything already in place.
            attention_mask: [B, L], 1 for real tokens; padding may stand on either side.
            labels: [B, L] ids to predict, -100 where nothing is asked.
            media_tokens: one per clip, from `encode`; or raw stream tensors as ``voice_values`` and so on in `kwargs`
                (see `cuewise.mllm.tensors`). Other `kwargs` go to the language model.
            packed: `input_ids` is one packed row [1, L] of this layout, with one clip per group.
        """
        streams = {key: kwargs.pop(key) for key in BATCH_KEYS if key in kwargs}
        streams = {key: value for key, value in streams.items() if value is not None}
        encoded = None
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("forward needs either input_ids or inputs_embeds, and not both")
        if inputs_embeds is not None and (streams or media_tokens is not None):
            raise ValueError("media was given with inputs_embeds, which have no placeholders; pass input_ids instead")
        if streams and media_tokens is not None:
            raise ValueError("raw stream tensors and media_tokens were both given; pass one of them")
        if inputs_embeds is None:
            if streams:
                encoded = self.encode_batch(streams)
                media_tokens = encoded.split() if packed is not None else None
            continued = past_key_values is not None and past_key_values.get_seq_length() > 0
            if packed is not None:
                inputs_embeds = self.packed_rows(input_ids, packed, media_tokens)
            elif encoded is not None:
                inputs_embeds = self.batch_rows(input_ids, encoded)
            elif continued and media_tokens is None:
                inputs_embeds = self.get_input_embeddings()(input_ids)
            else:
                inputs_embeds = self.prompt_batch(input_ids, media_tokens)
        if packed is not None:
            kwargs |= packed_inputs(self.language_model, packed, inputs_embeds)
        else:
            kwargs |= {
                "attention_mask": attention_mask, "past_key_values": past_key_values, "use_cache": use_cache,
                **self._positions(position_ids, attention_mask, inputs_embeds.shape[1], past_key_values),
            }  # fmt: skip
        out = self.language_model(inputs_embeds=inputs_embeds, logits_to_keep=logits_to_keep, **kwargs)
        logits = self._without_structure(out.logits)
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=logits.shape[-1],
                num_items_in_batch=kwargs.get("num_items_in_batch"),
            )  # fmt: skip
        return CuewiseOutput(
            loss=loss, logits=logits, past_key_values=out.past_key_values, hidden_states=out.hidden_states,
            attentions=out.attentions, encoded=encoded,
        )  # fmt: skip

    @torch.no_grad()
    def generate(
        self, input_ids: Tensor | None = None, media_tokens: Sequence[MediaTokens] | None = None, **kwargs: Any
    ) -> Any:
        """As in the library, with `media_tokens` or raw stream tensors beside `input_ids`; media is encoded once."""
        streams = {key: kwargs.pop(key) for key in BATCH_KEYS if key in kwargs}
        streams = {key: value for key, value in streams.items() if value is not None}
        if streams:
            if media_tokens is not None:
                raise ValueError("raw stream tensors and media_tokens were both given; pass one of them")
            media_tokens = self.encode(streams)
        if media_tokens is not None:
            if input_ids is None:
                raise ValueError("media needs input_ids with placeholders to stand at")
            kwargs["inputs_embeds"] = self.prompt_batch(input_ids, media_tokens)
        return super().generate(input_ids, **kwargs)

    def _positions(self, position_ids: Any, attention_mask: Any, length: int, cache: Any) -> dict[str, Tensor]:
        """Positions count real tokens only, so that padding on the left changes nothing."""
        if "position_ids" not in signature(self.language_model.forward).parameters:
            return {}
        if position_ids is None and attention_mask is not None and attention_mask.ndim == 2:
            position_ids = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, -length:]
        return {"position_ids": position_ids}

    def _without_structure(self, logits: Tensor) -> Tensor:
        """Ids that structure prompts are never written, in training, in generation and in scoring alike."""
        ids = torch.tensor([i for i in self._never_written if i < logits.shape[-1]], device=logits.device)
        return logits.index_fill(-1, ids, torch.finfo(logits.dtype).min)


def _align(model: nn.Module) -> None:
    """Copy weights that lie at odd addresses of a mapped file: CPU kernels sum in another order there."""
    for weight in (*model.parameters(), *model.buffers()):
        if weight.device.type == "cpu" and weight.data_ptr() % 64:
            weight.data = weight.data.clone()


AutoConfig.register("cuewise", CuewiseConfig, exist_ok=True)
AutoModel.register(CuewiseConfig, CuewiseForConditionalGeneration, exist_ok=True)
AutoModelForMultimodalLM.register(CuewiseConfig, CuewiseForConditionalGeneration, exist_ok=True)
