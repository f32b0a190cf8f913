"""Measured face actions told in words: the context's encoder learns to read the numbers."""

import json

import pytest
import torch
from tiny import tiny_config, tiny_media, tiny_model, tiny_processor

from cuewise.data_recipes.action_words import in_words
from cuewise.data_recipes.corpora import COMMON_LABELS
from cuewise.data_recipes.schema import Row
from cuewise.mllm.config_tools import from_dict
from cuewise.train.curriculum import StageConfig
from cuewise.train.data import Mixture
from cuewise.train.examples import Example
from cuewise.train.objectives.told_actions import UNITS, ToldActions, ToldActionsConfig, numbered
from cuewise.train.parallel import HardwareConfig, Parallel
from cuewise.train.stages import objective_of, train_stage
from cuewise.train.tracking import matches

LABELS = ("happy", "sad")


def parts():
    plain = tiny_config().streams
    context = {**plain["words"], "encoder": {**plain["words"]["encoder"], "max_tokens": 96}}
    model = tiny_model(streams={**plain, "context": context})
    return model, tiny_processor(model.config)


def examples(processor) -> list[Example]:
    made = []
    for i in range(12):
        aus = {"AU12": 0.5 + 2.0 * (i % 2), "AU4": 2.5 - 2.0 * (i % 2), "AU25": 0.3 * (i % 5)}
        row = Row(id=f"e{i}", corpus="t", labels=[LABELS[i % 2]], media={"audio": "x.wav"}, aus=aus,
                  context=in_words(aus))  # fmt: skip
        made.append(Example(row, processor.tensors(tiny_media(i, streams=("voice",))), 1.0, "a"))
    return made


def stage(**changes) -> StageConfig:
    return from_dict(StageConfig, {
        "objective": "told_actions", "trains": ["context.encoder", "context.head"],
        "loop": {"steps": 300, "batch_size": 8, "lr": 0.01, "warmup_steps": 2, "log_every": 1, "save_every": 300},
        "mixture": {"weights": {"a": 1.0}, "augment": {"action_noise": 0.1}}, **changes,
    })  # fmt: skip


def test_numbers_and_labels_are_learnt_and_the_model_keeps_its_parts(tmp_path):
    model, processor = parts()
    names = set(model.state_dict())
    train_stage("s", stage(), model, processor, {"a": examples(processor)}, {}, tmp_path, 0,
                parallel=Parallel(HardwareConfig(device="cpu")))  # fmt: skip
    log = [json.loads(line) for line in (tmp_path / "checkpoints/log.jsonl").read_text().splitlines()]
    for key, share in (("s/actions/loss", 0.5), ("s/context/loss", 0.5)):
        values = [line[key] for line in log if key in line]
        assert sum(values[-8:]) < share * sum(values[:8])
    assert set(model.state_dict()) == names


def test_invented_faces_mix_clips_and_have_no_label():
    model, processor = parts()
    objective = ToldActions(ToldActionsConfig(invented=0.5), model, processor)
    mixture = Mixture({"a": examples(processor)}, stage().mixture, processor)
    mixture.config.augment.action_noise = 0.0
    batch = objective.batch(mixture, 64, torch.Generator().manual_seed(0))
    known, aus = batch.more["targets"].known["context"], batch.more["aus"]
    both = aus[:, [UNITS.index("AU12"), UNITS.index("AU4")]].sum(1)
    torch.testing.assert_close(both[known], torch.full_like(both[known], 3.0))
    assert 16 < int((~known).sum()) < 48 and (both[~known] - 3.0).abs().max() > 1
    assert batch.streams["context_mask"].any(1).all() and "voice_values" not in batch.streams


def test_the_regression_tells_what_every_face_means_and_validation_does_without():
    model, processor = parts()
    objective = ToldActions(ToldActionsConfig(invented=0.5, taught=1.0), model, processor)
    mixture = Mixture({"a": examples(processor)}, stage().mixture, processor)
    mixture.config.augment.action_noise = 0.0
    batch = objective.batch(mixture, 64, torch.Generator().manual_seed(0))
    meaning, aus = batch.more["meaning"], batch.more["aus"]
    smile, frown = aus[:, UNITS.index("AU12")], aus[:, UNITS.index("AU4")]
    clear = (smile - frown).abs() > 1
    of_smiles, of_frowns = COMMON_LABELS.index(LABELS[1]), COMMON_LABELS.index(LABELS[0])
    assert 30 < int(clear.sum()) < 64
    assert (meaning[clear, of_smiles] > meaning[clear, of_frowns]).equal((smile > frown)[clear])
    _, stats = objective.loss(model, batch)
    assert "meaning/loss" in stats and stats["context/labelled"] < 64
    without = ToldActions(ToldActionsConfig(taught=0.0), model, processor)
    assert "meaning" not in without.batch(mixture, 8, torch.Generator().manual_seed(0)).more
    mixture.fixed = True
    assert "meaning" not in objective.batch(mixture, 8, torch.Generator().manual_seed(0)).more


