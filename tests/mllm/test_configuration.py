import json

import pytest
import tiny
from transformers import AutoConfig

from cuewise.mllm.configuration import CuewiseConfig
from cuewise.mllm.presets import nano_config


@pytest.mark.parametrize("llm", tiny.LLMS)
def test_saved_and_loaded_config_is_the_same_file(tmp_path, llm):
    config = tiny.tiny_config(llm)
    config.save_pretrained(tmp_path / "a")
    loaded = AutoConfig.from_pretrained(tmp_path / "a")
    loaded.save_pretrained(tmp_path / "b")
    assert isinstance(loaded, CuewiseConfig)
    assert (tmp_path / "a/config.json").read_text() == (tmp_path / "b/config.json").read_text()
    assert loaded.plan == config.plan and loaded.heads == config.heads
    assert loaded.text_config.to_dict() == config.text_config.to_dict()


def test_every_default_is_written_out():
    stored = json.loads(tiny.tiny_config().to_json_string())
    assert stored["streams"]["voice"]["encoder"]["temporal"] == "conv"
    assert stored["prefusion"]["streams"] == list(tiny.STREAMS)
    assert stored["heads"]["labels"][0] == "neutral" and len(stored["heads"]["labels"]) == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strems": {}}, r"unknown option of CuewiseConfig `strems`; did you mean `streams`"),
        ({"streams": {"voic": {}}}, r"unknown stream `voic`; did you mean `voice`"),
        ({"streams": {"voice": {"encoder": {"family": "conv_voise"}}}}, r"did you mean `conv_voice`"),
        ({"streams": {"voice": {"encoder": {"family": "conv_voice"}, "frosen": True}}}, r"`streams.voice.frozen`"),
        ({"streams": {"voice": {"encoder": {"family": "conv_face"}}}}, r"reads images, but voice offers log_mel"),
        ({"features": {"bands": 32}}, r"reads 16 mel bands but features.bands is 32"),
        ({"prefusion": {"name": "atn2"}}, r"unknown fusion `atn2`; did you mean `attn2`"),
        ({"prefusion": {"name": "attn2", "streams": ["fase"]}}, r"prefusion stream `fase`; did you mean `face`"),
        ({"heads": {"label": []}}, r"did you mean `heads.labels`"),
        ({"heads": {"labels": ["happy", "happy"]}}, r"names a label twice"),
        ({"calibration": {"temperature": 0.0}}, r"temperature > 0"),
        ({"text_config": {"model_type": "quen3"}}, r"did you mean `qwen3`"),
        ({"text_config": {"hidden_size": 32}}, r"needs `model_type`"),
    ],
)
def test_wrong_values_are_refused_with_what_to_do(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny.tiny_config(**changes)


@pytest.mark.parametrize(
    ("lengths", "counts"),
    [
        ({"voice": 101}, {"voice": 5, "fused": 1}),
        ({"voice": 9}, {"voice": 3, "fused": 1}),
        ({"voice": 1}, {"voice": 2, "fused": 1}),
        ({"face": 2, "scene": 1, "words": 40}, {"face": 3, "scene": 1, "words": 1, "fused": 1}),
        ({}, {}),
    ],
)
def test_number_of_rows_is_a_pure_function_of_the_lengths(lengths, counts):
    assert tiny.tiny_config().plan.num_tokens(lengths) == counts


def test_without_prefusion_there_is_no_fused_row():
    assert tiny.tiny_config(prefusion="none").plan.num_tokens({"voice": 101}) == {"voice": 5}


def test_nano_shows_at_least_eight_times_in_face_and_voice():
    counts = nano_config().plan.num_tokens({"face": 16, "scene": 16, "voice": 401, "words": 9})
    assert counts == {"face": 9, "scene": 2, "voice": 9, "words": 1, "fused": 1}
