"""Experts beside a feed-forward: nothing at first, deterministic in evaluation, balanced when routing is even."""

import pytest
import torch

from cuewise.mllm.encoders.expert_block import MixtureOfAdapters, balance_loss
from cuewise.mllm.registry import ENCODERS

VISION = {
    "model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "image_size": 16, "patch_size": 8,
}  # fmt: skip


def encoder(**experts):
    torch.manual_seed(0)
    return ENCODERS.build({"family": "hf_vision", "image_size": 16, "hf": VISION, "experts": experts})


def pictures(count: int) -> tuple[torch.Tensor, torch.Tensor, None]:
    values = torch.randint(0, 255, (1, count, 16, 16, 3), dtype=torch.uint8)
    return values, torch.ones(1, count, dtype=torch.bool), None


def test_new_experts_change_nothing():
    plain, with_experts, given = encoder().eval(), encoder(layers=2, experts=4).eval(), pictures(3)
    own = {key.replace("feed_forward.", ""): value for key, value in with_experts.state_dict().items()}
    plain.load_state_dict({key: own[key] for key in plain.state_dict()})
    torch.testing.assert_close(with_experts(*given).states, plain(*given).states)


def test_training_is_noisy_and_evaluation_is_not():
    module = MixtureOfAdapters(8, experts=4)
    for expert in module.experts:
        torch.nn.init.normal_(expert[2].weight)
    x = torch.randn(5, 8)
    assert torch.equal(module.eval()(x), module(x))
    assert not torch.equal(module.train()(x), module(x))


def test_no_token_is_dropped_in_evaluation_and_capacity_holds_in_training():
    module = MixtureOfAdapters(4, experts=2, top=1)
    module.router.weight.data = torch.tensor([[10.0, 0, 0, 0], [-10.0, 0, 0, 0]])
    for expert in module.experts:
        expert[2].bias.data.fill_(1.0)
    x = torch.ones(6, 4)
    assert (module.eval()(x) == 1).all()
    module.noise.weight.data.fill_(-1e3)
    assert int((module.train()(x)[:, 0] == 1).sum()) == 3


def test_the_balance_term_is_one_at_an_even_load_and_larger_otherwise():
    even = torch.full((8, 4), 0.25)
    chosen = torch.arange(8)[:, None] % 4
    assert balance_loss(even, chosen).item() == pytest.approx(1.0)
    lopsided = torch.tensor([[0.7, 0.1, 0.1, 0.1]]).expand(8, 4)
    assert balance_loss(lopsided, torch.zeros(8, 1, dtype=torch.long)).item() == pytest.approx(2.8)


def test_one_picture_and_many_use_the_same_weights_and_only_experts_may_learn():
    module = encoder(layers=1, experts=4).eval()
    values, mask, _ = pictures(16)
    whole = module(values, mask, None).states[0]
    one = module(values[:, 3:4], mask[:, 3:4], None).states[0, 0]
    torch.testing.assert_close(whole[3], one, atol=1e-5, rtol=1e-4)
    assert module.balance().item() >= 0.99
    with pytest.raises(ValueError, match="wanted in 9 layers, but the encoder has 2"):
        encoder(layers=9)
    with pytest.raises(ValueError, match="no option `expert`"):
        encoder(expert=3)
