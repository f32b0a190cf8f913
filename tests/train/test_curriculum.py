"""The curriculum: task shares, absent streams, replay, buckets, and the order of levels."""

from collections import Counter

import pytest
import torch
from stage_samples import example, generator, stage
from tiny import tiny_model, tiny_processor

from cuewise.data_recipes.corpora import COMMON_LABELS
from cuewise.data_recipes.schema import Dialogue, Statement
from cuewise.mllm.adapters.lora import LoraScope
from cuewise.mllm.adapters.mose import MoseConfig
from cuewise.train.curriculum import TASKS, Curriculum, check_order
from cuewise.train.examples import Example
from cuewise.train.losses import IGNORE
from cuewise.train.stages import (
    add_adapters,
    answers_loss,
    choose_parts,
    frozen_states,
    heads_loss,
    stage_loss,
    validator,
)


def curriculum(*examples: Example, earlier=(), **options) -> Curriculum:
    return Curriculum({"a": list(examples), "b": [example(50, labels=["sad"], cues=[])]}, stage(**options),
                      tiny_processor(), earlier)  # fmt: skip


@pytest.mark.parametrize(
    ("task", "streams", "answer"),
    [
        ("cues_voice", {"voice"}, "[voice 0.20-1.10] pitch clearly higher => happy"),
        ("cues_face", {"face"}, "[face 0.10-0.90] lip corners clearly up (AU12) => happy"),
        ("transcribe", {"voice"}, "we won"),
        ("sentiment", {"face", "scene", "voice", "words"}, "positive"),
        ("statement", {"face", "scene", "voice", "words"}, "Incorrect"),
        ("factual", {"face", "scene", "voice", "words"}, "A runner crosses a line."),
        ("abstract", {"face", "scene", "voice", "words"}, "Years of work end well."),
        ("intent", {"face", "scene", "voice", "words"}, "She wants to tell her family."),
        ("reply", {"face", "scene", "voice", "words"}, "How lovely for you!"),
    ],
)
def test_a_task_shows_only_its_streams_and_asks_for_its_answer(task, streams, answer):
    row = {"statement": Statement(text="The person is sad.", correct=False), "instruction": "Answer kindly.",
           "chosen": "How lovely for you!", "layers": {
               "factual": "A runner crosses a line.", "abstract": "Years of work end well.",
               "intent": "She wants to tell her family."}}  # fmt: skip
    mixture = curriculum(example(0, **row), tasks={task: 1.0})
    clip, written = mixture.sample(mixture.sources["a"][0], generator())
    assert set(clip.streams) == streams and written.answer == answer
    learnt = [token for token in written.labels if token != IGNORE]
    assert tiny_processor().tokenizer.decode(learnt[:-1]) == answer
    assert ("we won" in written.prompt) == ("words" in streams)


def test_a_layer_that_a_row_lacks_is_never_filled_from_another():
    mixture = curriculum(example(0, layers={"factual": "A runner crosses a line."}), tasks={"intent": 1.0})
    batch = mixture.answer_batch(3, generator())
    assert batch.stats["task/fallback"] == 1.0 and not any("runner" in answer for answer in batch.answers)


def test_single_stream_tasks_never_show_another_stream_and_shares_are_met():
    tasks = {"cues_face": 1.0, "cues_voice": 2.0, "emotions": 1.0}
    mixture = curriculum(*[example(i) for i in range(3)], tasks=tasks)
    draws, counted = 600, Counter()
    source, random = mixture.sources["a"], generator(3)
    for i in range(draws):
        before = Counter(mixture.counts)
        clip, _ = mixture.sample(source[i % 3], random)
        task = next(iter(mixture.counts - before))
        counted[task] += 1
        if task != "emotions":
            assert set(clip.streams) == {task.removeprefix("cues_")}
    for task, share in tasks.items():
        assert counted[task] / draws == pytest.approx(share / 4, abs=0.06)


