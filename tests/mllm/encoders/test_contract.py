"""Every encoder family keeps the contract of `cuewise.mllm.encoders.base`. Floats are compared at 1e-5 (fp32)."""

import pytest
import torch

import cuewise.mllm.encoders  # noqa: F401  registers the families
from cuewise.mllm.registry import ENCODERS

CONV = {"channels": [8, 8, 8, 8], "width": 16}
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**SMALL, "image_size": 16, "patch_size": 8}
SPEECH = {
    **SMALL, "conv_dim": [8, 8, 8], "conv_kernel": [10, 3, 2], "conv_stride": [5, 2, 2], "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
WHISPER = {
    "model_type": "whisper", "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32,
    "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "num_mel_bins": 80,
}  # fmt: skip
FAMILIES = {
    "conv_voice": {"family": "conv_voice", "bands": 16, **CONV},
    "conv_voice group": {"family": "conv_voice", "bands": 16, "norm": "group", "temporal": "attention", **CONV},
    "conv_voice melody": {"family": "conv_voice", "bands": 16, "prosody": [8, 8, 8], "keep_level": True, **CONV},
    "conv_voice melody kept": {
        "family": "conv_voice", "bands": 16, "prosody": [8, 8, 8], "keep_melody": True, **CONV,
    },
    "voice_committee": {"family": "voice_committee", "members": [
        {"bands": 16, "prosody": [8, 8, 8], "keep_melody": True, **CONV}, {"bands": 16, **CONV},
    ]},
    "face_actions": {"family": "face_actions", "width": 16},
    "conv_face": {"family": "conv_face", "image_size": 32, **CONV},
    "conv_face group": {"family": "conv_face", "image_size": 32, "norm": "group", **CONV},
    "conv_scene": {"family": "conv_scene", "image_size": 32, **CONV},
    "scene_person": {"family": "scene_person", "inner": {"family": "conv_scene", "image_size": 32, **CONV}},
    "text": {"family": "text", "vocab_size": 50, "width": 16},
    "vad_text": {"family": "vad_text", "vocab_size": 50, "width": 16, "vad_width": 8, "vad_layers": 1},
    "clip": {"family": "hf_vision", "image_size": 16, "hf": {"model_type": "clip_vision_model", **VISION}},
    "clip patches": {
        "family": "hf_vision", "image_size": 16, "pool": "patches", "hf": {"model_type": "clip_vision_model", **VISION},
    },
    "clip experts": {
        "family": "hf_vision", "image_size": 16, "experts": {"layers": 1, "experts": 4},
        "hf": {"model_type": "clip_vision_model", **VISION},
    },
    "siglip": {
        "family": "hf_vision", "image_size": 16, "pool": "mean", "layers": [-2],
        "hf": {"model_type": "siglip_vision_model", **VISION},
    },
    "dinov2": {"family": "hf_vision", "image_size": 16, "layers": [0, -1], "hf": {"model_type": "dinov2", **VISION}},
    "hubert": {"family": "hf_audio", "layers": [-1, -2], "hf": {"model_type": "hubert", **SPEECH}},
    "wavlm": {"family": "hf_audio", "stride": 3, "hf": {"model_type": "wavlm", **SPEECH}},
    "whisper": {"family": "hf_audio", "stride": 2, "hf": WHISPER},
}  # fmt: skip
LENGTHS = {"log_mel": (37, 9, 1), "images": (5, 2, 1), "token_ids": (7, 3, 1), "samples": (2400, 700, 30)}


def built(name: str):
    encoder = ENCODERS.build(FAMILIES[name])
    for weight in encoder.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.1)
    return encoder.eval()


