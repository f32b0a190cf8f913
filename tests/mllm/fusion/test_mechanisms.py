"""What each pre-fusion is for, shown where the effect is known."""

import pytest
import torch

from cuewise.mllm import fusion  # noqa: F401
from cuewise.mllm.fusion import StreamStates
from cuewise.mllm.registry import FUSIONS


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, dtype=torch.bool)


def whole(values: dict[str, torch.Tensor]) -> tuple[dict, dict, dict]:
    means = {name: rows.mean(1) for name, rows in values.items()}
    present = {name: ones(len(rows)) for name, rows in values.items()}
    return means, present, {name: StreamStates(rows, ones(*rows.shape[:2])) for name, rows in values.items()}


def test_the_convolution_branch_sees_nine_steps():
    torch.manual_seed(0)
    module = FUSIONS.build(
        {"name": "conv_attn", "streams": ["face", "voice"], "steps": 21, "hidden": 8, "attention": False},
        {"face": 4, "voice": 4}, 6,
    ).eval()  # fmt: skip
    values = {name: torch.randn(1, 21, 4) for name in ("face", "voice")}
    base, _ = module(*whole(values))
    values["voice"] = values["voice"].clone()
    values["voice"][0, 10, 0] += 1.0
    moved = (module(*whole(values))[0] - base).abs().sum(2)[0] > 1e-7
    assert moved.nonzero().squeeze(1).tolist() == list(range(6, 15))


def test_either_branch_alone_is_what_the_other_leaves_out():
    def build(attention: bool, convolution: bool) -> torch.nn.Module:
        torch.manual_seed(0)
        return FUSIONS.build(
            {"name": "conv_attn", "streams": ["face"], "hidden": 8, "attention": attention, "convolution": convolution},
            {"face": 4}, 6,
        ).eval()  # fmt: skip

    values = whole({"face": torch.randn(1, 8, 4)})
    both, one, other = (build(*flags)(*values)[0] for flags in ((True, True), (True, False), (False, True)))
    bias = build(True, True).out(torch.zeros(1, 8, 8))
    torch.testing.assert_close(both, one + other - bias)
    with pytest.raises(ValueError, match="both are off"):
        build(False, False)


def test_all_experts_learn_and_a_blind_clip_keeps_only_the_asking_stream():
    torch.manual_seed(0)
    widths = {"face": 6, "voice": 9}
    module = FUSIONS.build({"name": "xattn_experts", "streams": list(widths), "hidden": 8, "levels": True}, widths, 5)
    values = {"face": torch.randn(2, 4, 6), "voice": torch.randn(2, 5, 9)}
    means, present, states = whole(values)
    _, gate = module.mix(list(widths), present, states)
    torch.testing.assert_close(gate.sum(1), torch.ones(2))
    module(means, present, states)[0].square().sum().backward()
    assert all(any(w.grad.abs().sum() > 0 for w in expert.parameters()) for expert in module.experts)
    with torch.no_grad():
        expert, ask = module.experts[0], torch.randn(2, 8, 3)
        blind = expert(ask, {"face": torch.randn(2, 8, 2)}, {"face": ~ones(2)})
        h = expert.residual(ask)
        torch.testing.assert_close(blind, h + expert.feed_forward(expert.norm(h)))


def test_the_gate_learns_which_branch_the_words_ask_for():
    torch.manual_seed(0)
    widths = {"face": 4, "voice": 4, "words": 3}
    module = FUSIONS.build({"name": "prompt_gate", "streams": list(widths), "steps": 1, "hidden": 8}, widths, 4)
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    topics = torch.eye(3)[:2]
    for _ in range(200):
        topic = torch.randint(2, (16,))
        values = {"face": torch.randn(16, 2, 4), "voice": torch.randn(16, 2, 4), "words": topics[topic][:, None]}
        asked = torch.where(topic[:, None] == 0, values["face"].mean(1), values["voice"].mean(1))
        tokens, _ = module(*whole(values))
        loss = (tokens[:, 0] - asked).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    values = {"face": torch.randn(2, 2, 4), "voice": torch.randn(2, 2, 4), "words": topics[:, None]}
    _, weights = module(*whole(values))
    assert weights[0, 0] > 0.8 and weights[1, 1] > 0.8 and not weights[:, 2].any()


def test_a_one_sided_gate_is_that_branch_exactly_and_no_words_weigh_equally():
    torch.manual_seed(0)
    widths = {"face": 4, "voice": 4, "words": 3}
    module = FUSIONS.build({"name": "prompt_gate", "streams": list(widths), "steps": 2, "hidden": 8}, widths, 4).eval()
    values = {"face": torch.randn(1, 3, 4), "voice": torch.randn(1, 3, 4), "words": torch.randn(1, 1, 3)}
    module.gate[-1].weight.data.zero_()
    module.gate[-1].bias.data = torch.tensor([200.0, -200.0])
    tokens, _ = module(*whole(values))
    face, _ = module(*whole({"face": values["face"]}))
    torch.testing.assert_close(tokens, face)
    _, weights = module(*whole({name: values[name] for name in ("face", "voice")}))
    assert weights[0].tolist() == [0.5, 0.5, 0.0]


def test_queries_read_all_streams_side_by_side():
    torch.manual_seed(0)
    widths = {"face": 4, "voice": 5}
    module = FUSIONS.build({"name": "qformer_mm", "streams": list(widths), "tokens": 2, "hidden": 8}, widths, 6).eval()
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    values = {"face": torch.randn(1, 6, 4), "voice": torch.randn(1, 3, 5)}
    tokens, weights = module(*whole(values))
    shuffled, _ = module(*whole(values | {"face": values["face"][:, [4, 1, 0, 5, 2, 3]]}))
    assert not torch.allclose(tokens, shuffled, atol=1e-4)
    torch.testing.assert_close(weights[0], torch.tensor([6 / 9, 3 / 9]))


def test_the_words_decide_what_is_read_of_the_other_streams():
    torch.manual_seed(0)
    widths = {"voice": 6, "words": 5}
    module = FUSIONS.build({"name": "text_anchor", "streams": list(widths), "hidden": 8, "heads": 2}, widths, 4).eval()
    values = {"voice": torch.randn(1, 7, 6), "words": torch.randn(1, 1, 5)}
    means, present, states = whole(values)
    answers = []
    for words in (values["words"][:, 0], -values["words"][:, 0]):
        anchor = module._anchor({"words": words}, present, 1)
        answers.append(module._answer("voice", anchor, states["voice"]) - anchor)
    assert not torch.allclose(*answers, atol=1e-3)
    silent = {"voice": present["voice"], "words": ~ones(1)}
    torch.testing.assert_close(module._anchor(means, silent, 1)[0], module.wordless)
