"""Recipes of kind `talk`: dialogues with a simulated user, whose last emotion is learnt from."""

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_model, tiny_processor

from cuewise.mllm.config_tools import from_dict
from cuewise.mllm.systems.base import Reply, ReplyError
from cuewise.train.grpo import choose_parts, rollout_engine
from cuewise.train.grpo_config import AlarmConfig, PolicyConfig, RolloutConfig
from cuewise.train.loop import LoopConfig, TrainingError
from cuewise.train.parallel import HardwareConfig
from cuewise.train.simulated_user import Conversation, Reaction, Said, Scenario
from cuewise.train.talk import TalkConfig, TalkGroups, run, scenarios, train
from cuewise.train.user_minds import SystemMind, UserMindError, by_words, read_reaction, user_mind

SCENE = Scenario("a nurse", "Two people died and I feel sad.", "to be heard", "wants praise for patience", "I am sad.")


def config(steps: int = 2, **changes) -> TalkConfig:
    values = {
        "name": "toy", "init": "none", "trains": ["llm"], "turns": 3,
        "rollout": RolloutConfig(group=4, max_tokens=6),
        "policy": PolicyConfig(truncated="keep", advantage="group"),
        "loop": LoopConfig(steps=steps, batch_size=2, lr=3e-3, warmup_steps=1, log_every=1, save_every=steps,
                           schedule="constant", sample_every=steps),
    }  # fmt: skip
    return TalkConfig(**(values | changes))


def early(scenario, turns, reply, emotion, rng):
    """A user who likes letters of the first half of the alphabet."""
    share = sum(c in "abcdefghijklm" for c in reply) / max(len(reply), 1)
    return Reaction(40 * share - 8, f"turn {len(turns)}")


def groups(chosen: TalkConfig, user=early) -> TalkGroups:
    model, processor = tiny_model(), tiny_processor()
    choose_parts(model, chosen.trains, {}, 0)
    listed = [SCENE, replace(SCENE, opening="We lost it.")]
    return TalkGroups(model, processor, listed, user, rollout_engine(model, processor, chosen), chosen, size=2)


def test_a_dialogue_is_asked_turn_by_turn_and_never_with_the_hidden_intention():
    made = groups(config(think=False))
    batch = made(0, torch.Generator().manual_seed(0))
    assert len(batch.prompts) == 2 * 4 * 3 == len(batch.row.lengths) and batch.advantage.abs().max() > 0
    texts = [made.processor.tokenizer.decode(prompt.prompt) for prompt in batch.prompts]
    assert not any("praise" in text or "nurse" in text for text in texts)
    assert "turn 2" in texts[2] and "turn 1" in texts[2] and "turn 2" not in texts[1]
    by_talk = batch.advantage.view(2, 4, 3)
    torch.testing.assert_close(by_talk[:, :, 0], by_talk[:, :, 2])
    torch.testing.assert_close(by_talk[:, :, 0].sum(1), torch.zeros(2), atol=1e-4, rtol=0)
    assert {row["ending"] for row in batch.rows} == {"turns"} and batch.stats["talk/turns"] == 3


def test_a_thought_that_never_ends_is_heard_by_nobody():
    heard = []

    def listens(scenario, turns, reply, emotion, rng):
        heard.append(reply)
        return Reaction(0.0, "Go on.", goodbye=True)

    batch = groups(config(), listens)(0, torch.Generator().manual_seed(0))
    assert len(heard) == 8 and set(heard) == {""} and batch.row is None and batch.stats["groups/used"] == 0