def inputs(encoder, length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One clip of `length` items."""
    kind = encoder.config.input_kind
    if kind == "log_mel":
        values = torch.randn(1, length, encoder.config.columns)
    elif kind == "images":
        side = encoder.config.image_size
        values = torch.randint(0, 255, (1, length, side, side, encoder.config.in_channels), dtype=torch.uint8)
    elif kind == "token_ids":
        values = torch.randint(0, 50, (1, length))
    else:
        values = torch.randn(1, length)
    return values, torch.ones(1, length, dtype=torch.bool), torch.arange(length)[None] / length


def batched(items):
    longest = max(values.shape[1] for values, _, _ in items)
    parts = [[], [], []]
    for item in items:
        for store, part in zip(parts, item):
            more = part.new_full((1, longest - part.shape[1], *part.shape[2:]), 0)
            store.append(torch.cat([part, more], 1))
    return [torch.cat(part) for part in parts]


@pytest.mark.parametrize("name", FAMILIES)
def test_number_and_width_of_states_are_declared(name):
    encoder = built(name)
    for length in LENGTHS[encoder.config.input_kind]:
        out = encoder(*inputs(encoder, length))
        assert out.states.shape == (1, encoder.config.num_states(length), encoder.d_out)
        assert out.mask.all() and out.states.isfinite().all()


@pytest.mark.parametrize("name", FAMILIES)
def test_padding_and_neighbours_change_nothing(name):
    encoder = built(name)
    items = [inputs(encoder, length) for length in LENGTHS[encoder.config.input_kind]]
    together = encoder(*batched(items))
    for row, item in enumerate(items):
        alone = encoder(*item)
        keep = together.mask[row]
        assert int(keep.sum()) == alone.states.shape[1]
        torch.testing.assert_close(together.states[row][keep], alone.states[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(together.times_s[row][keep], alone.times_s[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_times_rise_and_stay_inside_the_clip(name):
    encoder = built(name)
    out = encoder(*inputs(encoder, LENGTHS[encoder.config.input_kind][0]))
    rises = out.times_s.diff() >= 0 if "patches" in name else out.times_s.diff() > 0
    assert rises.all() and out.times_s.min() >= 0 and out.times_s.max() <= 1


@pytest.mark.parametrize("name", FAMILIES)
def test_eval_mode_is_deterministic(name):
    encoder = built(name)
    item = inputs(encoder, LENGTHS[encoder.config.input_kind][0])
    assert torch.equal(encoder(*item).states, encoder(*item).states)


@pytest.mark.parametrize("name", FAMILIES)
def test_another_input_gives_other_states(name):
    encoder = built(name)
    length = LENGTHS[encoder.config.input_kind][0]
    one, other = (encoder(*inputs(encoder, length)).states for _ in range(2))
    assert not torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("name", ["clip", "hubert", "whisper"])
def test_hub_weights_can_be_loaded_from_a_folder(name, tmp_path):
    source, target = built(name), built(name)
    if name == "whisper":
        from transformers import WhisperConfig, WhisperModel

        values = {key: value for key, value in WHISPER.items() if key != "model_type"}
        whole = WhisperModel(WhisperConfig(**values))
        whole.encoder.load_state_dict(source.model.state_dict())
        whole.save_pretrained(tmp_path)
    else:
        source.model.save_pretrained(tmp_path)
    item = inputs(source, LENGTHS[source.config.input_kind][0])
    assert not torch.equal(target(*item).states, source(*item).states)
    target.load_weights(str(tmp_path))
    torch.testing.assert_close(target.eval()(*item).states, source(*item).states, atol=1e-6, rtol=1e-5)


def test_batch_statistics_are_taken_over_valid_steps_only():
    from cuewise.mllm.encoders.layers import MaskedBatchNorm

    norm, x = MaskedBatchNorm(3).train(), torch.randn(2, 3, 6, 4)
    mask = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    seen = torch.cat([x[0], x[1][:, :2]], 1)
    out = norm(x, mask)
    reference = torch.nn.functional.batch_norm(seen[None], None, None, training=True)[0]
    torch.testing.assert_close(out[0], reference[:, :6], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(out[1][:, :2], reference[:, 6:], atol=1e-5, rtol=1e-4)
    assert not out[1][:, 2:].any()
    torch.testing.assert_close(norm.mean, 0.1 * seen.mean((1, 2)), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"family": "conv_voice", "channels": [8, 8]}, "four multiples of 8"),
        ({"family": "conv_voice", "temporal": "gru"}, "temporal` must be one of"),
        ({"family": "conv_voice", "norm": "layer"}, "norm` must be one of batch, group"),
        ({"family": "conv_face", "image_size": 50}, "multiple of 16"),
        ({"family": "text", "vocab_size": 0}, "vocab_size and max_tokens >= 1"),
        ({"family": "hf_vision", "hf": {"model_type": "clip_vision_model", **VISION}}, "made for 16"),
        ({"family": "hf_vision", "hf": {"model_type": "clipp"}}, "not known to transformers"),
        (FAMILIES["siglip"] | {"pool": "cls"}, "SigLIP has no class token"),
        ({"family": "hf_audio", "hf": {"model_type": "bert"}}, "encoders of samples"),
    ],
)
def test_wrong_values_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ENCODERS.build(values)
