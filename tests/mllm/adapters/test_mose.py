"""Modality experts: tokens of one modality never touch another's, and the plain cases are plain LoRA."""

import pytest
import torch
from tiny import tiny_inputs as inputs
from tiny import tiny_model
from torch import nn

from cuewise.mllm.adapters.lora import LoraScope, add_lora
from cuewise.mllm.adapters.mose import MoseConfig, MoseLinear, add_mose
from cuewise.mllm.adapters.spans import MODALITIES, SpanState, span_ids
from cuewise.mllm.adapters.store import load_adapter, save_adapter

TEXT, VISUAL, AUDIO = range(3)


def layer(experts: int = 2, filled: bool = True) -> MoseLinear:
    state = SpanState()
    made = MoseLinear(nn.Linear(6, 5), MoseConfig(r=3, alpha=6, experts=experts), state, nn.Parameter(torch.zeros(3)))
    with torch.no_grad():
        for b in made.mose_b:
            b.normal_() if filled else None
    return made


def test_spans_follow_the_placeholders():
    model, batch = tiny_model(), inputs()
    placeholders = model.plan.tokens.placeholders
    spans = span_ids(batch["input_ids"], placeholders)
    for slot, modality in (("face", "visual"), ("scene", "visual"), ("voice", "audio"), ("fused", "text")):
        found = spans[batch["input_ids"] == placeholders[slot]]
        assert len(found) and (found == MODALITIES.index(modality)).all(), slot


def test_experts_that_are_zero_leave_the_layer_as_it_is():
    made, x = layer(filled=False), torch.randn(2, 7, 6)
    with made.state.of(torch.randint(3, (2, 7))):
        assert torch.equal(made(x), made.base_layer(x))


def test_one_modality_and_one_expert_is_plain_lora():
    made, x = layer(experts=1), torch.randn(2, 7, 6)
    with torch.no_grad():
        made.mose_u.copy_(torch.tensor([0.0, -50.0, -50.0]))  # all weight on text, omega = 3
    with made.state.of(torch.zeros(2, 7, dtype=torch.long)):
        got = made(x)
    wanted = made.base_layer(x) + 3 * (6 / 3) * (x @ made.mose_a.T) @ made.mose_b[TEXT][0].T
    torch.testing.assert_close(got, wanted)


def test_tokens_of_one_modality_never_touch_the_experts_of_another():
    made, x = layer(), torch.randn(2, 7, 6)
    with made.state.of(torch.full((2, 7), AUDIO)):
        made(x).sum().backward()
    grads = {name: made.mose_b[index].grad for index, name in enumerate(MODALITIES)}
    assert grads["audio"].abs().sum() > 0
    assert grads["visual"].abs().sum() == 0 and grads["text"].abs().sum() == 0
    assert made.mose_a.grad.abs().sum() > 0


def test_the_chosen_expert_is_the_likeliest_and_the_gate_learns():
    made, x = layer(), torch.randn(1, 4, 6)
    spans = torch.full((1, 4), VISUAL)
    with made.state.of(spans):
        got = made(x)
    k = int((x.mean(1) @ made.mose_gate[VISUAL].T).argmax())
    wanted = made.base_layer(x) + (6 / 3) * (x @ made.mose_a.T) @ made.mose_b[VISUAL][k].T
    torch.testing.assert_close(got, wanted)
    got.square().sum().backward()
    assert made.mose_gate[VISUAL].grad.abs().sum() > 0


def test_a_later_word_changes_nothing_before_it():
    made, x = layer(), torch.randn(1, 6, 6)
    spans = torch.tensor([[TEXT, VISUAL, VISUAL, AUDIO, TEXT, TEXT]])
    with made.state.of(spans):
        whole, begin = made(x), made(x[:, :5])
    torch.testing.assert_close(whole[:, :5], begin)


def test_the_regulariser_is_even_at_one_and_weighs_the_modalities():
    model = tiny_model()
    adapter = add_mose(model, MoseConfig(r=2, balance=0.5, modality=0.25))
    model(**inputs())
    loss, stats = adapter.loss()
    assert stats["balance_loss"] > 0 and float(loss) == pytest.approx(0.5 * float(stats["balance_loss"]))
    with torch.no_grad():
        adapter.layers()[0].mose_u.copy_(torch.tensor([0.0, 1.0, -1.0]))
    model(**inputs())
    loss, stats = adapter.loss()
    assert float(loss) == pytest.approx(0.5 * float(stats["balance_loss"]) + 0.25 * 4.0)


def filled_model() -> nn.Module:
    model = tiny_model()
    adapter = add_mose(model, MoseConfig(r=2, alpha=8, targets=["q_proj", "v_proj"]))
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in adapter.weights().values():
            weight.add_(0.3 * torch.randn_like(weight))
    return model.eval()


def test_off_is_the_base_model_a_stored_one_comes_back_and_merging_is_refused(tmp_path):
    model, batch = filled_model(), inputs()
    on, base = model(**batch).logits, tiny_model()(**batch).logits
    assert not torch.equal(on, base)
    with model.adapter.off():
        assert torch.equal(model(**batch).logits, base)
    save_adapter(model, tmp_path / "adapter", base="tiny")
    loaded = tiny_model()
    load_adapter(loaded, tmp_path / "adapter")
    assert torch.equal(loaded(**batch).logits, on)
    with pytest.raises(ValueError, match="cannot be merged"):
        model.adapter.merge()


@torch.no_grad()
def test_generation_token_by_token_equals_the_whole_pass():
    model, batch = filled_model(), inputs()
    ids = batch["input_ids"]
    tokens = model.encode({key: value for key, value in batch.items() if key != "input_ids"})
    with model.adapter.of(ids):
        written = model.generate(ids, media_tokens=tokens, max_new_tokens=5, do_sample=False)
    written = written[:, -5:] if written.shape[1] > 5 else written
    whole = torch.cat([ids, written], 1)
    logits = model(input_ids=whole, media_tokens=tokens).logits
    assert logits[0, ids.shape[1] - 1 : -1].argmax(-1).tolist() == written[0].tolist()


def test_rows_without_known_spans_are_refused():
    model = filled_model()
    model(**inputs())
    rows = torch.randn(1, 4, model.language_model.config.hidden_size)
    with pytest.raises(ValueError, match="which tokens are media"):
        model.language_model(inputs_embeds=rows)


def test_lora_and_experts_do_not_mix():
    model = tiny_model()
    add_lora(model, {"llm": LoraScope(r=2)})
    with pytest.raises(ValueError, match="has an adapter already"):
        add_mose(model, MoseConfig())
