"""LoRA by scope: nothing leaks into other towers, off is exactly off, merged answers alike."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny_inputs as inputs
from tiny import tiny_model
from torch import nn

from cuewise.mllm.adapters.lora import LoraScope, add_lora
from cuewise.mllm.adapters.mose import MoseConfig, add_mose
from cuewise.mllm.adapters.store import TRAINED, AdapterError, adapter_folder, base_hash, load_adapter, save_adapter


def trained(model: nn.Module, steps: int = 3) -> nn.Module:
    """A few steps on one prompt."""
    batch = inputs()
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=0.02)
    for _ in range(steps):
        model(**batch, labels=batch["input_ids"]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def adapted(scopes: dict[str, LoraScope], *full: str) -> nn.Module:
    model = tiny_model()
    adapter = add_lora(model, scopes)
    model.train_only(*full)
    adapter.learn(*scopes)
    adapter.remember_base([name for name, weight in model.named_parameters()
                           if weight.requires_grad and ".lora_" not in name])  # fmt: skip
    return model.train()


SCOPES = {"llm": LoraScope(r=2, alpha=4, targets=["q_proj", "v_proj"]), "words.encoder": LoraScope(r=3, dropout=0.0)}


def test_a_fresh_adapter_changes_no_logit():
    plain, batch = tiny_model(), inputs()
    model = tiny_model()
    add_lora(model, SCOPES)
    assert torch.equal(model.eval()(**batch).logits, plain(**batch).logits)


def test_only_the_named_layers_of_the_named_scopes_are_adapted():
    model = adapted(SCOPES)
    names = {name.split(".lora_")[0] for name in model.adapter.weights()}
    assert all(name.startswith(("language_model.", "media.towers.words.encoder.")) for name in names)
    assert {name.rpartition(".")[2] for name in names if name.startswith("language_model")} == {"q_proj", "v_proj"}
    ranks = {weight.shape[0] for name, weight in model.adapter.weights().items() if "lora_A" in name}
    assert ranks == {2, 3}


def test_a_scope_whose_name_begins_another_one_reaches_only_itself():
    """`voice.head` and `voice` share a beginning; a pattern would have reached both."""
    model = adapted({"voice.head": LoraScope(r=2)})
    assert all(name.startswith("media.towers.voice.head.") for name in model.adapter.weights())


def test_frozen_towers_get_neither_gradients_nor_other_weights():
    model = adapted(SCOPES, "fusion")
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    trained(model)
    learns = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert learns and all(".lora_" in name or name.startswith("media.fusion") for name in learns)
    changed = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert changed <= learns and any("lora_B" in name for name in changed)
    assert all(weight.grad is None for name, weight in model.named_parameters() if name not in learns)


def test_frozen_parts_stay_in_eval_mode_while_the_adapter_drops():
    model = adapted(SCOPES)
    assert not model.language_model.training and not model.media.towers["voice"].encoder.training
    drops = [layer.lora_dropout["default"] for layer in model.adapter.layers()]
    assert all(drop.training for drop in drops)
    model.eval()
    assert not any(drop.training for drop in drops)


def test_only_factors_that_learn_drop():
    """A scope that this stage leaves alone says the same each time, so that its states can be cached."""
    model = adapted({"llm": LoraScope(r=2, dropout=0.5), "voice.encoder": LoraScope(r=2, dropout=0.5)})
    model.train_only("fusion")
    model.adapter.learn("llm")
    model.train()
    drops = {name: module.training for name, module in model.named_modules() if name.endswith("lora_dropout.default")}
    assert {training for name, training in drops.items() if name.startswith("language_model")} == {True}
    assert {training for name, training in drops.items() if "voice.encoder" in name} == {False}


def test_switched_off_is_exactly_the_base_model_and_on_again_is_the_adapted_one():
    model, batch = trained(adapted(SCOPES, "fusion", "voice.projector")).eval(), inputs()
    base = tiny_model()(**batch).logits
    on = model(**batch).logits
    assert not torch.equal(on, base)
    with model.adapter.off():
        assert torch.equal(model(**batch).logits, base)
    assert torch.equal(model(**batch).logits, on)
    assert all(weight.requires_grad for weight in model.adapter.weights().values())


def test_merged_gives_the_same_logits_and_the_keys_of_the_base(tmp_path):
    model, batch = trained(adapted(SCOPES, "fusion")).eval(), inputs()
    on = model(**batch).logits
    model.adapter.merge()
    torch.testing.assert_close(model(**batch).logits, on, atol=2e-5, rtol=1e-5)  # (W + BA) x for W x + B (A x)
    assert set(model.state_dict()) == set(tiny_model().state_dict()) and model.adapter is None
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert torch.equal(again(**batch).logits, model(**batch).logits)


def test_a_stored_adapter_is_loaded_by_name_on_its_base_alone(tmp_path, monkeypatch):
    model, batch = trained(adapted(SCOPES, "fusion")).eval(), inputs()
    model.config.calibration = {"temperature": 1.7, "abstain_below": 0.1}
    save_adapter(model, tmp_path / "runs" / "mine" / "adapter", base="tiny")
    monkeypatch.chdir(tmp_path)
    loaded = tiny_model()
    load_adapter(loaded, "mine")
    assert loaded.config.calibration_config.temperature == 1.7
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)
    assert base_hash(loaded) == base_hash(tiny_model())
    with loaded.adapter.off():
        assert torch.equal(loaded(**batch).logits, tiny_model()(**batch).logits)
        assert loaded.config.calibration_config.temperature == 1.0
    assert loaded.config.calibration_config.temperature == 1.7
    with pytest.raises(AdapterError, match="was trained on tiny"):
        load_adapter(tiny_model(seed=1), "mine")
    with pytest.raises(AdapterError, match=r"'mne' is neither a folder .* \(mine\)"):
        adapter_folder("mne")


@pytest.mark.parametrize(
    ("scopes", "message"),
    [
        ({"voices": LoraScope()}, "unknown scope `voices`"),
        ({"llm": LoraScope(targets=["query"])}, r"no linear layer named query; it has .*q_proj"),
        ({"voice": LoraScope(), "voice.head": LoraScope()}, "belongs to two of the scopes"),
    ],
)
def test_scopes_that_do_not_fit_are_named(scopes, message):
    with pytest.raises(ValueError, match=message):
        add_lora(tiny_model(), scopes)


def test_a_second_adapter_is_refused():
    model = adapted(SCOPES)
    with pytest.raises(ValueError, match="has an adapter already"):
        add_lora(model, SCOPES)


def with_statistics() -> nn.Module:
    """An adapter with a whole voice beside it, whose batch normalisation has moved away from the base."""
    model = adapted({"llm": LoraScope(r=2)}, "voice")
    for seed in range(4):
        model.encode_batch({key: value for key, value in inputs(seed).items() if key.startswith("voice")})
    return model.eval()


def readings(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval().encode_batch(inputs(9)).streams["voice"].reading.logits


def test_running_statistics_of_what_is_trained_in_full_go_with_the_adapter(tmp_path):
    model, base = with_statistics(), readings(tiny_model())
    on = readings(model)
    assert not torch.allclose(on, base, atol=1e-3)
    with model.adapter.off():
        assert torch.equal(readings(model), base)
    assert torch.equal(readings(model), on)
    loaded = tiny_model()
    load_adapter(loaded, save_adapter(model, tmp_path / "adapter"))
    assert torch.equal(readings(loaded), on)
    with loaded.adapter.off():
        assert torch.equal(readings(loaded), base)


def test_experts_keep_the_running_statistics_of_what_is_trained_beside_them():
    model = tiny_model()
    adapter = add_mose(model, MoseConfig(r=2))
    model.train_only("voice")
    adapter.remember_base([name for name, weight in model.named_parameters() if weight.requires_grad])
    model.train().encode_batch(inputs(1))
    with adapter.off():
        assert torch.equal(readings(model), readings(tiny_model()))
    assert not torch.equal(readings(model), readings(tiny_model()))


def test_frozen_and_constant_buffers_are_no_part_of_an_adapter():
    kept = set(adapted({"words.encoder": LoraScope(r=2)}, "llm", "voice").adapter.replaced) - {
        name for name, _ in tiny_model().named_parameters()
    }
    assert kept and all(name.startswith("media.towers.voice.encoder.") for name in kept)


def test_an_adapter_stored_without_running_statistics_still_loads(tmp_path):
    model = with_statistics()
    folder = save_adapter(model, tmp_path / "adapter")
    names = {name for name, _ in model.named_parameters()}
    weights = {name: value for name, value in load_file(folder / TRAINED).items() if name in names}
    save_file(weights, folder / TRAINED)
    loaded = tiny_model()
    load_adapter(loaded, folder)
    assert torch.equal(loaded.get_parameter(next(iter(weights))), next(iter(weights.values())))
    assert torch.equal(readings(loaded), readings(tiny_model()))  # no weight moved in it
