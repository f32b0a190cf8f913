"""GRPO end to end: a toy policy learns, and the step refuses what would teach nothing or something wrong."""

import json
from dataclasses import replace

import pytest
import torch
from tiny import tiny_model, tiny_processor
from toy_grpo import batch_of, config, examples, groups, share, toy_rewards

from cuewise.mllm.adapters.lora import LoraScope
from cuewise.mllm.engine.base import Completion
from cuewise.mllm.report import Cue
from cuewise.train import grpo
from cuewise.train.grpo import choose_parts, grpo_loss, run
from cuewise.train.grpo_config import AlarmConfig, PolicyConfig, RolloutConfig
from cuewise.train.grpo_groups import Alarms, Groups
from cuewise.train.loop import LoopConfig, TrainingError
from cuewise.train.media_gate import MediaLostError
from cuewise.train.policy_losses import policy_loss, token_logprobs
from cuewise.train.rewards.base import Entry
from cuewise.train.tracking import read_tables


@pytest.fixture(autouse=True)
def rewards(monkeypatch):
    toy_rewards(monkeypatch)


def log_of(folder):
    return [json.loads(line) for line in (folder / "checkpoints" / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow  # 50 steps of sampling and learning
def test_the_reward_of_a_simple_task_rises(tmp_path):
    torch.manual_seed(0)
    loop = LoopConfig(steps=50, batch_size=4, lr=3e-3, warmup_steps=3, schedule="constant", log_every=1,
                      sample_every=25)  # fmt: skip
    chosen = config(loop=loop, policy=PolicyConfig(truncated="keep", advantage="group"))
    model = tiny_model()
    choose_parts(model, chosen.trains, {}, 0)
    run(model, tiny_processor(), examples(), chosen, tmp_path)
    earned = [line["grpo/reward/early_letters"] for line in log_of(tmp_path)]
    assert sum(earned[-5:]) / 5 > sum(earned[:5]) / 5 + 0.3, earned
    table = read_tables(tmp_path / "checkpoints" / "samples", "grpo")
    assert len(table) == 2 * 4 * 6 and {"answer", "reward/early_letters", "advantage", "finish_reason"} <= set(table[0])
    assert table[0]["reward/early_letters"] == pytest.approx(share(table[0]["answer"], "abcdefghijklm"))


def test_a_step_logs_each_reward_alone_and_what_the_policy_does(tmp_path):
    model = tiny_model()
    chosen = config(rewards={"early_letters": Entry(weight=0.1), "same_for_all": Entry()})
    choose_parts(model, chosen.trains, {}, 0)
    before = model.language_model.model.layers[0].mlp.up_proj.weight.clone()
    frozen = model.media.towers["voice"].encoder.state_dict()
    kept = {name: value.clone() for name, value in frozen.items()}
    run(model, tiny_processor(), examples(), chosen, tmp_path)
    line = log_of(tmp_path)[-1]
    assert line["grpo/reward/same_for_all"] == 0.5 and 0 <= line["grpo/reward/early_letters"] <= 1
    for name in ("entropy", "ratio", "clip/high", "answers/tokens", "answers/truncated", "groups/no_spread",
                 "media_rows", "tokens"):  # fmt: skip
        assert f"grpo/{name}" in line
    assert line["grpo/ratio"] == pytest.approx(1, abs=1e-4) and line["grpo/media_rows"] > 0
    assert not torch.equal(before, model.language_model.model.layers[0].mlp.up_proj.weight)
    assert all(torch.equal(kept[name], value) for name, value in frozen.items())


def test_tokens_of_a_cue_carry_its_own_share():
    made = groups(config(policy=PolicyConfig(truncated="keep", cue_credit=1.0), rollout=RolloutConfig(group=2)))
    known = [Cue(channel="voice", observation="pitch clearly higher", supports=["happy"])]
    for example in made.mixture.sources["toy"]:
        example.row.cues = known
    text = "\n[voice] pitch clearly higher => happy\n[voice] rate clearly slower => sad\n</think>\n<answer>a</answer>"
    ids = made.processor.text_ids(text)
    other = made.processor.text_ids("\n[voice] rate clearly slower => sad\n</think>\n<answer>b</answer>")

    class Scripted:
        def sample(self, requests):
            decode = made.processor.tokenizer.decode
            return [[Completion(request.id, i, decode(answer), answer, finish_reason="stop")
                     for i, answer in enumerate((ids, other))] for request in requests]  # fmt: skip

    made.engine = Scripted()
    batch = made(0, torch.Generator().manual_seed(0))
    assert batch.advantage.shape == batch.mask.shape
    right, wrong = (len(made.processor.text_ids(text.split("[voice]")[0] + "[voice]" + part)) for part in
                    (" pitch", text.split("[voice]")[1] + "[voice] rate"))  # fmt: skip
    own, end = batch.advantage[0], batch.advantage[0, len(ids) - 1]
    assert own[right] > own[wrong] and own[wrong] < 0 and own[1] == own[right] and own[len(ids) - 3] == end
    assert batch.advantage[1, -1] == batch.advantage[1, len(other) - 1]
    loss, _ = grpo_loss(made.model, batch, made.config.policy)
    loss.backward()
    assert torch.isfinite(loss)


def test_the_policy_does_not_learn_from_words_that_the_transcript_chose():
    made = groups(config(rollout=RolloutConfig(group=2, max_tokens=40), reward="early_letters"))
    text = '\n[words] "we won" => happy\n</think>\n<answer>a</answer>'
    ids = made.processor.text_ids(text)

    class Scripted:
        def sample(self, requests):
            return [[Completion(request.id, i, text[: len(text) - 5 * i], ids[: len(ids) - i], finish_reason="stop")
                     for i in range(2)] for request in requests]  # fmt: skip

    made.engine = Scripted()
    batch = made(0, torch.Generator().manual_seed(0))
    tokenizer = made.processor.tokenizer
    left_out = [tokenizer.decode([t for t, used in zip(ids, row.tolist()) if not used]) for row in batch.mask[::2]]
    assert any(part.startswith('we won"') for part in left_out), left_out


def test_micro_batches_change_nothing(tmp_path):
    weights = []
    for parts in (1, 2):
        model = tiny_model()
        loop = LoopConfig(steps=1, batch_size=4, micro_batches=parts, warmup_steps=1, save_every=1)
        chosen = config(loop=loop, policy=PolicyConfig(truncated="keep", advantage="gdpo"))
        choose_parts(model, chosen.trains, {}, 0)
        run(model, tiny_processor(), examples(), chosen, tmp_path / str(parts))
        weights.append(model.language_model.model.layers[0].mlp.up_proj.weight)
    torch.testing.assert_close(weights[0], weights[1], atol=2e-5, rtol=1e-4)


def test_a_resumed_run_ends_with_the_same_weights(tmp_path):
    ends = []
    for name, stops in (("whole", [4]), ("stopped", [2, 4])):
        for stop in stops:
            model = tiny_model()
            loop = LoopConfig(steps=4, batch_size=2, warmup_steps=1, save_every=2)
            chosen = config(loop=loop, policy=PolicyConfig(truncated="keep", updates=2, kl_weight=0.1))
            choose_parts(model, chosen.trains, {}, 0)
            if stop == 2:
                groups_until(model, chosen, tmp_path / name, stop)
            else:
                run(model, tiny_processor(), examples(), chosen, tmp_path / name)
        ends.append({key: value.clone() for key, value in model.state_dict().items()})
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def groups_until(model, chosen, folder, stop):
    """Run until a step fails, as after a crash."""
    plain = Groups.__call__

    def crash(self, step, generator):
        if step == stop:
            raise KeyboardInterrupt
        return plain(self, step, generator)

    Groups.__call__ = crash
    try:
        with pytest.raises(KeyboardInterrupt):
            run(model, tiny_processor(), examples(), chosen, folder)
    finally:
        Groups.__call__ = plain


def test_the_loss_is_that_of_the_published_formula():
    chosen = config(policy=PolicyConfig(truncated="keep", advantage="group"))
    made, batch = batch_of(chosen)
    loss, _ = grpo_loss(made.model, batch, chosen.policy)
    rows, at = [], 0
    total = sum(len(answer) for prompt in batch.prompts for answer in prompt.answers)
    expected = 0.0
    for prompt in batch.prompts:
        for answer in prompt.answers:
            with torch.no_grad():
                out = made.model(input_ids=torch.tensor([prompt.prompt + answer]), media_tokens=[prompt.media])
            logp = token_logprobs(out.logits[0, len(prompt.prompt) - 1 : -1], torch.tensor(answer))
            advantage = batch.advantage[at : at + 1]
            whole = torch.ones(1, len(answer)) > 0
            expected += policy_loss(logp[None], logp[None], advantage, whole, normalizer=total)[0]
            rows.append(logp)
            at += 1
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)


def test_groups_without_spread_are_skipped_resampled_or_kept():
    flat = config(reward="same_for_all")
    made, batch = batch_of(flat)
    assert batch.row is None and batch.stats["groups/no_spread"] == 1
    loss, stats = grpo_loss(made.model, batch, flat.policy)
    loss.backward()
    assert loss == 0 and stats["reward/same_for_all"] == 0.5
    assert all(not w.grad.any() for w in made.model.parameters() if w.grad is not None)
    again = replace(flat, rollout=replace(flat.rollout, no_spread="resample", tries=2))
    _, batch = batch_of(again)
    assert batch.row is None and len(batch.ids) == 4 * 3, "two more rounds of four prompts were tried"
    _, batch = batch_of(replace(flat, rollout=replace(flat.rollout, no_spread="keep")))
    assert len(batch.prompts) == 4 and batch.advantage.abs().max() < 1e-6


def test_truncated_answers_are_masked_or_punished():
    _, batch = batch_of(config(policy=PolicyConfig(truncated="mask")))
    cut = [len(answer) == 6 and answer[-1] != 1 for prompt in batch.prompts for answer in prompt.answers]
    assert any(cut) and batch.mask.any(1).tolist() == [not was for was in cut]
    soft = PolicyConfig(truncated="keep", overlong_buffer=3, overlong_weight=1.0)
    _, batch = batch_of(config(policy=soft))
    values = {row["tokens"]: row["reward/overlong"] for row in batch.rows}
    assert values[6] == 0.0 and all(value == 1.0 for tokens, value in values.items() if tokens <= 3)


def test_the_reference_is_the_model_at_the_begin_with_and_without_an_adapter():
    for changes in ({"trains": ["llm", "fusion"]}, {"trains": ["fusion"], "adapters": {"llm": LoraScope(r=4)}}):
        model = tiny_model()
        chosen = config(policy=PolicyConfig(truncated="keep", kl_weight=0.5), **changes)
        made, batch = batch_of(chosen, model)
        first = batch.reference.clone()
        _, stats = grpo_loss(model, batch, chosen.policy)
        assert abs(float(stats["kl"])) < 1e-6, "nothing has changed yet"
        with torch.no_grad():
            for weight in model.parameters():
                if weight.requires_grad:
                    weight.add_(torch.randn_like(weight) * 0.05)
        values = {name: weight.clone() for name, weight in model.named_parameters()}
        with made.reference.on():
            torch.testing.assert_close(made._logprobs(batch, "reference"), first, atol=1e-5, rtol=1e-5)
        assert all(torch.equal(values[name], weight) for name, weight in model.named_parameters())
        _, stats = grpo_loss(model, batch, chosen.policy)
        assert float(stats["kl"]) > 1e-4


def test_several_updates_use_the_log_probabilities_of_sampling_time():
    chosen = config(policy=PolicyConfig(truncated="keep", updates=2))
    made, batch = batch_of(chosen)
    assert made(1, torch.Generator().manual_seed(1)) is batch, "the same answers are used again"
    assert made(2, torch.Generator().manual_seed(2)) is not batch
    _, stats = grpo_loss(made.model, batch, chosen.policy)
    assert float(stats["ratio"]) == pytest.approx(1, abs=1e-4)
    with torch.no_grad():
        weight = made.model.language_model.model.layers[0].mlp.up_proj.weight
        weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(3)) * 0.1)
    _, stats = grpo_loss(made.model, batch, chosen.policy)
    assert abs(float(stats["ratio"]) - 1) > 1e-4


