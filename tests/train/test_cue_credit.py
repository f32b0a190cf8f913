"""Each cue's own share: what the score of its answer loses without it, on the tokens that wrote it."""

import pytest
import torch

from cuewise.eval.metrics.cues import known_cue_score
from cuewise.mllm.report import Cue, parse
from cuewise.train.cue_credit import contributions, cue_lines, token_credit
from cuewise.train.policy_losses import policy_loss

KNOWN = [
    Cue(channel="face", start=1.0, end=2.0, observation="lip corners clearly up (AU12)", supports=["happy"]),
    Cue(channel="voice", start=0.5, end=3.0, observation="pitch clearly higher", supports=["happy"]),
]
RIGHT, HALF, WRONG = (
    "[face 1.00-2.00] lip corners clearly up (AU12) => happy",
    "[voice 0.50-1.75] pitch clearly higher => happy",
    "[voice] rate clearly slower => sad",
)
ANSWER = f"\n{RIGHT}\n{WRONG}\n{HALF}\nThe face “smiles”.\n</think>\n<answer>happy</answer>"


def pieces(text: str, size: int = 3) -> list[bytes]:
    raw = text.encode()
    return [raw[i : i + size] for i in range(0, len(raw), size)]


def test_a_share_is_what_the_score_loses_without_the_cue_whatever_their_number():
    cues = [cue for _, _, cue in cue_lines(ANSWER, 4.0)]
    whole = known_cue_score(KNOWN, cues, 4.0).f
    for index, share in enumerate(contributions(KNOWN, cues, 4.0)):
        rest = [cue for i, cue in enumerate(cues) if i != index]
        lost = whole - known_cue_score(KNOWN, rest, 4.0).f
        assert share * 2 / (len(KNOWN) + len(cues) - 1) == pytest.approx(lost)


def test_right_cues_gain_wrong_ones_and_repetitions_cost():
    right, wrong, half, again = contributions(KNOWN, [parse(f"<think>\n{line}\n</think>").cues[0] for line in
                                                      (RIGHT, WRONG, HALF, WRONG)])  # fmt: skip
    assert right > half > 0 > wrong and wrong == again
    twice = contributions(KNOWN, [parse(f"<think>\n{RIGHT}\n</think>").cues[0]] * 2)
    assert twice[0] == twice[1] < 0
    assert contributions([], [KNOWN[0]]) == [0.0] and contributions(KNOWN, []) == []


def test_a_time_after_the_end_of_the_clip_earns_nothing_though_the_whole_clip_would():
    line = "[voice 0.50-9.00] pitch clearly higher => happy"
    whole = contributions(KNOWN, [cue for _, _, cue in cue_lines(line.replace(" 0.50-9.00", ""), 4.0)], 4.0)
    outside = contributions(KNOWN, [cue for _, _, cue in cue_lines(line, 4.0)], 4.0)
    within = contributions(KNOWN, [cue for _, _, cue in cue_lines(line, 9.0)], 9.0)
    assert whole[0] > 0 and outside == [0.0] and within[0] > 0
    both = contributions(KNOWN, [cue for _, _, cue in cue_lines(f"{RIGHT}\n{line}", 4.0)], 4.0)
    assert both[0] > 0 > both[1]


@pytest.mark.parametrize("size", [1, 3, 7])
def test_the_tokens_of_a_line_carry_its_share_and_that_of_the_lines_after_it(size):
    values = token_credit(ANSWER, pieces(ANSWER, size), KNOWN, 4.0)
    spans = dict.fromkeys(values, "")
    worth = contributions(KNOWN, [cue for _, _, cue in cue_lines(ANSWER, 4.0)], 4.0)
    worth = [sum(worth), sum(worth[1:]), worth[2]]
    assert spans.keys() - {None} == {0.0, *worth}
    for piece, value in zip(pieces(ANSWER, size), values):
        spans[value] += piece.decode(errors="replace")
    for line, share in zip((RIGHT, WRONG, HALF), worth):
        assert line[size:-size] in spans[share] and len(spans[share]) <= len(line) + 2 * size
    assert "<answer>happy" in spans[None] and "smiles" in spans[None]
    assert spans[0.0].strip() and spans[0.0].strip() in "The face" and len(spans[0.0]) <= size


def test_an_answer_out_of_form_has_no_shares():
    text = "happy, because of everything"
    assert token_credit(text, pieces(text), KNOWN) == [None] * len(pieces(text))
    assert set(token_credit(ANSWER, pieces(ANSWER), [])) == {None}


@pytest.mark.parametrize("objective", ["clip", "cispo"])
def test_equal_advantages_of_tokens_are_the_advantage_of_the_answer(objective):
    draw = torch.Generator().manual_seed(0)
    logp, old = -torch.rand(3, 5, generator=draw), -torch.rand(3, 5, generator=draw)
    advantage, mask = torch.randn(3, generator=draw), torch.rand(3, 5, generator=draw) > 0.2
    options = {"objective": objective, "high": 5.0 if objective == "cispo" else 0.28}
    whole, _ = policy_loss(logp, old, advantage, mask, **options)
    by_token, _ = policy_loss(logp, old, advantage.unsqueeze(1).expand(3, 5), mask, **options)
    torch.testing.assert_close(whole, by_token)
    only = torch.zeros(3, 5)
    only[1, 2] = 2.0
    mask[1, 2] = True
    ratio = (logp - old).exp()[1, 2]
    want = {"clip": -min(ratio * 2, ratio.clamp(0.8, 1.28) * 2), "cispo": -ratio.clamp(max=5.0) * 2 * logp[1, 2]}
    found, _ = policy_loss(logp, old, only, mask, **options)
    torch.testing.assert_close(found * mask.sum(), want[objective])
