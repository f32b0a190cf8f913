"""A config picks any compressor and any pre-fusion by name: the whole model prompts, encodes and learns with it."""

import copy

import pytest
import tiny
import torch

from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.prompts import build
from cuewise.mllm.registry import COMPRESSORS, FUSIONS

PREFUSIONS = {
    "none": {}, "attn2": {}, "conv_attn": {"steps": 3, "hidden": 8}, "qformer_mm": {"tokens": 2, "hidden": 8},
    "xattn_experts": {"hidden": 8, "steps": 3, "per_step": True}, "prompt_gate": {"steps": 2, "hidden": 8},
    "text_anchor": {"hidden": 8, "heads": 2},
}  # fmt: skip
VOICE = {
    "mean": {"tokens": 3, "summary": True}, "attn_pool": {"tokens": 3}, "qformer": {"tokens": 3, "hidden": 8},
    "window_qformer": {"tokens": 3, "hidden": 8}, "bridge_transformer": {"tokens": 3}, "adaptive_pool": {"tokens": 3},
    "group4": {}, "stc_conv": {"grid": [1, 1]}, "tube_topk": {"grid": [1, 1], "window": [2, 1, 1], "tubes": 2},
    "hybrid_compressor": {"tokens": 3, "experts": 2}, "lifting": {"odd": "repeat"},
}  # fmt: skip


def model_with(prefusion: dict | None = None, voice: dict | None = None) -> CuewiseForConditionalGeneration:
    streams = copy.deepcopy(tiny.tiny_config().streams)
    if voice:
        streams["voice"]["compressor"] = voice
    torch.manual_seed(0)
    return CuewiseForConditionalGeneration(tiny.tiny_config(prefusion=prefusion or {"name": "attn2"}, streams=streams))


def check(model: CuewiseForConditionalGeneration, tmp_path) -> None:
    """Prompt and rows agree for every subset of streams; a saved model answers the same."""
    processor = tiny.tiny_processor(model.config)
    for streams in (tiny.STREAMS, ("voice",), ("face", "words")):
        clip = processor.tensors(tiny.tiny_media(streams=streams))
        said = "we won" if "words" in streams else None
        ids = processor.prompt_ids(build(clip.streams, transcript=said), processor.num_tokens(clip))
        batch = processor.collate([clip])
        ids = torch.tensor([ids])
        out = model.train()(ids, labels=ids.masked_fill(ids < 20, -100), **batch)
        assert torch.isfinite(out.loss)
    out.loss.backward()
    model.eval().save_pretrained(tmp_path)
    again = CuewiseForConditionalGeneration.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(ids, **batch).logits, model(ids, **batch).logits)


def test_every_mechanism_is_picked_here():
    assert set(PREFUSIONS) == set(FUSIONS.names()) and set(VOICE) == set(COMPRESSORS.names())


@pytest.mark.parametrize("name", PREFUSIONS)
def test_a_prefusion_is_picked_by_name(name, tmp_path):
    check(model_with(prefusion={"name": name, **PREFUSIONS[name]}), tmp_path)


@pytest.mark.parametrize("name", VOICE)
def test_a_compressor_is_picked_by_name(name, tmp_path):
    check(model_with(voice={"name": name, **VOICE[name]}), tmp_path)