def test_rows_that_lack_what_a_task_needs_are_asked_for_emotions_and_counted():
    mixture = curriculum(example(0, cues=[], transcript=None, streams=("voice",)), tasks={"statement": 1.0})
    batch = mixture.answer_batch(4, generator())
    assert batch.stats == {"task/statement": 1.0, "task/fallback": 1.0, "task/replay": 0.0}
    assert "<answer>" in batch.answers[0]


def test_replay_repeats_earlier_stages_with_their_tasks():
    first = stage(tasks={"transcribe": 1.0})
    mixture = curriculum(example(0), earlier=[first], replay=0.5, mixture={"weights": {"b": 1.0}})
    replayed = []
    for seed in range(30):
        batch = mixture.answer_batch(8, generator(seed))
        count = sum(answer == "we won" for answer in batch.answers)
        assert batch.stats["task/replay"] == count / 8 and len(batch.ids) == 8
        assert batch.ids.count("e0") == count
        replayed.append(count / 8)
    assert sum(replayed) / 30 == pytest.approx(0.5, abs=0.1)
    again = mixture.answer_batch(8, generator(7))
    assert again.answers == mixture.answer_batch(8, generator(7)).answers


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_share_of_replay_does_not_depend_on_the_size_of_a_batch(size):
    mixture = curriculum(example(0), earlier=[stage(tasks={"transcribe": 1.0})], replay=0.5)
    random = generator(1)
    assert sum(len(mixture._replays(size, random)) for _ in range(1200 // size)) / 1200 == pytest.approx(0.5, abs=0.05)
    made = [mixture.answer_batch(1, generator(seed)) for seed in range(6)]
    assert {batch.stats.get("task/replay", 0.0) for batch in made} == {0.0, 1.0}
    assert all((batch.answers == ["we won"]) == ("task/replay" in batch.stats) for batch in made)


def test_replay_without_a_stage_to_repeat_is_refused():
    stages = {"heads": stage(objective="heads", trains=["heads"]), "again": stage(replay=0.3)}
    with pytest.raises(ValueError, match=r"stage 'again' has replay 0\.3, but no stage before it has the"):
        check_order(stages)
    check_order({"first": stage(), **stages})


def test_what_a_replayed_stage_varies_is_not_cached(tmp_path):
    model, processor = tiny_model(), tiny_processor()
    plain = {"weights": {"a": 1.0}, "augment": {"voice": False, "pictures": False}}
    config, before = stage(replay=0.5, mixture=plain), stage(mixture={"weights": {"a": 1.0}})
    choose_parts(model, config)
    reader = frozen_states(model, processor, config, str(tmp_path), [before])
    assert set(reader.streams) == {"words"}
    still = frozen_states(model, processor, stage(mixture=plain), str(tmp_path), [before])
    assert set(still.streams) == {"face", "scene", "voice", "words"}
    clip = Example(example(0).row, reader.encode(example(0).tensors), 1.6, "t")
    mixture = Curriculum({"a": [clip]}, config, processor, [before])
    assert torch.isfinite(answers_loss(model, mixture.answer_batch(4, generator()), 0.0)[0])


def test_heads_of_another_order_are_refused_before_they_train(tmp_path):
    from cuewise.train.stages import train_stage

    model = tiny_model(heads={"labels": [*reversed(COMMON_LABELS)]})
    for config, validation in ((stage(objective="heads", trains=["heads"]), {}), (stage(head_weight=0.1), {}),
                               (stage(), {"v": [example(0)]})):  # fmt: skip
        with pytest.raises(ValueError, match=r"stage 's': model\.heads\.labels is surprised, .*: neutral, calm, happy"):
            train_stage("s", config, model, tiny_processor(), {"a": [example(0)]}, validation, tmp_path, 0)


def test_harder_dialogues_come_later():
    def dialogue(name: str, labels: list[str], first: int) -> list[Example]:
        return [example(first + i, labels=[label], speaker="s", dialogue=Dialogue(id=name, turn=i))
                for i, label in enumerate(labels)]  # fmt: skip

    easy, hard = dialogue("calm", ["happy"] * 4, 0), dialogue("stormy", ["happy", "sad", "angry", "fearful"], 10)
    mixture = curriculum(*easy, *hard, difficulty={"buckets": 2, "opens_every": 0.5})
    seen = {}
    for step in (0, 49, 50, 99):
        mixture.step = step
        seen[step] = {e.row.dialogue.id for e in mixture.draw(60, generator(step))}
    assert seen == {0: {"calm"}, 49: {"calm"}, 50: {"calm", "stormy"}, 99: {"calm", "stormy"}}


def test_levels_must_not_go_back():
    stages = {"a": stage(level="understanding"), "b": stage(), "c": stage(level="perception")}
    with pytest.raises(ValueError, match="stage 'c' is perception, but 'a' before it is understanding already"):
        check_order(stages)
    check_order({"a": stage(level="perception"), "b": stage(level="interaction")})


@pytest.mark.parametrize(
    ("options", "message"),
    [({"tasks": {"cues_hand": 1}}, "unknown task `cues_hand`; tasks are emotions, cues_face"),
     ({"tasks": {}}, "tasks must name shares"), ({"replay": 1.0}, "replay is a share"),
     ({"trains": []}, "must train something"),
     ({"experts": {"r": 2}, "packed": True}, "experts choose by clip, but packed rows hold several"),
     ({"adapters": {"llm": {"r": 2}}, "experts": {"r": 2}}, "either `adapters` or `experts`"),
     ({"objective": "heads", "tasks": {"transcribe": 1.0}}, "objective `heads` does not use `tasks`; leave it out of"),
     ({"objective": "conclude", "replay": 0.2}, r"conclude` does not use `replay`.*is for answers, affect_words"),
     ({"objective": "conclude", "head_weight": 0.1}, "objective `conclude` does not use `head_weight`"),
     ({"objective": "affect_words", "packed": True}, r"does not use `packed`.*is for answers, conclude"),
     ({"objective": "contrastive", "experts": {"r": 2}}, "objective `contrastive` does not use `experts`")],
)  # fmt: skip
def test_impossible_stages_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        stage(**options)
    assert all(TASKS.values())


def test_every_part_is_full_lora_or_frozen_as_the_stages_say():
    model = tiny_model()
    stages = {"one": stage(trains=["voice.projector"]), "two": stage(trains=["fusion"], adapters={"llm": {"r": 2}})}
    add_adapters(model, stages, seed=0)
    choose_parts(model, stages["one"])
    assert not any(weight.requires_grad for weight in model.language_model.parameters())
    choose_parts(model, stages["two"])
    learns = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert all(".lora_" in name or name.startswith("media.fusion.") for name in learns) and len(learns) > 2
    full = ("media.fusion.", "media.towers.voice.projector.")
    names = [name for name, _ in tiny_model().named_parameters()]
    assert set(model.adapter.replaced) == {name for name in names if name.startswith(full)}


def test_stages_that_adapt_one_scope_differently_are_refused():
    stages = {"one": stage(adapters={"llm": {"r": 2}}), "two": stage(adapters={"llm": {"r": 4}})}
    with pytest.raises(ValueError, match="stage 'two' adapts `llm` with other options"):
        add_adapters(tiny_model(), stages, seed=0)
    mixed = {"one": stage(adapters={"llm": {"r": 2}}), "two": stage(experts={"r": 2})}
    with pytest.raises(ValueError, match="stage 'two' has modality experts"):
        add_adapters(tiny_model(), mixed, seed=0)
    assert LoraScope(r=2) != LoraScope(r=4) and MoseConfig(r=2).r == 2


def test_packed_answers_have_the_loss_and_gradients_of_padded_ones():
    mixture = curriculum(*[example(i) for i in range(4)])
    batch, found = mixture.answer_batch(4, generator(1)), []
    for packed in (False, True):
        model = tiny_model()
        loss, stats = answers_loss(model, batch, 0.5, packed=packed)
        loss.backward()
        found.append((loss.detach(), stats["answer_loss"], {n: w.grad for n, w in model.named_parameters()}))
    torch.testing.assert_close(found[0][:2], found[1][:2])
    for name, gradient in found[0][2].items():
        torch.testing.assert_close(gradient, found[1][2][name], atol=1e-6, rtol=1e-4, msg=name)


def test_experts_add_their_regulariser():
    model, config = tiny_model(), stage(trains=["fusion"], experts={"r": 2, "balance": 10.0})
    add_adapters(model, {"one": config}, seed=0)
    choose_parts(model, config)
    batch = curriculum(example(0)).answer_batch(2, generator())
    loss, stats = stage_loss(model, batch, config)
    assert float((loss - stats["answer_loss"]).detach()) == pytest.approx(10.0 * float(stats["balance_loss"]), rel=1e-4)


def test_rated_action_units_train_their_head_and_unrated_ones_do_not():
    model = tiny_model(heads={"aus": ["AU12", "AU4"]})
    rated = [example(0, aus={"AU12": 3.0}), example(1, aus={})]
    config = stage(objective="heads", trains=["heads"])
    mixture = Curriculum({"a": rated}, config, tiny_processor(), (), ["AU12", "AU4"])
    batch = mixture.heads_batch(6, generator())
    assert batch.targets.aus[:, 1].isnan().all() and (~batch.targets.aus[:, 0].isnan()).any()
    loss, stats = heads_loss(model, batch)
    loss.backward()
    gradient = model.media.towers["face"].units.net.weight.grad
    assert stats["au/loss"] > 0 and gradient[0].abs().sum() > 0 and gradient[1].abs().sum() == 0


@torch.no_grad()
def test_validation_sees_every_example_once_and_never_varies():
    from cuewise.train.parallel import Parallel

    examples = [example(i) for i in range(5)]
    config = stage(mixture={"weights": {"a": 1.0}, "stream_dropout": 1.0})
    check = validator(examples, config, tiny_processor(), [], 2, Parallel())
    model = tiny_model()
    first = check(model)
    assert first == check(model) and first["valid/loss"] > 0 and first["valid/media_rows"] > 0


def test_states_are_cached_for_streams_that_neither_learn_nor_vary(tmp_path):
    model = tiny_model()
    config = stage(trains=["llm", "face.encoder"], mixture={"weights": {"a": 1.0}, "augment": {"voice": False}})
    choose_parts(model, config)
    reader = frozen_states(model, tiny_processor(), config, str(tmp_path))
    assert set(reader.streams) == {"voice", "words"}  # face learns, scene pictures vary
    mixture = curriculum(*(Example(e.row, reader.encode(e.tensors), 1.6, "t") for e in [example(0), example(1)]),
                         mixture={"weights": {"a": 1.0}, "augment": {"voice": False}})  # fmt: skip
    batch = mixture.answer_batch(2, generator())
    loss, _ = answers_loss(model, batch, 0.0)
    assert {"voice_states", "words_states"} & set(batch.streams) and "voice_values" not in batch.streams
    assert torch.isfinite(loss) and frozen_states(model, tiny_processor(), config, None) is None


def test_what_viewers_feel_and_what_people_show_are_no_one_target(tmp_path):
    from cuewise.train.stages import train_stage

    sources = {"a": [example(0)], "b": [example(1, task="evoked", labels=["awe"])]}
    mixed = stage(mixture={"weights": {"a": 1.0, "b": 1.0}})
    with pytest.raises(ValueError, match=r"stage 's' mixes what people show \(a \(e0\)\)"):
        train_stage("s", mixed, tiny_model(), tiny_processor(), sources, {}, tmp_path, 0)
