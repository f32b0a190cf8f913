"""Attention reallocation: mass moves between media modalities only, and only where one is too strong."""

import pytest
import torch
from tiny import tiny_inputs as inputs
from tiny import tiny_model

from cuewise.mllm.adapters.attn_realloc import MEDIA, AttentionReallocation, ReallocConfig, reallocate
from cuewise.mllm.adapters.spans import MODALITIES

SPANS = torch.tensor([[0, 1, 1, 2, 2, 0], [0, 1, 1, 1, 0, 0]])  # the second clip has no audio


def attention() -> torch.Tensor:
    torch.manual_seed(1)
    return (3 * torch.randn(2, 4, 5, 6)).softmax(-1)


def mass(p: torch.Tensor, name: str) -> torch.Tensor:
    return (p * SPANS.eq(MODALITIES.index(name))[:, None, None, :]).sum(-1)


def test_rows_sum_to_one_and_text_keeps_its_mass():
    p = attention()
    moved = reallocate(p, SPANS, ReallocConfig(tau=0.5, gamma=0.7))
    torch.testing.assert_close(moved.sum(-1), torch.ones(2, 4, 5), atol=1e-6, rtol=0)
    torch.testing.assert_close(mass(moved, "text"), mass(p, "text"))
    assert not torch.equal(moved, p)


def test_gamma_zero_changes_nothing_and_gamma_one_reaches_the_target():
    p = attention()
    torch.testing.assert_close(reallocate(p, SPANS, ReallocConfig(gamma=0.0, tau=0.0)), p)
    moved = reallocate(p, SPANS, ReallocConfig(gamma=1.0, tau=0.0, target={"visual": 3.0, "audio": 1.0}))
    share = mass(moved, "visual") / sum(mass(moved, name) for name in MEDIA)
    torch.testing.assert_close(share[0], torch.full((4, 5), 0.75))


def test_one_modality_alone_and_rows_below_tau_stay():
    p = attention()
    moved = reallocate(p, SPANS, ReallocConfig(gamma=1.0, tau=0.6))
    torch.testing.assert_close(moved[1], p[1])
    share = torch.stack([mass(p, name) for name in MEDIA]).amax(0) / sum(mass(p, name) for name in MEDIA)
    calm = share[0] <= 0.6
    assert calm.any() and not calm.all()
    torch.testing.assert_close(moved[0][calm], p[0][calm])
    assert not torch.allclose(moved[0][~calm], p[0][~calm])


@torch.no_grad()
def test_a_model_runs_with_it_and_has_its_own_kernel_again_afterwards():
    model, batch = tiny_model(), inputs()
    plain = model(**batch).logits
    kernel = model.language_model.config._attn_implementation
    with AttentionReallocation(model, ReallocConfig(gamma=0.0, layers=[0, 1])).on():
        torch.testing.assert_close(model(**batch).logits, plain, atol=1e-5, rtol=1e-4)
    with AttentionReallocation(model, ReallocConfig(gamma=1.0, tau=0.0, layers=[0, 1])).on():
        assert not torch.allclose(model(**batch).logits, plain, atol=1e-5)
    assert model.language_model.config._attn_implementation == kernel
    assert torch.equal(model(**batch).logits, plain)


@torch.no_grad()
def test_it_works_while_writing():
    model, batch = tiny_model(), inputs()
    ids = batch["input_ids"]
    tokens = model.encode({key: value for key, value in batch.items() if key != "input_ids"})
    moving = AttentionReallocation(model, ReallocConfig(gamma=1.0, tau=0.0, layers=[0, 1]))
    with moving.on(ids):
        written = model.generate(ids, media_tokens=tokens, max_new_tokens=4, do_sample=False)
    written = written[:, -4:]
    with moving.on():
        logits = model(input_ids=torch.cat([ids, written], 1), media_tokens=tokens).logits
    assert logits[0, ids.shape[1] - 1 : -1].argmax(-1).tolist() == written[0].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"target": {"voice": 1.0}}, "`voice`; modalities are visual, audio"), ({"gamma": 2.0}, "tau and gamma"),
     ({"layers": [7]}, r"names 7, but the language model has layers 0\.\.1")],
)  # fmt: skip
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        AttentionReallocation(tiny_model(), ReallocConfig(**options))
