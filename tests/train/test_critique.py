"""Critiques on toy language models: the blamed span, the score that reads the critique, the likely next turn."""

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from cuewise.data_recipes.schema import Row
from cuewise.train.critique import (
    Critic,
    CritiqueModel,
    FollowUpScorer,
    blamed_tokens,
    token_logp,
    unlikelihood_loss,
)
from cuewise.train.rewards import RewardSample
from cuewise.train.rewards.judgment import critique_reward


def encode(text: str) -> list[int]:
    return list(text.encode())


def tiny_model() -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    return Qwen2ForCausalLM(Qwen2Config(
        vocab_size=256, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=256,
    ))  # fmt: skip


def taught(lines: list[tuple[str, str]], steps: int = 80) -> Qwen2ForCausalLM:
    """A toy model that has learnt to write each answer after its prompt."""
    model = tiny_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(steps):
        logp, mask = token_logp(model, [encode(p) for p, _ in lines], [encode(a) for _, a in lines])
        optimizer.zero_grad()
        (-(logp * mask).sum() / mask.sum()).backward()
        optimizer.step()
    return model.eval()


def test_log_probabilities_do_not_depend_on_the_batch():
    model = tiny_model().eval()
    prompts, answers = [encode("a longer prompt"), encode("b")], [encode("xy"), encode("wvu")]
    both, mask = token_logp(model, prompts, answers)
    for row in range(2):
        alone, _ = token_logp(model, prompts[row : row + 1], answers[row : row + 1])
        torch.testing.assert_close(both[row][mask[row]], alone[0], atol=1e-5, rtol=1e-5)


def test_only_the_planted_bad_span_gets_the_unlikelihood_term():
    """After "bad:" the toy model writes a wrong second half, after "ok:" the right one."""
    right, wrong = "up is joy", "up is rage"
    model = taught([("ok:", right), ("bad:", wrong)])
    logp, mask = token_logp(model, [encode("ok:")], [encode(wrong)])
    judged, _ = token_logp(model, [encode("bad:")], [encode(wrong)])
    blamed = blamed_tokens(logp, judged, mask, threshold=2.0)[0]
    start = len("up is ")
    assert not blamed[:start].any() and blamed[start]
    _, stats = unlikelihood_loss(logp, judged, mask, threshold=2.0)
    assert stats["blamed"] > 0 and stats["kept_p"] > 0.8


def test_the_gradient_pushes_blamed_tokens_down_and_the_others_up():
    logits = torch.zeros(1, 3, requires_grad=True)
    logp = torch.nn.functional.logsigmoid(logits)
    judged = logp.detach() + torch.tensor([[0.0, 1.0, 0.0]])
    mask = torch.tensor([[True, True, False]])
    loss, stats = unlikelihood_loss(logp, judged, mask)
    loss.backward()
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1] and logits.grad[0, 2] == 0
    assert stats["blamed"] == 0.5
    assert loss.item() == pytest.approx((0.693147 + 0.693147) / 2, abs=1e-5)


def test_a_token_of_probability_one_keeps_the_loss_finite():
    logp = torch.zeros(1, 1, requires_grad=True)
    loss, _ = unlikelihood_loss(logp - 1e-9, logp.detach() + 1.0, torch.ones(1, 1, dtype=torch.bool))
    assert torch.isfinite(loss)


def test_without_a_judgment_it_is_the_plain_likelihood():
    logp = torch.log(torch.rand(2, 4) * 0.8 + 0.1)
    mask = torch.ones(2, 4, dtype=torch.bool)
    loss, stats = unlikelihood_loss(logp, logp, mask)
    assert stats["blamed"] == 0 and loss.item() == pytest.approx(-logp.mean().item(), abs=1e-6)


def test_the_score_depends_on_the_critique_and_is_learnt_from_pairs():
    torch.manual_seed(1)
    model = CritiqueModel(tiny_model(), encode, 32)
    good, bad = ("happy", "the smile is there"), ("sad", "no such cue")
    before = model(["q", "q"], ["happy", "happy"], [good[1], bad[1]])
    assert before[0] != before[1]
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(25):
        loss, stats = model.loss(["q"], [good], [bad])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert stats["accuracy"] == 1.0 and stats["pair"] < 0.3
    # The answer is the same; only what the critique says differs.
    same = model(["q", "q"], ["happy", "happy"], [good[1], bad[1]])
    assert same[0] > same[1]
    critic = Critic(model.eval(), write=lambda prompt, answer: [good[1], bad[1]] if answer == "happy" else [])
    sample = RewardSample.read("q", "happy", Row(id="r", corpus="c"))
    silent = RewardSample.read("q", "sad", Row(id="r", corpus="c"))
    scores, nothing = critic([sample, silent])
    assert scores == pytest.approx(same.tolist(), abs=1e-5) and nothing == []
    assert critique_reward([sample, silent], critic=critic) == [pytest.approx(sum(scores) / 2), None]


def test_follow_ups_rank_a_helpful_answer_over_an_unhelpful_one():
    lines = [("help;", "thanks"), ("noise;", "what?!")]
    scorer = FollowUpScorer(taught(lines), encode, batch_size=3)
    values = scorer([(context, turn) for context in ("help;", "noise;") for turn in ("thanks", "what?!")])
    helpful, unhelpful = values[0] - values[1], values[2] - values[3]
    assert helpful > 1 > -1 > unhelpful
