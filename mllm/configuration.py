"""`CuewiseConfig`: everything that determines the model, as plain JSON values that survive a round trip exactly."""

from dataclasses import asdict, dataclass
from typing import Any

from transformers import AutoConfig, PreTrainedConfig
from transformers.generation import GenerationConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from cuewise.mllm.config_tools import from_dict
from cuewise.mllm.heads import HeadsConfig
from cuewise.mllm.registry import COMPRESSORS, ENCODERS, FUSIONS
from cuewise.mllm.streams import StreamPlan, check_name
from cuewise.mllm.tokenizer import default_token_ids


@dataclass(kw_only=True, slots=True)
class CalibrationConfig:
    """How probabilities become the confidence that is reported. Fitted on validation data, stored with the weights."""

    temperature: float = 1.0
    """Divides the fused class logits before the softmax."""

    abstain_below: float = 0.0
    """A confidence below this is reported as `unsure`."""

    def __post_init__(self) -> None:
        if self.temperature <= 0 or not 0 <= self.abstain_below <= 1:
            raise ValueError(
                "calibration needs temperature > 0 and abstain_below in [0, 1], "
                f"got {self.temperature} and {self.abstain_below}"
            )


class CuewiseConfig(PreTrainedConfig):
    """A language model, streams that feed it, heads that read them.

    Args:
        text_config: config of any causal language model, as a mapping with `model_type` or as a config object.
        streams: stream name -> `StreamConfig` as a mapping.
        prefusion: ``{name: none | attn2, streams: [...], ...}``.
        heads: `HeadsConfig` as a mapping.
        features: `MelConfig` as a mapping.
        tokens: `TokenIds` as a mapping; by default the ids of a tokenizer made by `train_tokenizer`.
        calibration: `CalibrationConfig` as a mapping.
        writes_json: whether the model was trained to answer in JSON; else its text answers are turned into JSON.
        tasks: what it was trained for beside emotions, e.g. ``["statement"]``; answers to others are marked.
    """

    model_type = "cuewise"
    sub_configs = {"text_config": AutoConfig}  # noqa: RUF012  the library's own form

    text_config: dict | PreTrainedConfig | None = None
    streams: dict | None = None
    prefusion: dict | None = None
    heads: dict | None = None
    features: dict | None = None
    tokens: dict | None = None
    calibration: dict | None = None
    writes_json: bool = False
    tasks: list | None = None
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        _check_options(kwargs)
        self.text_config = _text_config(self.text_config)
        # A config without streams is only ever made by the library, which compares saved configs with a default one.
        self.streams = self.streams or {}
        self.tokens = self.tokens or default_token_ids()
        plan = None
        if self.streams:
            plan = StreamPlan.build(self.streams, self.prefusion or {"name": "none"}, self.features or {}, self.tokens)
            self.streams = {name: _resolved_stream(stream) for name, stream in plan.streams.items()}
            self.features = asdict(plan.features)
        self.prefusion = FUSIONS.resolve(plan.prefusion if plan else self.prefusion or {"name": "none"}, "prefusion")
        self.heads = asdict(from_dict(HeadsConfig, self.heads or {}, "heads."))
        self.calibration = asdict(from_dict(CalibrationConfig, self.calibration or {}, "calibration."))
        self.tasks = list(self.tasks or [])
        self.tie_word_embeddings = bool(getattr(self.text_config, "tie_word_embeddings", False))
        super().__post_init__(**kwargs)

    @property
    def plan(self) -> StreamPlan:
        """Streams, pre-fusion, features and token ids as typed objects."""
        return StreamPlan.build(self.streams, self.prefusion, self.features or {}, self.tokens)

    @property
    def heads_config(self) -> HeadsConfig:
        """What the heads read out."""
        return from_dict(HeadsConfig, self.heads, "heads.")

    @property
    def labels(self) -> list[str]:
        """Classes in the order of the class logits."""
        return list(self.heads["labels"])

    @property
    def calibration_config(self) -> CalibrationConfig:
        """Calibration of the reported confidence."""
        return from_dict(CalibrationConfig, self.calibration, "calibration.")


def _resolved_stream(stream: Any) -> dict[str, Any]:
    """A `StreamConfig` as plain values with every default of its parts written out."""
    return asdict(stream) | {
        "encoder": ENCODERS.resolve(stream.encoder), "compressor": COMPRESSORS.resolve(stream.compressor),
    }  # fmt: skip


def _text_config(values: dict | PreTrainedConfig | None) -> PreTrainedConfig:
    """The language model's config object; without one, the smallest sensible default."""
    if isinstance(values, PreTrainedConfig):
        return values
    values = dict(values or {"model_type": "qwen3"})
    kind = values.pop("model_type", None)
    if kind is None:
        raise ValueError("`text_config` needs `model_type`, e.g. qwen3, llama or gpt2")
    check_name("text_config.model_type", kind, tuple(CONFIG_MAPPING.keys()))
    return CONFIG_MAPPING[kind](**values)


def _check_options(options: dict[str, Any]) -> None:
    """Raise ValueError for an option neither this class nor the library knows, with the nearest one."""
    own = ("text_config", "streams", "prefusion", "heads", "features", "tokens", "calibration", "writes_json",
           "tasks")
    library = {*PreTrainedConfig().to_dict(), *GenerationConfig().to_dict(), "attn_implementation", "torch_dtype",
               "num_labels", "name_or_path", "output_attentions", "auto_map", "quantization_config", "use_cache",
               "experts_implementation", "per_layer_config", "model_type", "transformers_version"}  # fmt: skip
    for name in options:
        if not name.startswith("_") and name not in library:
            check_name("option of CuewiseConfig", name, own)
