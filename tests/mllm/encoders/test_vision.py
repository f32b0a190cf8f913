"""Vision encoders of the library in our model: patches keep their place, a frozen one learns through light adapters."""

import pytest
import torch
from tiny import tiny_config, tiny_media, tiny_model, tiny_processor

from cuewise.mllm.adapters.lora import LoraScope, add_lora
from cuewise.mllm.registry import ENCODERS

VISION = {
    "model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "image_size": 32, "patch_size": 8,
}  # fmt: skip
CLIP = {"family": "hf_vision", "image_size": 32, "hf": VISION}


def test_a_change_in_one_region_of_one_frame_is_seen_there_and_in_that_frame_alone():
    """Local tokens of every frame beside the global one, without a detector (Emotion-LLaMA v2)."""
    torch.manual_seed(0)
    encoder = ENCODERS.build({**CLIP, "pool": "patches", "layers": [0]}).eval()
    values = torch.randint(0, 255, (1, 3, 32, 32, 3), dtype=torch.uint8)
    changed = values.clone()
    changed[0, 1, 8:16, 16:24] = 255 - changed[0, 1, 8:16, 16:24]
    mask = torch.ones(1, 3, dtype=torch.bool)
    one, other = (encoder(frames, mask, None).states[0].view(3, 4, 4, 16) for frames in (values, changed))
    differs = (one - other).abs().amax(-1) > 1e-5
    assert differs.nonzero().tolist() == [[1, 1, 2]]
    encoder.config.layers = []
    one, other = (encoder(frames, mask, None).states[0].view(3, 16, 16) for frames in (values, changed))
    assert not torch.allclose(one[1], other[1], atol=1e-4) and torch.allclose(one[::2], other[::2], atol=1e-5)


@pytest.mark.parametrize("prefusion", ["none", "conv_attn"])
def test_the_region_reaches_what_the_language_model_reads(prefusion):
    streams = tiny_config().streams
    streams["scene"] = {"encoder": {**CLIP, "pool": "patches"}, "compressor": {"name": "adaptive_pool", "tokens": 8}}
    model = tiny_model(streams=streams, prefusion=prefusion)
    processor = tiny_processor(model.config)
    batch = processor.collate([processor.tensors(tiny_media(0))])
    changed = dict(batch, scene_values=batch["scene_values"].clone())
    changed["scene_values"][0, 1, :16, :16] = 255 - changed["scene_values"][0, 1, :16, :16]
    one, other = model.encode(batch)[0], model.encode(changed)[0]
    assert not torch.allclose(one.tokens["scene"], other.tokens["scene"], atol=1e-4)
    assert torch.equal(one.tokens["voice"], other.tokens["voice"])
    if prefusion != "none":
        assert not torch.allclose(one.tokens["fused"], other.tokens["fused"], atol=1e-5)


def test_light_adapters_alone_learn_sixteen_pictures_on_a_frozen_encoder():
    """Don't Judge Before You CLIP: the encoder keeps its weights, a few percent of the scope learn."""
    streams = {"scene": {"encoder": CLIP, "compressor": {"name": "mean", "tokens": 1}}}
    model = tiny_model(streams=streams, prefusion="none")
    adapter = add_lora(model, {"scene.encoder": LoraScope(r=2, dropout=0.0)})
    model.train_only("scene.head")
    adapter.learn("scene.encoder")
    names = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert names and all(".lora_" in name or ".scene.head." in name for name in names)
    encoder = model.media.towers["scene"].encoder
    frozen = {name: weight.clone() for name, weight in encoder.named_parameters() if ".lora_" not in name}
    light = sum(weight.numel() for name, weight in encoder.named_parameters() if weight.requires_grad)
    assert 0 < light / sum(weight.numel() for weight in encoder.parameters()) < 0.15
    pictures = torch.randint(0, 255, (16, 1, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    truth = torch.arange(16) % 8
    batch = {"scene_values": pictures, "scene_mask": torch.ones(16, 1, dtype=torch.bool)}
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model.encode_batch(batch).logits, truth).backward()
        optimizer.step()
    assert (model.encode_batch(batch).logits.argmax(1) == truth).all()
    own = dict(encoder.named_parameters())
    assert all(torch.equal(own[name], weight) and own[name].grad is None for name, weight in frozen.items())
    assert any(weight.grad is not None and weight.any() for name, weight in own.items() if "lora_B" in name)