def test_words_that_tell_no_face_mean_nothing():
    model, processor = parts()
    prose = [Example(Row(id=f"p{i}", corpus="t", labels=["happy"], transcript=f"We met {i} times."),
                     processor.tensors(tiny_media(i, streams=("words",))), 1.0, "b") for i in range(5)]  # fmt: skip
    config = stage(mixture={"weights": {"a": 0.5, "b": 0.5}}).mixture
    mixture = Mixture({"a": examples(processor), "b": prose}, config, processor)
    objective = ToldActions(ToldActionsConfig(invented=0.5), model, processor)
    batch = objective.batch(mixture, 64, torch.Generator().manual_seed(0))
    silent = torch.tensor([key.startswith("p") for key in batch.ids])
    assert 16 < int(silent.sum()) < 48 and not batch.more["targets"].known["context"][silent].any()
    assert (batch.more["meaning"][silent] == 1 / 8).all() and (batch.more["meaning"][~silent].max(1).values > 0.3).all()
    assert (batch.more["aus"][~silent].sum(1) > 0).all()
    loss, stats = objective.loss(model.eval(), batch)
    assert all([*matches(name)] for name in stats)
    assert stats["actions/labelled"] == (~silent).sum() and "labelled" not in stats
    batch.more["aus"][silent] = 4.0
    again, changed = objective.loss(model, batch)
    torch.testing.assert_close(again, loss)
    assert changed["actions/spread"] == stats["actions/spread"]


def test_a_row_without_actions_and_words_gets_the_words_of_another(monkeypatch):
    model, processor = parts()
    rows = examples(processor)
    rows[3].row.aus, rows[5].row.aus, rows[5].row.transcript = {}, {}, "We met twice."
    mixture = Mixture({"a": rows}, stage().mixture, processor)
    objective = ToldActions(ToldActionsConfig(invented=0.0), model, processor)
    told, texts = processor.with_context, []
    monkeypatch.setattr(processor, "with_context", lambda clip, text: texts.append(text) or told(clip, text))
    batch = objective.batch(mixture, 64, torch.Generator().manual_seed(0))
    lent = [text for key, text in zip(batch.ids, texts) if key == "e3"]
    assert lent and all({"We", "met", "twice."} <= {*text.split()} for text in lent)


def test_words_of_validation_are_never_lent_to_training():
    model, processor = parts()
    rows, held_out = examples(processor), examples(processor)
    for some, words in ((rows, "We met twice."), (held_out, "Nobody came.")):
        some[3].row.aus, some[5].row.aus, some[5].row.transcript = {}, {}, words
    validation = Mixture({"a": held_out}, stage().mixture, processor)
    validation.fixed = True
    first, later = (ToldActions(ToldActionsConfig(), model, processor) for _ in range(2))
    later.batch(validation, 32, torch.Generator().manual_seed(1))
    training = Mixture({"a": rows}, stage().mixture, processor)
    given = [one.batch(training, 32, torch.Generator().manual_seed(0)).streams for one in (first, later)]
    assert all(torch.equal(given[0][name], given[1][name]) for name in given[0])


def test_other_words_stay_as_they_are_save_for_a_number_now_and_then():
    said = [numbered("We met in the hall.", torch.Generator().manual_seed(seed)) for seed in range(200)]
    changed = [text for text in said if text != "We met in the hall."]
    assert 50 < len(changed) < 110 and len({*changed}) > 40
    for text in changed:
        words = text.split()
        (number,) = [word for word in words if word[0].isdigit()]
        words.remove(number)
        assert words == ["We", "met", "in", "the", "hall."] and 0.1 <= float(number) <= 1000


def test_a_mixture_without_labels_cannot_say_what_faces_mean():
    model, processor = parts()
    rows = examples(processor)
    for example in rows:
        example.row.labels = []
    mixture = Mixture({"a": rows}, stage().mixture, processor)
    with pytest.raises(ValueError, match="no row of a has measured face actions and a label for them to mean"):
        ToldActions(ToldActionsConfig(), model, processor).batch(mixture, 4, torch.Generator().manual_seed(0))


def test_rows_without_actions_and_models_without_the_stream_are_errors():
    model, processor = parts()
    rows = examples(processor)
    rows[3].row.aus = {}
    mixture = Mixture({"a": rows}, stage().mixture, processor)
    with pytest.raises(ValueError, match="row 'e3' of source 'a' has none, and no row has words"):
        ToldActions(ToldActionsConfig(), model, processor).batch(mixture, 64, torch.Generator().manual_seed(0))
    plain = tiny_model()
    with pytest.raises(ValueError, match="stage 's': told_actions trains the context stream, but this model has"):
        objective_of("s", stage(), plain, tiny_processor(plain.config), 0)
