import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from cuewise.mllm.media_tokens import MediaTokens
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.presets import nano_config
from cuewise.mllm.prompts import build


def asked(model, media, processor=None):
    """(input_ids [1, L], batch) for one clip."""
    processor = processor or tiny.tiny_processor(model.config)
    clip = processor.tensors(media)
    ids = processor.prompt_ids(build(clip.streams, transcript=media.transcript), processor.num_tokens(clip))
    return torch.tensor([ids]), processor.collate([clip]) if clip.streams else {}


@pytest.mark.parametrize("llm", tiny.LLMS)
def test_generate_equals_token_by_token_greedy(llm):
    model = tiny.tiny_model(llm=llm)
    ids, batch = asked(model, tiny.tiny_media())
    out = model.generate(ids, **batch, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False,
                         eos_token_id=None)  # fmt: skip
    assert torch.equal(out[:, : ids.shape[1]], ids)
    (clip,) = model.encode(batch)
    rows, written = model.prompt_rows(ids[0], clip)[None], []
    for _ in range(6):
        token = model(inputs_embeds=rows).logits[:, -1].argmax(-1)
        written.append(int(token))
        rows = torch.cat([rows, model.get_input_embeddings()(token)[:, None]], 1)
    assert out[0, ids.shape[1] :].tolist() == written


@pytest.mark.parametrize("llm", tiny.LLMS)
def test_gradients_reach_every_part(llm):
    model = tiny.tiny_model(llm=llm).train()
    ids, batch = asked(model, tiny.tiny_media())
    out = model(ids, labels=ids.masked_fill(ids < 20, -100), **batch)
    readings = [item.reading for item in out.encoded.streams.values() if item.reading is not None]
    total = out.loss + out.encoded.logits.square().sum() + out.encoded.va.square().sum()
    total = total + sum(reading.logits.square().sum() + reading.va.square().sum() for reading in readings)
    total.backward()
    without = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert without == []


def test_structural_tokens_are_never_written():
    model = tiny.tiny_model()
    ids = model.config.plan.tokens
    logits = model(torch.tensor([[5 + 60, 70, 80]])).logits
    assert (logits[..., [ids.pad, *ids.placeholders.values(), *ids.begins.values()]] < -1e30).all()
    assert (logits[..., ids.end] > -1e30).all()


def test_a_batch_is_put_in_place_as_its_clips_would_be_one_by_one():
    model, processor = tiny.tiny_model(), tiny.tiny_processor()
    clips = [processor.tensors(tiny.tiny_media(i, streams)) for i, streams in enumerate(
        [("face", "voice"), ("words",), ("face", "scene", "voice", "words")])]  # fmt: skip
    prompts = [processor.prompt_ids(build(clip.streams), processor.num_tokens(clip)) for clip in clips]
    longest = max(map(len, prompts))
    ids = torch.tensor([prompt + [0] * (longest - len(prompt)) for prompt in prompts])
    encoded = model.encode_batch(processor.collate(clips))
    torch.testing.assert_close(model.batch_rows(ids, encoded), model.prompt_batch(ids, encoded.split()), rtol=0, atol=0)
    wrong = ids.clone()
    wrong[2, -1] = processor.plan.tokens.placeholders["scene"]
    with pytest.raises(ValueError, match=r"prompt 2: scene: 3 placeholder tokens .* but 2 rows"):
        model.batch_rows(wrong, encoded)


def test_too_few_placeholders_name_stream_and_both_numbers():
    model = tiny.tiny_model()
    ids, batch = asked(model, tiny.tiny_media())
    voice = model.config.plan.tokens.placeholders["voice"]
    position = (ids[0] == voice).nonzero()[0, 0]
    shorter = torch.cat([ids[:, :position], ids[:, position + 1 :]], 1)
    with pytest.raises(ValueError, match="prompt 0: voice: 4 placeholder tokens in the prompt but 5 rows"):
        model(shorter, **batch)


def test_a_present_stream_that_does_not_reach_the_language_model_is_an_error():
    model = tiny.tiny_model()
    _, batch = asked(model, tiny.tiny_media())
    with pytest.raises(ValueError, match="face: 0 placeholder tokens in the prompt but 4 rows from the encoder"):
        model(torch.tensor([[65, 70]]), **batch)


def test_placeholders_without_media_are_an_error():
    model = tiny.tiny_model()
    ids, _ = asked(model, tiny.tiny_media(streams=("voice",)))
    with pytest.raises(ValueError, match="voice: 5 placeholder tokens in the prompt but 0 rows"):
        model(ids)


def test_media_beside_ready_rows_is_an_error():
    model = tiny.tiny_model()
    _, batch = asked(model, tiny.tiny_media())
    with pytest.raises(ValueError, match="media was given with inputs_embeds"):
        model(inputs_embeds=torch.zeros(1, 3, 32), **batch)


def test_a_stream_the_model_lacks_is_an_error():
    streams = {name: stream for name, stream in tiny.tiny_config().streams.items() if name != "face"}
    model = CuewiseForConditionalGeneration(tiny.tiny_config(streams=streams))
    _, batch = asked(tiny.tiny_model(), tiny.tiny_media())
    with pytest.raises(ValueError, match="face tensors arrived but this model has no face stream"):
        model.encode(batch)


def test_missing_weights_are_refused(tmp_path):
    tiny.tiny_model().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = next(key for key in weights if "towers.voice" in key)
    del weights[name]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for kind in (CuewiseForConditionalGeneration, AutoModel):
        with pytest.raises(ValueError, match=f"missing_keys: {name}"):
            kind.from_pretrained(tmp_path)


