from dataclasses import dataclass

import pytest
from torch import nn

from cuewise.mllm.registry import COMPRESSORS, ENCODERS, FUSIONS, Registry
from cuewise.mllm.streams import StreamPlan  # noqa: F401  registers everything


@dataclass(kw_only=True, slots=True)
class GainConfig:
    gain: float = 2.0
    sizes: tuple[int, ...] = (1, 2)


def plugin(registry: Registry) -> type[nn.Module]:
    @registry.register("gain", GainConfig)
    class Gain(nn.Module):
        def __init__(self, config: GainConfig, offset: int):
            super().__init__()
            self.config, self.offset = config, offset

    return Gain


def test_what_the_docs_promise_is_registered():
    assert {"conv_voice", "conv_face", "conv_scene", "text", "hf_vision", "hf_audio"} <= set(ENCODERS.names())
    assert {"mean", "attn_pool"} <= set(COMPRESSORS.names())
    assert {"none", "attn2"} <= set(FUSIONS.names())


def test_a_plugin_is_built_from_its_name_and_options():
    registry = Registry("toy")
    kind = plugin(registry)
    module = registry.build({"name": "gain", "gain": 3}, 5)
    assert isinstance(module, kind) and module.config.gain == 3.0 and module.offset == 5


def test_resolved_values_hold_every_default_and_resolve_to_themselves():
    registry = Registry("toy")
    plugin(registry)
    full = registry.resolve({"name": "gain"})
    assert full == {"name": "gain", "gain": 2.0, "sizes": [1, 2]}
    assert registry.resolve(full) == full


def test_an_unknown_name_tells_the_nearest_one():
    with pytest.raises(ValueError, match=r"unknown compressor `atn_pool`; did you mean `attn_pool`\?"):
        COMPRESSORS["atn_pool"]


def test_an_unknown_option_tells_the_nearest_one():
    with pytest.raises(ValueError, match=r"unknown option `encoder\.widht`; did you mean `encoder\.width`\?"):
        ENCODERS.config({"family": "conv_voice", "widht": 3}, "encoder")


def test_a_mapping_without_a_name_lists_the_names():
    with pytest.raises(ValueError, match=r"must be a mapping with `family`.*conv_voice"):
        ENCODERS.config({"width": 3}, "encoder")


def test_two_mechanisms_cannot_share_a_name():
    registry = Registry("toy")
    plugin(registry)
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("gain", GainConfig)(nn.Linear)
