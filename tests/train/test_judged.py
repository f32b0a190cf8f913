"""What judgments teach: CUT as a method of preference recipes, a critic as a recipe, both readers of rewards."""

import json
from dataclasses import replace

import pytest
import torch
from grpo_samples import clips
from tiny import tiny_model, tiny_processor

from cuewise.data_recipes.schema import Row
from cuewise.mllm.report import Cue
from cuewise.train import critic as critic_module
from cuewise.train.critic import CriticConfig, CriticPairs
from cuewise.train.critique import known_facts, load_critic
from cuewise.train.data import Mixture, MixtureConfig
from cuewise.train.dpo import DPOConfig, PreferenceConfig, Preferences, answer_logprobs, pair_loss, rate, run
from cuewise.train.examples import Example, SourceConfig
from cuewise.train.grpo import choose_parts, rollout_engine
from cuewise.train.grpo_config import GRPOConfig, PolicyConfig, RolloutConfig
from cuewise.train.grpo_groups import Groups
from cuewise.train.loop import LoopConfig
from cuewise.train.parallel import HardwareConfig
from cuewise.train.preference_pairs import PRAISE, Pair, fault, make_pairs
from cuewise.train.rewards import RewardError, RewardSample
from cuewise.train.rewards.base import Entry
from cuewise.train.rewards.judgment import critique_reward
from cuewise.train.rewards.readers import load_readers

GOOD, BAD = "Yes.", "No."
"""Critiques that a tiny model learns to write in seconds."""

ANSWER = "<think>\n[voice] pitch clearly {}\n</think>\n<answer>happy</answer>"


def examples():
    known = [Cue(channel="voice", observation="pitch clearly higher", supports=["happy"])]
    row = Row(id="clip", corpus="toy", labels=["happy"], transcript="we won", cues=known)
    return [Example(row.model_copy(update={"id": f"clip{i}"}), clip, 1.0, "toy") for i, clip in enumerate(clips())]


def pairs():
    return [Pair(one.row.id, one, ANSWER.format("higher"), {"flipped": ANSWER.format("lower")}) for one in examples()]


def loop(steps: int, lr: float = 2e-3, size: int = 3) -> LoopConfig:
    return LoopConfig(steps=steps, batch_size=size, lr=lr, warmup_steps=1, log_every=1, save_every=steps)


def log_of(folder):
    return [json.loads(line) for line in (folder / "checkpoints" / "log.jsonl").read_text().splitlines()]


def test_faults_name_the_cue_that_is_wrong():
    pair = pairs()[0]
    assert fault(pair, "flipped") == "'pitch clearly lower' is the opposite of what the clip shows."
    assert fault(replace(pair, rejected={"x": pair.chosen}), "x") == "The answer is wrong."


def test_blamed_tokens_become_unlikely_and_the_rest_of_the_answer_stays(tmp_path, monkeypatch):
    """The model has learnt to write either cue, after a judgment the wrong one alone: that token it is blamed for."""
    torch.manual_seed(0)
    model, processor = tiny_model(), tiny_processor()
    chosen = DPOConfig(name="toy", init="none", sources={"toy": SourceConfig(kind="rows")}, trains=["llm"],
                       preference=PreferenceConfig(method="cut", blame=1.5, blame_weight=3.0), loop=loop(12, 1e-3))
    choose_parts(model, chosen.trains, {}, 0)
    batch = Preferences(model, processor, pairs(), chosen, 3).batch(pairs())
    optimizer = torch.optim.Adam(model.language_model.parameters(), 5e-3)
    for _ in range(85):
        taught = [answer_logprobs(model, processor, shown, "teaching") for shown in (batch.own, batch.judged)]
        optimizer.zero_grad()
        sum(-(logp * mask).sum() / mask.sum() for logp, mask, _ in taught).backward()
        optimizer.step()

    def split():
        """Probabilities of the rejected answers: at the place where they leave the chosen one, and before it."""
        with torch.no_grad():
            logp, _, _ = answer_logprobs(model.eval(), processor, batch.own, "look")
        right, wrong = batch.own[0].prompt.answers
        place = next(i for i, (a, b) in enumerate(zip(right, wrong)) if a != b)
        return logp[1::2, place].exp().mean().item(), logp[1::2, :place].exp().mean().item()

    before, shared = split()
    monkeypatch.setattr("cuewise.train.dpo.make_pairs", lambda *_, **__: pairs())
    run(model, processor, examples(), chosen, tmp_path)
    after, kept = split()
    lines = log_of(tmp_path)
    assert 0 < lines[0]["dpo/blamed"] < 0.3 and lines[0]["dpo/media_rows"] > 0
    assert before > 0.3 and after < before / 4 and shared > 0.8 and kept > shared - 0.05