def test_unexpected_weights_are_refused(tmp_path):
    tiny.tiny_model().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors") | {"media.extra": torch.zeros(3)}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"unexpected_keys: media\.extra"):
        CuewiseForConditionalGeneration.from_pretrained(tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path):
    tiny.tiny_model().save_pretrained(tmp_path)
    config = tiny.tiny_config(heads={"width": 24})
    with pytest.raises((ValueError, RuntimeError), match=r"size|shape|mismatch"):
        CuewiseForConditionalGeneration.from_pretrained(tmp_path, config=config)


def test_scopes_freeze_by_stream_name_and_thaw_again():
    model = tiny.tiny_model()
    model.freeze("voice", "llm")
    model.train()
    tower = model.media.towers["voice"]
    assert not tower.training and not any(weight.requires_grad for weight in tower.parameters())
    assert not model.language_model.training and model.media.towers["face"].training
    model.unfreeze("voice")
    assert tower.training and all(weight.requires_grad for weight in tower.parameters())
    with pytest.raises(ValueError, match="unknown scope `voise`"):
        model.freeze("voise")


def test_gradient_checkpointing_gives_the_same_gradients():
    grads = []
    for checkpointing in (False, True):
        model = tiny.tiny_model().train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout | torch.nn.Dropout2d):
                module.p = 0.0
            if hasattr(module, "dropout") and isinstance(module.dropout, float):
                module.dropout = 0.0
        for tower in model.media.towers.values():
            if hasattr(tower.encoder.config, "dropout"):
                tower.encoder.config.dropout = 0.0
        if checkpointing:
            model.gradient_checkpointing_enable()
        ids, batch = asked(model, tiny.tiny_media())
        model(ids, labels=ids.masked_fill(ids < 20, -100), use_cache=False, **batch).loss.backward()
        grads.append(model.get_input_embeddings().weight.grad)
    torch.testing.assert_close(*grads)


def test_media_tokens_survive_bytes_and_have_a_content_address():
    model = tiny.tiny_model()
    _, batch = asked(model, tiny.tiny_media())
    (clip,) = model.encode(batch)
    copy = MediaTokens.from_bytes(clip.to_bytes())
    assert copy.digest() == clip.digest() and copy.counts == clip.counts
    assert torch.equal(copy.readings["voice"].logits, clip.readings["voice"].logits)
    copy.tokens["voice"][0, 0] += 1
    assert copy.digest() != clip.digest()


def test_action_units_are_read_per_face_picture():
    model = tiny.tiny_model(heads={"aus": ["AU4", "AU12"]})
    _, batch = asked(model, tiny.tiny_media(frames=5))
    units = model.encode(batch)[0].aus["face"]
    assert units.shape == (3, 2) and (units >= 0).all() and (units <= 5).all()


def test_text_alone_needs_no_streams():
    model = tiny.tiny_model()
    processor = tiny.tiny_processor(model.config)
    ids = torch.tensor([processor.prompt_ids(["Which emotions?"])])
    assert model(ids).logits.shape == (1, ids.shape[1], tiny.VOCAB)


HUB = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
HUB_STREAMS = {
    "face": {
        "encoder": {
            "family": "hf_vision", "image_size": 16,
            "hf": {"model_type": "clip_vision_model", "image_size": 16, "patch_size": 8, **HUB},
        },
        "frozen": True,
    },
    "voice": {
        "encoder": {
            "family": "hf_audio", "layers": [-1, -2],
            "hf": {
                "model_type": "hubert", **HUB, "conv_dim": [8, 8], "conv_kernel": [10, 8], "conv_stride": [5, 4],
                "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
                "layerdrop": 0.5,
            },
        },
        "frozen": True,
    },
}  # fmt: skip


def test_hub_encoders_plug_in_stay_frozen_and_survive_saving(tmp_path):
    model = tiny.tiny_model(streams=HUB_STREAMS)
    ids, batch = asked(model, tiny.tiny_media(streams=("face", "voice"), seconds=0.3))
    model.train()
    first, second = model.encode_batch(batch), model.encode_batch(batch)
    for name in ("face", "voice"):
        assert torch.equal(first.streams[name].mean, second.streams[name].mean)
    model.eval().save_pretrained(tmp_path)
    loaded = CuewiseForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(model(ids, **batch).logits, loaded(ids, **batch).logits)


def test_half_precision_runs_and_stays_close():
    model = tiny.tiny_model()
    ids, batch = asked(model, tiny.tiny_media())
    full = model(ids, **batch)
    half = model.to(torch.bfloat16)(ids, **batch)
    assert half.logits.dtype == torch.bfloat16
    # bfloat16 keeps 8 bits of the mantissa; the logits of this model have a deviation of about 0.1.
    written = full.logits[..., 60:]
    assert (half.logits[..., 60:].float() - written).abs().mean() < 0.5 * written.std()


def test_nano_is_small_enough_to_ship():
    model = CuewiseForConditionalGeneration(nano_config(4096))
    weights = sum(weight.numel() for weight in model.parameters())
    assert weights <= 8_000_000


@pytest.mark.parametrize(
    ("names", "learning"),
    [
        (["voice"], {"media.towers.voice."}),
        (["voice.encoder", "voice.head"], {"media.towers.voice.encoder.", "media.towers.voice.head."}),
        (["heads"], {"media.fused_head.", *(f"media.towers.{s}.head." for s in ("face", "scene", "voice", "words"))}),
        (["llm", "fusion"], {"language_model.", "media.fusion."}),
    ],
)
def test_train_only_leaves_exactly_the_named_parts_to_learn(names, learning):
    model = tiny.tiny_model()
    model.freeze("face")
    model.train_only(*names)
    learns = {name for name, weight in model.named_parameters() if weight.requires_grad}
    wanted = {name for name, _ in model.named_parameters() if name.startswith(tuple(learning))}
    assert learns == wanted and learns
