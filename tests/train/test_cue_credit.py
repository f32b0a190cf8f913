"""Each cue's share: what going on with it is worth beside the other answers, on the tokens that wrote it."""

import pytest
import torch

from cuewise.eval.metrics.cues import known_cue_score, match_credit
from cuewise.mllm.report import Cue
from cuewise.train.cue_credit import CueLine, beside_others, cue_lines, going_on, group_credit, timing
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


def read(*lines: str) -> list[CueLine]:
    return cue_lines("\n".join(lines).encode(), 4.0)


def at(line: str, answer: str = ANSWER) -> int:
    """Byte at which a line begins."""
    return len(answer[: answer.index(line)].encode())


def test_lines_are_found_by_their_bytes_whatever_stands_between():
    raw = b"\n\xff\xfe\n" + RIGHT.encode() + b"\n" + WRONG.encode() + b"\n</THINK>\n" + HALF.encode()
    right, wrong = cue_lines(raw, 4.0)
    assert raw[right.start : right.end].decode() == RIGHT and raw[wrong.start : wrong.end].decode() == WRONG
    assert raw[slice(*right.when)] == b" 1.00-2.00]" and raw[slice(*wrong.when)] == b"]"


def test_going_on_pays_the_credit_that_cues_add_less_half_the_mean_score():
    answers = [read(RIGHT, WRONG, HALF), read(HALF)]
    scores = [known_cue_score(KNOWN, [line.cue for line in lines], 4.0).f for lines in answers]
    price, half = sum(scores) / 4, match_credit(KNOWN[1], answers[1][0].cue, 4.0)
    assert 0 < half < 1
    first, second = going_on(KNOWN, answers, 4.0)
    assert first == pytest.approx([1 + half - 3 * price, half - 2 * price, half - price, 0.0])
    assert second == pytest.approx([half - price, 0.0])


def test_a_cue_written_twice_adds_nothing():
    (values,) = going_on(KNOWN, [read(RIGHT, RIGHT)], 4.0)
    assert values[0] - values[1] > 0 > values[1]


def test_a_time_after_the_end_of_the_clip_earns_nothing_though_the_whole_clip_would():
    line = "[voice 0.50-9.00] pitch clearly higher => happy"
    whole, outside = read(RIGHT, line.replace(" 0.50-9.00", "")), read(RIGHT, line)
    assert whole[1].cue.start is None and not whole[1].flawed and outside[1].flawed
    paid = going_on(KNOWN, [whole, outside], 4.0)
    assert paid[0][1] > 0 > paid[1][1]
    assert timing(KNOWN, [whole, outside], 4.0)[1][1] < 0 < timing(KNOWN, [whole, outside], 4.0)[0][1] + 1e-9


def test_shares_compare_answers_that_got_as_far():
    values = [[3.0, 1.0, 0.0], [1.0, 0.0], [2.0, -1.0, -2.0, 0.0]]
    assert beside_others(values) == [[1.5, 1.5, 2.0], [-1.5, 0.0], [0.0, -1.5, -2.0, 0.0]]
    assert beside_others([[1.0, 0.0]]) == [[1.0, 0.0]]
    for place in range(2):
        assert sum(row[place] for row in beside_others(values)) == pytest.approx(0.0)


def test_times_learn_from_time_alone():
    late, slight = RIGHT.replace("1.00-2.00", "1.50-3.00"), RIGHT.replace("clearly", "slightly")
    lost = match_credit(KNOWN[0], read(RIGHT)[0].cue, 4.0) - match_credit(KNOWN[0], read(late)[0].cue, 4.0)
    assert lost > 0.3
    assert timing(KNOWN, [read(WRONG, RIGHT), read(late)], 4.0) == [[0.0, pytest.approx(lost)], [pytest.approx(-lost)]]
    assert timing(KNOWN, [read(RIGHT), read(slight)], 4.0) == [[0.0], [0.0]]
    assert timing(KNOWN, [read(RIGHT), read(WRONG), []], 4.0) == [[0.0], [0.0], []]


def test_stopping_is_worth_it_where_others_only_wrote_wrong_cues():
    answers = [f"\n{RIGHT}\n{WRONG}\nSo.", f"\n{RIGHT}\nSo."]
    on, stop = group_credit([pieces(text, 1) for text in answers], KNOWN, 4.0)
    assert on[len(RIGHT) + 3] < 0 < stop[len(RIGHT) + 2]
    silent = "\nSo.\n</think>"
    none, right = group_credit([pieces(silent, 1), pieces(f"\n{RIGHT}\nSo.", 1)], KNOWN, 4.0)
    assert none[0] < 0 < right[1] and set(none[1:]) == {None}


@pytest.mark.parametrize("size", [1, 3, 7])
def test_the_tokens_of_a_line_carry_its_share_those_of_its_time_another_and_the_next_token_the_last(size):
    late = RIGHT.replace("1.00-2.00", "1.25-3.00")
    other = f"\n{WRONG}\n{late}\nNothing.\n</think>\n<answer>sad</answer>"
    values = group_credit([pieces(ANSWER, size), pieces(other, size)], KNOWN, 4.0)[0]
    lines = [read(RIGHT, WRONG, HALF), read(WRONG, late)]
    shares, times = beside_others(going_on(KNOWN, lines, 4.0))[0], timing(KNOWN, lines, 4.0)[0]
    assert len({*shares, *times}) == 5 and times[1:] == [0.0, shares[-1]]
    begins = range(0, len(ANSWER.encode()), size)
    for place, value in zip(begins, values, strict=True):
        want = None
        for line, share, time in zip((RIGHT, WRONG, HALF), shares, times):
            start = at(line)
            if want is None and start < place + size and place < start + len(line):
                named = start + min(line.index(" "), line.index("]"))
                want = time if named <= place < start + line.index("]") + 1 else share
        end = at(HALF) + len(HALF) + 1
        if want is None and place < end + size and place + size > end and value is not None:
            want = shares[-1]
        assert value == want
    assert shares[-1] in values


def test_a_clip_without_known_cues_has_no_shares():
    assert set(group_credit([pieces(ANSWER)], [])[0]) == {None}


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