def test_the_noise_of_training_blames_nobody():
    """A judgment that says nothing: the same prompt again. Dropout alone must not look like a complaint."""
    model, processor = tiny_model(), tiny_processor()
    norm = model.language_model.base_model.norm
    norm.register_forward_hook(lambda part, _, out: torch.nn.functional.dropout(out, 0.5, part.training))
    preference = PreferenceConfig(method="cut", blame=1.01)
    chosen = DPOConfig(name="toy", init="none", sources={"toy": SourceConfig(kind="rows")}, trains=["llm"],
                       preference=preference, loop=loop(1))  # fmt: skip
    source = Preferences(model, processor, pairs(), chosen, 3)
    batch = source.batch(pairs())
    batch.judged = [source.prompter.own(pair, list(pair.rejected)) for pair in pairs()]
    for one in batch.judged:
        one.prompt.answers = one.prompt.answers[1:]
    loss, stats = pair_loss(model.train(), processor, batch, preference)
    assert stats["blamed"] == 0 and loss.requires_grad and model.training


@pytest.mark.parametrize("option", ["dynamic", "sft_weight"])
def test_options_that_cut_has_no_use_for_are_refused(option):
    with pytest.raises(ValueError, match=rf"preference\.{option} does nothing with method: cut"):
        PreferenceConfig(method="cut", **{option: 0.5})


def config(**changes) -> CriticConfig:
    values = {"name": "critic", "init": "none", "sources": {"toy": SourceConfig(kind="rows")},
              "corruptions": ["flipped"], "loop": loop(70, 5e-3, 4)}  # fmt: skip
    return CriticConfig(**(values | changes))


@pytest.fixture(scope="module")
def critic(tmp_path_factory):
    """The folder of a critic that was trained through the runner, and its log."""
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("critic")
    model, processor = tiny_model(), tiny_processor()
    chosen = config()
    choose_parts(model, chosen.trains, {}, 0)
    with pytest.MonkeyPatch.context() as short:
        short.setattr("cuewise.train.critic.PRAISE", GOOD)
        short.setattr("cuewise.train.critic.fault", lambda pair, kind: BAD)
        critic_module.run(model, processor, {"toy": examples()}, chosen, out)
    model.save_pretrained(out / "model")
    processor.save_pretrained(out / "model")
    return out


def samples() -> list[RewardSample]:
    """A right answer and one with the opposite cue."""
    pair = made()[0]
    return [RewardSample.read("?", text, pair.example.row) for text in (pair.chosen, pair.rejected["flipped"])]


def made() -> list[Pair]:
    return make_pairs(examples(), ["flipped"])


def test_a_critic_learns_to_rank_and_to_criticise(critic):
    lines = log_of(critic)
    assert lines[-1]["critic/accuracy"] == 1 and lines[-1]["critic/critique"] < lines[0]["critic/critique"] / 2
    assert lines[0]["critic/pair"] == pytest.approx(0.693, abs=0.01) and lines[-1]["critic/pair"] < 0.3


