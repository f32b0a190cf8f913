"""The audit: the shipped rewards pay honesty, rewards that can be fooled are named with the hack that fools them."""

import numpy as np
import pytest

from cuewise.__main__ import main
from cuewise.mllm.report import parse, render
from cuewise.train.rewards import RewardConfig, load_config
from cuewise.train.rewards.audit import run_audit, usable_answer
from cuewise.train.rewards.base import Entry
from cuewise.train.rewards.hacks import HACKS, honest, planned_rows

ROWS = 80


def config(**entries) -> RewardConfig:
    return RewardConfig(rewards={name: Entry(weight=weight) for name, weight in entries.items()})


def losers(**entries) -> set[str]:
    return {one.hack for one in run_audit(config(**entries), count=ROWS).findings if not one.passed}


@pytest.mark.parametrize("skill", [0.5, 0.75])
def test_the_shipped_rewards_pay_honest_answers_more_than_every_hack(skill):
    audit = run_audit(load_config(), count=ROWS, skill=skill)
    assert audit.passed, audit.table()
    assert {one.hack for one in audit.findings} == set(HACKS) and all(one.has_effect for one in audit.findings)
    assert 0.3 < audit.findings[0].honest < 0.95


@pytest.mark.slow
def test_measured_cues_pay_honest_answers_more_than_every_hack():
    audit = run_audit(load_config(), count=60, measured=True)
    assert audit.passed, audit.table()
    found = {one.hack: one for one in audit.findings}
    assert found["slight cues over the clip"].has_effect and found["vague cues over the clip"].has_effect
    with pytest.raises(ValueError, match="makes clips of its own"):
        run_audit(load_config(), answers=[], measured=True)


def test_agreement_alone_pays_for_copying_the_answer():
    assert {"copy answer into think", "copy answer as cue"} <= losers(align=1.0)


def test_right_labels_alone_do_not_notice_missing_reasoning_and_punish_lists():
    audit = run_audit(config(ew=1.0), count=ROWS)
    found = {one.hack: one for one in audit.findings}
    assert not found["empty think"].has_effect and found["empty think"].passed
    assert not found["list every emotion"].favours and found["list every emotion"].passed
    assert "(no effect)" in audit.table()


def test_form_alone_pays_for_gibberish_in_the_right_tags():
    assert "vague cues over the clip" not in losers(format=1.0, cue_grounding=1.0)
    found = {one.hack: one for one in run_audit(config(format=1.0), count=ROWS).findings}
    assert found["gibberish"].passed and not found["gibberish think"].has_effect


def test_a_bad_config_fails_on_the_command_line_and_a_good_one_passes(tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text("rewards: {align: {weight: 1.0}, format: {weight: 0.1}}\n")
    assert main(["train", "audit", "--rewards", str(bad), "--count", str(ROWS)]) == 2
    printed = capsys.readouterr().out
    assert "<- PAYS" in printed and "failed: " in printed
    assert main(["train", "audit", "--count", str(ROWS)]) == 0
    assert "passed: no hack pays more than an honest answer" in capsys.readouterr().out


def test_weights_that_change_are_audited_where_they_change(tmp_path, capsys):
    path = tmp_path / "r.yaml"
    off = "{kind: step, start: 8.0, end: 0.0, to_step: 100}"
    path.write_text(f"rewards: {{format: 0.1, align: 1.0, ew: {{weight: {off}}}, cue_grounding: {{weight: {off}}}}}\n")
    assert main(["train", "audit", "--rewards", str(path), "--count", str(ROWS)]) == 2
    first, last = capsys.readouterr().out.split("weights of step 100:")
    assert "passed: no hack" in first and "failed: " in last


def test_a_misspelt_config_is_an_error_of_the_user(tmp_path, capsys):
    path = tmp_path / "r.yaml"
    path.write_text("rewards: {cue_groundng: {weight: 1}}\n")
    assert main(["train", "audit", "--rewards", str(path)]) == 2
    assert "did you mean `cue_grounding`" in capsys.readouterr().err


def test_honest_answers_have_the_asked_skill_and_are_well_formed():
    rng = np.random.default_rng(0)
    answers = [honest(row, 0.6, rng, length) for row, length in planned_rows(200)]
    assert 0.5 < sum(one.right for one in answers) / len(answers) < 0.7
    assert all(parse(render(one.answer)).format_ok for one in answers)
    sure = [one.answer.confidence for one in answers]
    assert 0.5 < sum(sure) / len(sure) < 0.7


def test_answers_of_a_model_need_a_cue_and_a_label():
    assert usable_answer("<answer>happy</answer>", 4.0) is None
    assert usable_answer("<think>[face] lips parted</think><answer>happy</answer>", 4.0) is not None


@pytest.mark.slow
def test_a_real_model_is_audited_by_its_own_answers(capsys):
    assert main(["train", "audit", "--model", "nano", "--count", "3"]) in (0, 2)
    assert "rows; weights:" in capsys.readouterr().out


def test_a_config_that_weighs_nothing_and_a_count_of_none_are_refused(tmp_path, capsys):
    nothing = tmp_path / "nothing.yaml"
    nothing.write_text("rewards: {format: {weight: 0}}\n")
    assert main(["train", "audit", "--rewards", str(nothing)]) == 2
    assert "weighs nothing" in capsys.readouterr().err
    assert main(["train", "audit", "--count", "0"]) == 2 and "--count must be >= 1" in capsys.readouterr().err