def test_the_emotion_of_the_user_rises(tmp_path, monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr("cuewise.train.talk.user_mind", lambda spec: early)
    model, processor = tiny_model(), tiny_processor()
    chosen = config(20, think=False, turns=2, rollout=RolloutConfig(group=6, max_tokens=3))
    chosen.loop.lr = 1e-2
    choose_parts(model, chosen.trains, {}, 0)
    run(model, processor, {}, chosen, tmp_path)
    log = [json.loads(line) for line in (tmp_path / "checkpoints" / "log.jsonl").read_text().splitlines()]
    earned = [line["talk/reward/user"] for line in log]
    assert sum(earned[-4:]) / 4 > sum(earned[:4]) / 4 + 0.08, earned


def test_a_recipe_ends_with_a_model_on_disk(tmp_path):
    model, processor = tiny_model(), tiny_processor()
    model.save_pretrained(tmp_path / "start")
    processor.save_pretrained(tmp_path / "start")
    chosen = config(1, init=str(tmp_path / "start"), out=str(tmp_path), stored="float16", think=False, turns=2,
                    rollout=RolloutConfig(group=2, max_tokens=3), hardware=HardwareConfig(device="cpu"))  # fmt: skip
    folder = train(chosen)
    assert folder == tmp_path / "toy" / "model"
    assert torch.float16 in {value.dtype for value in load_file(folder / "model.safetensors").values()}


def test_a_user_by_words_wants_to_be_heard():
    def change(reply: str, *before: str) -> float:
        turns = [Said("I am sad.", one) for one in (*before, reply)]
        return by_words(SCENE, turns, reply, 30.0, np.random.default_rng(0)).change

    assert change("That sounds sad. Your patience deserves praise.") == 10
    assert change("How sad that is.") == 5 and change("What time is it?") == -3
    assert change("Calm down.") == change("") == change("Hm, so what.") == change("ok", "ok") == -8
    assert change("How sad that is, once more: 2", "How sad that is, once more: 1") == -8
    assert by_words(SCENE, [Said("a", "sad")], "sad", 96.0, np.random.default_rng(0)).goodbye


def test_listening_from_the_first_reply_on_pays_best():
    def ends_at(*replies: str) -> float:
        talk = Conversation(SCENE, by_words, seed=0, start=30.0, max_turns=8)
        for reply in replies:
            if talk.words is not None:
                talk.reply(reply)
        return talk.done.reward

    heard = [f"That sounds sad. Your patience deserves praise, {word}." for word in
             ("really", "truly", "again", "surely", "indeed", "always", "still", "today")]  # fmt: skip
    assert ends_at(*heard) == 1.0 > ends_at("What time is it?", *heard) - 1e-9
    assert ends_at("What time is it?", "Where is it?", *heard) < 1.0


def test_partial_options_keep_the_defaults_of_a_talk():
    values = {"name": "toy", "init": "x", "trains": ["llm"], "rollout": {"temperature": 0.9}, "policy": {"updates": 2},
              "loop": {"steps": 2, "batch_size": 1, "save_every": 2}}  # fmt: skip
    made = from_dict(TalkConfig, values)
    assert (made.rollout.group, made.rollout.limit, made.policy.advantage) == (4, 128, "group")


def test_what_was_said_last_is_in_the_prompt_however_long_the_talk():
    made = groups(config())
    talk = Conversation(SCENE, lambda *_: Reaction(0.0, "Go on."), seed=0)
    for number in range(3):
        talk.reply(f"REPLY{number} " + "word " * 95)
    prompt = made.ask_turn(0, talk).text
    assert "REPLY2" in prompt and "REPLY0" not in prompt


def test_a_system_plays_the_user_and_an_answer_that_cannot_be_read_changes_nothing():
    asked = []

    class Model:
        def answer(self, asks) -> Iterator[Reply]:
            for ask in asks:
                asked.append(ask.prompt)
                yield Reply(id=ask.id, text='Sure: {"change": 7, "words": "Thanks.", "goodbye": true, "reason": "ok"}')

    turns = [Said("I am sad.", "I hear you.")]
    found = SystemMind(Model())(SCENE, turns, "I hear you.", 41.6, np.random.default_rng(0))
    assert found == Reaction(7.0, "Thanks.", True, "ok")
    assert "praise for patience" in asked[0] and "Reply: I hear you." in asked[0] and "42" in asked[0]
    for text in ("", "{}", '{"change": "much"}', "[1]", '{"change": }'):
        assert read_reaction(text).change == 0 and not read_reaction(text).goodbye


def test_a_user_that_fails_stops_the_run_and_one_that_writes_anything_else_is_counted(tmp_path, monkeypatch, caplog):
    class Model:
        closed, error = 0, None

        def answer(self, asks) -> Iterator[Reply]:
            yield from (Reply(id=ask.id, text="I feel fine.", error=self.error) for ask in asks)

        def close(self) -> None:
            self.closed += 1

        def describe(self) -> dict:
            return {"kind": "openai"}

    user = Model()
    monkeypatch.setattr("cuewise.train.user_minds.load_system", lambda spec: user)
    chosen = config(2, think=False, turns=2, user="openai:x@y", alarms=AlarmConfig(patience=2))
    model, processor = tiny_model(), tiny_processor()
    choose_parts(model, chosen.trains, {}, 0)
    last = run(model, processor, {}, chosen, tmp_path / "one")
    assert last["talk/unreadable"] == 1 == last["groups/no_spread"] and user.closed == 1
    assert "groups/no_spread is 1 for 2 steps" in caplog.text
    user.error = ReplyError("unreachable", "no answer from y")
    with pytest.raises(UserMindError, match=r"plays the user failed \(unreachable\): no answer from y; start it again"):
        run(model, processor, {}, chosen, tmp_path / "two")
    assert user.closed == 2


def test_a_model_that_only_reads_emotions_cannot_play_the_user(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    tiny_processor().save_pretrained(tmp_path)
    for spec in ("words:", str(tmp_path)):
        with pytest.raises(UserMindError, match="reads emotions and writes nothing else"):
            user_mind(spec)


def test_collapse_of_the_policy_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("cuewise.train.talk.user_mind", lambda spec: early)
    model, processor = tiny_model(), tiny_processor()
    alarms = AlarmConfig(entropy_below=100.0, entropy_above=200.0, patience=1, action="stop", no_spread_above=1.0,
                         truncated_above=1.0)  # fmt: skip
    chosen = config(1, think=False, turns=2, alarms=alarms)
    choose_parts(model, chosen.trains, {}, 0)
    with pytest.raises(TrainingError, match="entropy is"):
        run(model, processor, {}, chosen, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [{"rollout": RolloutConfig(form="direct")}, {"rollout": RolloutConfig(stream_dropout=0.1)},
     {"policy": PolicyConfig(overlong_buffer=8, overlong_weight=0.5)},
     {"policy": PolicyConfig(cue_credit=1.0)}],
)  # fmt: skip
def test_options_that_a_talk_has_no_use_for_are_refused(changes):
    with pytest.raises(ValueError, match="does nothing in a talk recipe; leave it out"):
        config(**changes)


def test_shipped_scenarios_are_read_and_wrong_ones_are_named(tmp_path):
    assert len(scenarios()) >= 10 and len({one.opening for one in scenarios()}) == len(scenarios())
    assert all(by_words(one, [Said(one.opening, "x")], one.opening, 30, None).change > 0 for one in scenarios())
    path = tmp_path / "mine.yaml"
    path.write_text("scenarios: [{persona: a, background: b, goal: c, hidden_intension: d, opening: e}]")
    with pytest.raises(ValueError, match=r"mine\.yaml: .*did you mean `scenarios\.0\.hidden_intention`"):
        scenarios(path)
    path.write_text("scenarios: [{persona: a}]")
    with pytest.raises(ValueError, match=r"mine\.yaml: .*background"):
        scenarios(path)
    with pytest.raises(ValueError, match="scenarios instead of sources"):
        config(sources={"a": None})
    with pytest.raises(ValueError, match=r"set rollout\.no_spread"):
        config(policy=PolicyConfig(advantage="gdpo"))