def test_the_stored_critic_writes_and_scores_what_the_reward_asks(critic):
    read = load_readers({"critic": str(critic)})["critic"]
    good, bad = critique_reward(samples(), critic=read)
    assert good > 0 > bad
    written = [read.write(known_facts(one.row), one.text) for one in samples()]
    assert written == [[GOOD], [BAD]]
    several = load_critic(critic, critiques=3)(samples())
    assert [len(scores) for scores in several] == [3, 3]
    facts, said = known_facts(samples()[0].row), samples()[0].text
    praised, blamed = (read.model([facts], [said], [critique]).item() for critique in (GOOD, BAD))
    assert praised > blamed
    with pytest.raises(ValueError, match=r"is no critic: it has no critic\.safetensors"):
        load_critic(critic / "model")


def test_a_recipe_of_kind_critic_ends_with_a_folder_that_rewards_can_read(tmp_path, monkeypatch):
    model, processor = tiny_model(), tiny_processor()
    model.save_pretrained(tmp_path / "start")
    processor.save_pretrained(tmp_path / "start")
    monkeypatch.setattr("cuewise.train.grpo.load_source", lambda *_: examples())
    chosen = config(init=str(tmp_path / "start"), out=str(tmp_path), loop=loop(1, size=2),
                    hardware=HardwareConfig(device="cpu"))  # fmt: skip
    folder = critic_module.train(chosen)
    assert folder == tmp_path / "critic" and len(load_critic(folder)(samples())) == 2


def test_pairs_come_with_praise_and_fault():
    batches = CriticPairs(pairs(), 2)
    batch = batches(0, torch.Generator().manual_seed(0))
    assert all(critique == PRAISE for _, critique in batch.chosen) and batch.known[0].startswith('Said: "we won"')
    assert all("is the opposite" in critique for _, critique in batch.rejected)
    with pytest.raises(ValueError, match="no clip gives a preference pair"):
        CriticPairs([], 2)


def test_recipes_name_the_models_that_rewards_read_with(critic, tmp_path):
    """GRPO scores by the likelihood of a follow-up and by the critic; a pair's margin by the critic alone."""
    model, processor = tiny_model(), tiny_processor()
    model.save_pretrained(tmp_path / "reader")
    processor.save_pretrained(tmp_path / "reader")
    values = {"name": "toy", "init": "none", "sources": {"toy": SourceConfig(kind="rows")}, "trains": ["llm"],
              "rollout": RolloutConfig(group=3, max_tokens=6), "policy": PolicyConfig(truncated="keep"),
              "loop": loop(1, size=2)}  # fmt: skip
    entries = {"follow_up": Entry(), "critique": Entry()}
    readers = {"follow_up": str(tmp_path / "reader"), "critic": str(critic)}
    recipe = GRPOConfig(**values, rewards=entries, readers=readers)
    choose_parts(model, recipe.trains, {}, 0)
    mixture = Mixture({"toy": examples()}, MixtureConfig(weights={"toy": 1.0}), processor)
    groups = Groups(model, processor, mixture, rollout_engine(model, processor, recipe), recipe, size=2)
    batch = groups(0, torch.Generator().manual_seed(0))
    for name in entries:
        earned = [row[f"reward/{name}"] for row in batch.rows]
        assert len(set(earned)) > 1 and all(0 <= value <= 1 for value in earned)
    with pytest.raises(RewardError, match=r"reads with a model; name it: readers\.critic=MODEL"):
        GRPOConfig(**values, rewards=entries, readers={"follow_up": "nano"})
    with pytest.raises(RewardError, match="no reward of this recipe needs the reader `critik`"):
        GRPOConfig(**values, rewards={"exact": Entry()}, readers={"critik": "x"})
    listed = made()[:1]
    rate(listed, {"critique": Entry()}, 5.0, load_readers({"critic": str(critic)}))
    assert listed[0].margin > 0