def test_media_that_is_lost_in_the_loss_pass_stops_the_run():
    made, batch = batch_of(config(trains=["llm", "voice.projector"]))
    assert batch.streams, "a trained projector is run again with gradients"
    batch.streams = {key: value for key, value in batch.streams.items() if not key.startswith("voice")}
    with pytest.raises(MediaLostError, match="loss: voice has 0 rows from the encoder but the clip gives"):
        grpo_loss(made.model, batch, PolicyConfig())
    with pytest.raises(MediaLostError, match="has no face, which the recipe requires"):
        batch_of(config(requires=["face"]))


def test_alarms_name_the_samples_and_may_stop_the_run(caplog):
    alarms = Alarms(AlarmConfig(patience=2))
    for value in (0.5, 0.001, 0.001):
        alarms.check("entropy", value, 0.02, 6.0, ["a", "b", "a"])
    assert caplog.messages == ["entropy is 0.001 for 2 steps, outside [0.02, 6]; samples of this step: a, b"]
    strict = Alarms(AlarmConfig(patience=1, action="stop"))
    with pytest.raises(TrainingError, match=r"no_spread is 1 .*samples of this step: a"):
        strict.check("groups/no_spread", 1.0, 0.0, 0.95, ["a"])


def test_wrong_options_are_errors():
    with pytest.raises(ValueError, match="must train something"):
        config(trains=[])
    with pytest.raises(ValueError, match=r"multiples of policy\.updates 3"):
        config(policy=PolicyConfig(updates=3))
    with pytest.raises(ValueError, match="group must be >= 2"):
        RolloutConfig(group=1)
    with pytest.raises(ValueError, match="one of none, group, batch, rloo, gdpo, got 'grup'"):
        PolicyConfig(advantage="grup")
    with pytest.raises(ValueError, match="cap of the ratio and must be > 1"):
        PolicyConfig(objective="cispo")


