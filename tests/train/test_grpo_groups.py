"""What a step of GRPO compares, counts and warns of."""

from dataclasses import replace

import pytest
import torch
from tiny import tiny_model, tiny_processor
from toy_grpo import batch_of, config, examples, groups, share, toy_rewards

from cuewise.mllm.report import Cue
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.grpo import choose_parts, grpo_loss, run
from cuewise.train.grpo_config import AlarmConfig, PolicyConfig, RolloutConfig
from cuewise.train.grpo_groups import Alarms
from cuewise.train.loop import LoopConfig
from cuewise.train.parallel import HardwareConfig
from cuewise.train.rewards.base import Entry, Schedule, register


@pytest.fixture(autouse=True)
def rewards(monkeypatch):
    toy_rewards(monkeypatch)


@pytest.fixture
def precision():
    """The precision is one for a process; it is forgotten before and after."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("llm", ["qwen3", "llama"])
def test_bf16_runs_and_begins_at_a_ratio_of_one(tmp_path, llm):
    model = tiny_model(llm=llm)
    chosen = config(hardware=HardwareConfig(precision="bf16", device="cpu"),
                    policy=PolicyConfig(truncated="keep", updates=2, kl_weight=0.04))  # fmt: skip
    choose_parts(model, chosen.trains, {}, 0)
    found = run(model, tiny_processor(), examples(), chosen, tmp_path)
    assert found["ratio"] > 0
    first = (tmp_path / "checkpoints" / "log.jsonl").read_text().splitlines()[0]
    assert '"grpo/ratio": 1.0' in first and '"grpo/kl": 0.0' in first


def test_no_engine_answers_from_keys_of_older_weights():
    chosen = config(rollout=RolloutConfig(group=4, max_tokens=6, engine="slot", no_spread="keep"))
    made = groups(chosen)
    made(0, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for weight in made.model.language_model.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
    again = made(1, torch.Generator().manual_seed(0))
    fresh = groups(replace(chosen, trains=["llm"]), made.model)(1, torch.Generator().manual_seed(0))
    assert [p.answers for p in again.prompts] == [p.answers for p in fresh.prompts]


def test_a_reward_that_weighs_nothing_now_makes_no_spread():
    later = Entry(weight=Schedule(kind="step", start=0.0, end=1.0, to_step=5))
    made = groups(config(rewards={"early_letters": later, "same_for_all": Entry()}))
    now = made(0, torch.Generator().manual_seed(0))
    assert now.row is None and now.stats["groups/no_spread"] == 1.0
    assert made(5, torch.Generator().manual_seed(0)).stats["groups/no_spread"] < 1.0


def test_a_reward_that_scores_nothing_is_named_once(caplog):
    made = groups(config(rewards={"early_letters": Entry(), "valence_arousal": Entry()}))
    for step in range(2):
        made(step, torch.Generator().manual_seed(step))
    assert [m for m in caplog.messages if "reward valence_arousal scored none" in m] == caplog.messages


def test_answers_are_held_against_the_streams_that_are_there():
    """A face that was not found is not asked for, whether it was left out on purpose or not."""
    whole = next(one for one in examples()["toy"] if {"face", "voice"} <= {*one.tensors.streams})
    row = whole.row.model_copy(update={
        "labels": ["happy"], "votes": {"face": {"happy": 1.0}, "voice": {"sad": 1.0}}, "aus": {"AU12": 3.0},
        "cues": [Cue(channel="face", observation="lip corners clearly up (AU12)", supports=["happy"]),
                 Cue(channel="voice", observation="rate clearly slower", supports=["sad"])],
    })  # fmt: skip
    heard = replace(whole, row=row, tensors=ClipTensors({"voice": whole.tensors.streams["voice"]}))
    asked = groups(config()).ask(heard, torch.Generator().manual_seed(0)).example.row
    assert asked.labels == ["sad"] and [cue.channel for cue in asked.cues] == ["voice"] and not asked.aus
    assert groups(config()).ask(replace(whole, row=row), torch.Generator().manual_seed(0)).example.row.cues == row.cues


@pytest.mark.parametrize("mean", ["completions", "constant"])
@pytest.mark.parametrize("advantage", ["none", "group", "batch", "gdpo"])
def test_leaving_out_flat_groups_changes_no_gradient(mean, advantage):
    """They have no advantage, and count among the answers that the loss is a mean over."""
    register("of_one_clip")(lambda samples: [share(s.text, "abcdefghijklm") if s.row.id == "clip0" else 0.5
                                             for s in samples])  # fmt: skip
    found = {}
    for no_spread in ("keep", "skip"):
        policy = PolicyConfig(truncated="keep", mean=mean, advantage=advantage)
        chosen = config("of_one_clip", rollout=RolloutConfig(group=6, max_tokens=6, no_spread=no_spread), policy=policy)
        made, batch = batch_of(chosen)
        loss, _ = grpo_loss(made.model, batch, policy, max_tokens=6)
        learnt = [weight for weight in made.model.parameters() if weight.requires_grad]
        gradient = torch.autograd.grad(loss, learnt, allow_unused=True)
        found[no_spread] = torch.cat([value.flatten() for value in gradient if value is not None]), len(batch.prompts)
    (kept, groups_kept), (skipped, groups_left) = found["keep"], found["skip"]
    assert groups_left < groups_kept == 4 and skipped.norm() > 0
    assert (kept - skipped).norm() < 1e-4 * kept.norm()


def test_cut_answers_count_among_those_of_the_mean():
    policy = PolicyConfig(truncated="mask", mean="constant")
    _, batch = batch_of(config(rollout=RolloutConfig(group=6, max_tokens=6, no_spread="keep"), policy=policy))
    assert batch.weight == 24 > int(batch.mask.any(1).sum())


def test_dropping_streams_on_purpose_is_not_losing_required_ones():
    chosen = config(requires=["voice"], rollout=RolloutConfig(group=2, max_tokens=4, stream_dropout=1.0))
    made = groups(chosen)
    whole = made.mixture.sources["toy"][0]
    shown = [made.ask(whole, torch.Generator().manual_seed(seed)).clip.streams for seed in range(8)]
    assert any(len(streams) < 4 for streams in shown) and any("voice" not in streams for streams in shown)


def test_tokens_of_a_step_do_not_depend_on_micro_batches():
    counts = [batch_of(config(loop=LoopConfig(steps=2, batch_size=4, micro_batches=parts, save_every=2, lr=1e-3),
                              rollout=RolloutConfig(group=2, max_tokens=6, no_spread="keep")))[1].stats["tokens"]
              for parts in (1, 4)]  # fmt: skip
    assert counts[0] == counts[1] > 8


def test_an_alarm_counts_steps_not_micro_batches(caplog):
    alarms = Alarms(AlarmConfig(patience=3))
    for step in range(3):
        alarms.step = step
        for _ in range(4):
            alarms.check("entropy", 9.0, 0.0, 6.0, [f"s{step}"])
        assert bool(caplog.messages) == (step == 2)


def test_options_that_would_do_nothing_are_errors():
    with pytest.raises(ValueError, match="overlong_buffer does nothing without"):
        PolicyConfig(overlong_buffer=16)
    with pytest.raises(ValueError, match="patience must be >= 1"):
        AlarmConfig(patience=0)
    with pytest.raises(ValueError, match="has no validation sources"):
        config(loop=LoopConfig(steps=2, batch_size=4, evaluate_every=1))
    with pytest.raises(ValueError, match="prompts of GRPO do not show"):
        config(rewards={"statement": Entry()})
    with pytest.raises(ValueError, match="not measured during training"):
        config(rewards={"cue_grounding": Entry(options={"against": "measured"})})
