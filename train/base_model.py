"""The model a recipe describes: language model, encoders and what joins them, with weights from a hub or a folder.

    model:
      weights: {llm: Qwen/Qwen2.5-7B-Instruct, face: openai/clip-vit-large-patch14}
      text: {model_type: qwen2, hidden_size: 3584, ...}
      streams: {face: {encoder: {family: hf_vision, hf: {...}}, compressor: {name: attn_pool, tokens: 1}}}
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cuewise.mllm.configuration import CuewiseConfig
from cuewise.mllm.folders import model_folder
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.streams import check_name
from cuewise.mllm.tokenizer import SPECIAL_TOKENS, TAG_TOKENS, add_structure, default_token_ids, token_ids


@dataclass(kw_only=True, slots=True)
class BaseModelConfig:
    """Shapes of all parts, and where their weights come from."""

    text: dict[str, Any]
    """Config of the language model with `model_type`, as transformers writes it."""

    streams: dict[str, Any]
    """As `streams` of the model's config: encoder, compressor, projector, frozen."""

    prefusion: dict[str, Any] = field(default_factory=lambda: {"name": "none"})
    heads: dict[str, Any] = field(default_factory=dict)
    features: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    """`llm`, or a stream whose encoder it is -> hub name or folder."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights that no stage trains in full; trained ones are float32."""

    def __post_init__(self) -> None:
        for name in self.weights:
            check_name("part under model.weights", name, ("llm", *self.streams))
        if self.dtype not in ("float32", "bfloat16"):
            raise ValueError(f"model.dtype must be float32 or bfloat16, got {self.dtype!r}")

    def config(self, tokens: dict[str, Any], vocab_size: int) -> CuewiseConfig:
        """The model's own config for a tokenizer."""
        text = self.text | {"vocab_size": vocab_size, "pad_token_id": tokens["pad"], "eos_token_id": tokens["end"],
                            "bos_token_id": None}  # fmt: skip
        return CuewiseConfig(text_config=text, streams=self.streams, prefusion=self.prefusion, heads=self.heads,
                             features=self.features, tokens=tokens)  # fmt: skip


def on_meta(base: BaseModelConfig) -> CuewiseForConditionalGeneration:
    """The model without any memory for weights, to count and to check a recipe against."""
    before = int(base.text.get("vocab_size", 32_000))
    own = default_token_ids()
    tokens = {name: {key: before + at for key, at in value.items()} if isinstance(value, dict) else before + value
              for name, value in own.items()}  # fmt: skip
    config = base.config(tokens, before + len(SPECIAL_TOKENS) + len(TAG_TOKENS))
    with torch.device("meta"):
        return CuewiseForConditionalGeneration(config)


def load_base(
    base: BaseModelConfig, trained: list[str]
) -> tuple[CuewiseForConditionalGeneration, CuewiseProcessor]:
    """The model with the weights of `base.weights`, whose other parts are new.

    Args:
        trained: scopes that some stage trains in full; they stay in float32.
    Raises ValueError where a checkpoint cannot be had or does not fit.
    """
    if "llm" not in base.weights:
        raise ValueError("model.weights needs `llm`: the hub name or folder of the language model and its tokenizer")
    try:
        tokenizer = AutoTokenizer.from_pretrained(base.weights["llm"])
        language_model = AutoModelForCausalLM.from_pretrained(base.weights["llm"], dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ValueError(f"model.weights.llm {base.weights['llm']!r} cannot be loaded: {str(error).splitlines()[0]} "
                         "Give a folder, or run where the hub can be reached") from error  # fmt: skip
    add_structure(tokenizer)
    size = max(len(tokenizer), language_model.get_input_embeddings().num_embeddings)
    model = CuewiseForConditionalGeneration(base.config(token_ids(tokenizer), size))
    language_model.resize_token_embeddings(size, mean_resizing=False)
    wrong = model.language_model.load_state_dict(language_model.state_dict(), strict=False)
    if wrong.missing_keys or wrong.unexpected_keys:
        first = (wrong.missing_keys + wrong.unexpected_keys)[0]
        raise ValueError(f"model.text does not describe {base.weights['llm']}: e.g. {first} fits only one of them")
    for stream, name in base.weights.items():
        if stream != "llm":
            model.media.towers[stream].encoder.load_weights(name)
    lower_frozen(model, base, trained)
    return model, CuewiseProcessor.from_config(model.config, tokenizer)


def lower_frozen(model: CuewiseForConditionalGeneration, base: BaseModelConfig, trained: list[str]) -> None:
    """Frozen language model and encoders in `base.dtype`."""
    if base.dtype == "float32":
        return
    scopes = model.scopes()
    for name in ("llm", *(f"{stream}.encoder" for stream in base.streams)):
        if name not in trained and name.split(".")[0] not in trained:
            scopes[name].to(torch.bfloat16)


def load(name: str) -> tuple[CuewiseForConditionalGeneration, CuewiseProcessor]:
    """Model and processor of a shipped model or a model folder."""
    folder = model_folder(name)
    return CuewiseForConditionalGeneration.from_pretrained(folder), CuewiseProcessor.from_pretrained(folder)
