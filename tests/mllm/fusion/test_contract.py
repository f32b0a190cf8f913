"""Every pre-fusion: announced tokens, weights that sum to one, and absent streams that are never read."""

import pytest
import torch

from cuewise.mllm import fusion  # noqa: F401  registers all
from cuewise.mllm.fusion import StreamStates
from cuewise.mllm.registry import FUSIONS

WIDTHS = {"face": 6, "scene": 4, "voice": 9, "words": 5}
D_MODEL = 10
CASES = {
    "attn2": {"hidden": 8}, "conv_attn": {"steps": 4, "hidden": 8}, "qformer_mm": {"tokens": 3, "hidden": 8},
    "xattn_experts": {"steps": 4, "hidden": 8, "per_step": True}, "prompt_gate": {"steps": 4, "hidden": 8},
    "text_anchor": {"hidden": 8, "heads": 2},
}  # fmt: skip
LENGTHS = {"face": 7, "scene": 3, "voice": 11, "words": 1}


def build(name: str, **options) -> torch.nn.Module:
    torch.manual_seed(0)
    values = {"name": name, "streams": list(WIDTHS), **CASES[name], **options}
    module = FUSIONS.build(values, WIDTHS, D_MODEL).eval()
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return module


def clips(size: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(size, LENGTHS[name], width, generator=generator) for name, width in WIDTHS.items()}


def run(module, values: dict[str, torch.Tensor], present: dict[str, torch.Tensor], pad: int = 0):
    states = {}
    for name, rows in values.items():
        valid = present[name][:, None].expand(-1, rows.shape[1])
        padded = torch.cat([rows, torch.full((len(rows), pad, rows.shape[2]), 9.0)], 1)
        states[name] = StreamStates(padded, torch.cat([valid, torch.zeros(len(rows), pad, dtype=torch.bool)], 1))
    return module({name: rows.mean(1) for name, rows in values.items()}, present, states)


def there(size: int, *absent: tuple[str, int]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([(name, row) not in absent for row in range(size)]) for name in WIDTHS}


def test_every_fusion_is_tested_here():
    assert set(CASES) | {"none"} == set(FUSIONS.names())


@pytest.mark.parametrize("name", CASES)
def test_announced_tokens_and_weights_that_sum_to_one(name):
    module = build(name)
    tokens, weights = run(module, clips(), there(2, ("voice", 0), ("face", 1)))
    assert tokens.shape == (2, module.config.num_tokens(list(WIDTHS)), D_MODEL) and torch.isfinite(tokens).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(2))
    assert weights[0, 2] == 0 and weights[1, 0] == 0


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("missing", WIDTHS)
def test_an_absent_stream_is_never_read_and_equals_one_never_given(name, missing):
    module, values, present = build(name), clips(), there(2, (missing, 0))
    tokens, weights = run(module, values, present)
    other = values | {missing: values[missing].clone()}
    other[missing][0] = 1e3
    torch.testing.assert_close(run(module, other, present)[0][0], tokens[0])
    without = {key: rows for key, rows in values.items() if key != missing}
    alone, alone_weights = run(module, without, {key: present[key] for key in without})
    torch.testing.assert_close(alone[0], tokens[0], atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(alone_weights[0], weights[0])


@pytest.mark.parametrize("name", CASES)
def test_padding_and_neighbours_change_nothing(name):
    module, values, present = build(name), clips(3), there(3, ("voice", 1))
    tokens, _ = run(module, values, present)
    padded, _ = run(module, values, present, pad=5)
    torch.testing.assert_close(padded, tokens, atol=2e-6, rtol=1e-5)
    for row in range(3):
        own = {key: rows[row : row + 1] for key, rows in values.items()}
        alone, _ = run(module, own, {key: flag[row : row + 1] for key, flag in present.items()})
        torch.testing.assert_close(alone[0], tokens[row], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_silencing_the_voice_changes_the_tokens_and_every_stream_has_a_gradient(name):
    module, values = build(name), clips()
    for rows in values.values():
        rows.requires_grad_(True)
    tokens, _ = run(module, values, there(2))
    silent, _ = run(module, values, there(2, ("voice", 0)))
    assert not torch.allclose(tokens[0], silent[0], atol=1e-4)
    tokens.square().sum().backward()
    assert all(rows.grad is not None and rows.grad.abs().sum() > 0 for rows in values.values())


@pytest.mark.parametrize("name", CASES)
def test_no_stream_at_all_is_an_error(name):
    with pytest.raises(ValueError, match="none of its"):
        build(name)({}, {}, {})
