"""Every compressor: exactly the announced tokens, and neither padding, holes nor neighbours change one."""

import pytest
import torch

from cuewise.mllm import compressors  # noqa: F401  registers all
from cuewise.mllm.registry import COMPRESSORS

CHANNELS = 8
CASES = {
    "mean": {"tokens": 4, "summary": True}, "attn_pool": {"tokens": 4},
    "qformer": {"tokens": 4, "hidden": 16}, "window_qformer": {"tokens": 4, "hidden": 16},
    "bridge_transformer": {"tokens": 4, "summary": True}, "adaptive_pool": {"tokens": 4}, "group4": {},
    "stc_conv": {"grid": [2, 2]}, "tube_topk": {"grid": [2, 2], "window": [2, 1, 1], "tubes": 2},
    "hybrid_compressor": {"tokens": 4, "experts": 2}, "lifting": {},
}  # fmt: skip
GRID = ("stc_conv", "tube_topk")


def build(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    module = COMPRESSORS.build({"name": name, **CASES[name]}, CHANNELS).eval()
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return module


def valid(*lengths: int, width: int | None = None) -> torch.Tensor:
    return torch.arange(width or max(lengths))[None] < torch.tensor(lengths)[:, None]


def test_every_compressor_is_tested_here():
    assert set(CASES) == set(COMPRESSORS.names())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("length", [4, 8, 12, 20])
def test_as_many_tokens_as_announced(name, length):
    module = build(name)
    out = module(torch.randn(1, length, CHANNELS), valid(length), torch.arange(float(length))[None])
    assert int(out.mask.sum()) == module.config.num_tokens(length)
    assert out.tokens.shape[2] == module.d_out and torch.isfinite(out.tokens).all()
    assert not out.tokens[~out.mask].any()


@pytest.mark.parametrize("name", CASES)
def test_padding_holes_and_neighbours_change_nothing(name):
    module = build(name)
    states, times = torch.randn(1, 8, CHANNELS), torch.arange(8.0)[None]
    alone = module(states, valid(8), times)
    want, at = alone.tokens[alone.mask], alone.times_s[alone.mask]
    padded = torch.cat([states, torch.full((1, 8, CHANNELS), 50.0)], 1)
    other = torch.randn(1, 16, CHANNELS)
    together = module(torch.cat([padded, other]), valid(8, 16), torch.arange(16.0).expand(2, 16))
    torch.testing.assert_close(together.tokens[0][together.mask[0]], want, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(together.times_s[0][together.mask[0]], at)
    spread, mask, when = torch.full((1, 16, CHANNELS), 50.0), torch.zeros(1, 16, dtype=torch.bool), torch.zeros(1, 16)
    spread[:, ::2], mask[:, ::2], when[:, ::2] = states, True, times
    holes = module(spread, mask, when)
    torch.testing.assert_close(holes.tokens[holes.mask], want, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(set(CASES) - {"mean", "adaptive_pool", "group4"}))
def test_every_weight_learns(name):
    module = build(name).train()
    states = torch.randn(4, 16, CHANNELS)
    out = module(states, valid(16, 16, 16, 16), None)
    (out.tokens * torch.randn_like(out.tokens)).sum().backward()
    still = [key for key, weight in module.named_parameters() if weight.grad is None or not weight.grad.any()]
    # The last bias of a score moves all scores alike; a router that always chose one expert trains that one alone.
    assert all("score" in key or "scorer" in key or "experts" in key or "position" in key for key in still), still


@pytest.mark.parametrize("name", ["mean", "attn_pool", "window_qformer", "bridge_transformer", "group4",
                                  "hybrid_compressor", "adaptive_pool", "lifting"])  # fmt: skip
def test_tokens_stand_in_time_order(name):
    module = build(name)
    out = module(torch.randn(1, 12, CHANNELS), valid(12), torch.arange(12.0)[None])
    ordered = out.times_s[0][~out.is_summary]
    assert (ordered.diff() > 0).all()