@pytest.mark.parametrize("engine", ["slot", "sequential"])
def test_rollouts_of_the_serving_engines_write_the_same_answers(engine):
    texts = []
    for name in ("shared_prefix", engine):
        _, batch = batch_of(config(rollout=RolloutConfig(group=3, max_tokens=6, engine=name, no_spread="keep")))
        texts.append([prompt.answers for prompt in batch.prompts])
    assert texts[0] == texts[1]


@pytest.mark.slow  # makes synthetic clips and loads the shipped model
def test_the_shipped_model_trains_from_a_recipe(tmp_path):
    from cuewise.train.run import main

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"""
kind: grpo
name: tuned
init: nano
out: {tmp_path}
cache: {tmp_path}/cache
workers: 1
sources: {{synthetic: {{kind: synthetic, count: 3, seed: 5}}}}
adapters: {{llm: {{r: 4, dropout: 0}}}}
rollout: {{group: 4, max_tokens: 48, no_spread: keep}}
policy: {{truncated: keep, kl_weight: 0.01}}
rewards: {{format: {{weight: 0.2}}, exact: {{}}, ew: {{weight: 1.0}}}}
loop: {{steps: 2, batch_size: 2, lr: 0.001, warmup_steps: 1, log_every: 1, save_every: 1, sample_every: 1}}
""")
    folder = main(str(recipe), ["loop.steps=3"])
    line = log_of(tmp_path / "tuned")[-1]
    assert line["step"] == 3 and "grpo/reward/ew" in line and line["grpo/media_rows"] > 10
    assert (folder / "model.safetensors").exists() and (tmp_path / "tuned" / "adapter").exists()
    assert len(read_tables(tmp_path / "tuned" / "checkpoints" / "samples", "grpo")) == 3 * 2 * 4
    model, _ = grpo.load(str(folder))
    assert not any("lora" in name for name, _ in model.named_parameters())
