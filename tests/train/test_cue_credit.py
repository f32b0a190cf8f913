"""Each cue's share: what going on with it is worth beside the other answers, on the tokens that wrote it."""

import pytest
import torch

from cuewise.eval.metrics.cues import known_cue_score, match_credit
from cuewise.mllm.report import Cue
from cuewise.train.cue_credit import beside_others, cue_lines, going_on, group_credit
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


def read(*lines: str) -> list[Cue | None]:
    return [line.cue for line in cue_lines("\n".join(lines), 4.0)]


def test_going_on_pays_the_credit_that_cues_add_less_half_the_mean_score():
    answers = [read(RIGHT, WRONG, HALF), read(HALF)]
    price = sum(known_cue_score(KNOWN, answer, 4.0).f for answer in answers) / 4
    half = match_credit(KNOWN[1], answers[1][0], 4.0)
    assert 0 < half < 1
    first, second = going_on(KNOWN, answers, 4.0)
    assert first == pytest.approx([1 + half - 3 * price, half - 2 * price, half - price, 0.0])
    assert second == pytest.approx([half - price, 0.0])


def test_a_cue_written_twice_adds_nothing():
    (values,) = going_on(KNOWN, [read(RIGHT, RIGHT)], 4.0)
    assert values[0] - values[1] > 0 > values[1]


def test_a_time_after_the_end_of_the_clip_earns_nothing_though_the_whole_clip_would():
    line = "[voice 0.50-9.00] pitch clearly higher => happy"
    whole, outside = read(line.replace(" 0.50-9.00", "")), read(line)
    assert whole[0].start is None and outside == [None]
    paid = going_on(KNOWN, [read(RIGHT) + whole, read(RIGHT) + outside], 4.0)
    assert paid[0][1] > 0 > paid[1][1]


def test_shares_compare_answers_that_got_as_far():
    values = [[3.0, 1.0, 0.0], [1.0, 0.0], [2.0, -1.0, -2.0, 0.0]]
    assert beside_others(values) == [[1.5, 1.5, 2.0], [-1.5, 0.0], [0.0, -1.5, -2.0, 0.0]]
    assert beside_others([[1.0, 0.0]]) == [[1.0, 0.0]]
    for place in range(2):
        assert sum(row[place] for row in beside_others(values)) == pytest.approx(0.0)


def test_stopping_is_worth_it_where_others_only_wrote_wrong_cues():
    answers = [f"\n{RIGHT}\n{WRONG}\nSo.", f"\n{RIGHT}\nSo."]
    on, stop = group_credit(answers, [pieces(text, 1) for text in answers], KNOWN, 4.0)
    assert on[len(RIGHT) + 5] < 0 < stop[len(RIGHT) + 2]


@pytest.mark.parametrize("size", [1, 3, 7])
def test_the_tokens_of_a_line_carry_its_share_and_the_next_token_the_last(size):
    other = f"\n{WRONG}\nNothing.\n</think>\n<answer>sad</answer>"
    values = group_credit([ANSWER, other], [pieces(ANSWER, size), pieces(other, size)], KNOWN, 4.0)[0]
    shares = beside_others(going_on(KNOWN, [read(RIGHT, WRONG, HALF), read(WRONG)], 4.0))[0]
    assert len(set(shares)) == 4
    spans = dict.fromkeys(values, "")
    assert spans.keys() - {None} == set(shares)
    for piece, value in zip(pieces(ANSWER, size), values):
        spans[value] += piece.decode(errors="replace")
    for line, share in zip((RIGHT, WRONG, HALF), shares):
        assert line[size:-size] in spans[share] and len(spans[share]) <= len(line) + 2 * size
    assert "<answer>happy" in spans[None] and "smiles" in spans[None]
    last = spans[shares[-1]].strip()
    assert last and last in "The face" and len(last) <= size


def test_an_answer_out_of_form_and_a_clip_without_known_cues_have_no_shares():
    text = "happy, because of everything"
    assert group_credit([text], [pieces(text)], KNOWN) == [[None] * len(pieces(text))]
    assert set(group_credit([ANSWER], [pieces(ANSWER)], [])[0]) == {None}


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
