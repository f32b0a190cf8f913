"""Validation measures what the stage trains, and the same however many clips a batch has."""

import pytest
import torch
from stage_samples import example, stage
from tiny import tiny_model, tiny_processor

from cuewise.mllm.taxonomy import valence_arousal
from cuewise.train import stages
from cuewise.train.losses import concordance
from cuewise.train.parallel import Parallel
from cuewise.train.stages import validator
from cuewise.train.validation import PLAIN

LABELS = ("happy", "sad", "angry", "calm", "fearful", "disgust", "neutral")


def validated(examples, config, size: int, model=None) -> dict[str, float]:
    with torch.no_grad():
        return validator(examples, config, tiny_processor(), ["AU12"], size, Parallel())(model or tiny_model())


def mixed() -> list:
    """Clips of which some lack a voice, a label, a vote for the face, or ratings."""
    made = []
    for i, label in enumerate(LABELS):
        row = {"labels": [] if i == 3 else [label], "cues": [], "votes": {"face": {label: 1.0}} if i % 3 else {},
               "valence": i / 4 - 1 if i < 6 else None, "arousal": 0.5 - i / 7,
               "aus": {"AU12": 1.0 * i} if i % 2 else {}, "transcript": "we won" + " and won" * i}  # fmt: skip
        streams = ("face", "scene", "words") if i in (0, 1, 5) else ("voice", "face") if i > 3 else ("voice",)
        made.append(example(i, streams=streams, **row))
    return made


@pytest.mark.parametrize(
    "options",
    [{"objective": "heads", "trains": ["heads"]}, {"head_weight": 0.5, "tasks": {"transcribe": 1.0}},
     {"head_weight": 0.5, "tasks": {"transcribe": 1.0}, "packed": True}],
)  # fmt: skip
def test_the_numbers_do_not_depend_on_the_size_of_a_batch(options):
    config, model = stage(**options), tiny_model(heads={"aus": ["AU12"]})
    if config.objective == "answers":
        examples = [one for one in mixed() if "voice" in one.tensors.streams]
        examples += [example(20 + i, cues=[], transcript="no " * (1 + 3 * i), labels=[LABELS[i]]) for i in range(3)]
    else:
        examples = mixed()
    whole = validated(examples, config, len(examples), model)
    for size in (1, 2, 3):
        found = validated(examples, config, size, model)
        assert found == pytest.approx(whole, rel=1e-4, abs=1e-5)
    assert {"valid/all/accuracy", "valid/va/ccc"} <= set(whole)


def test_accuracy_is_over_the_labelled_and_concordance_over_all_clips():
    examples, model = mixed(), tiny_model(heads={"aus": ["AU12"]})
    found = validated(examples, stage(objective="heads", trains=["heads"]), 2, model)
    right, pairs = {}, []
    for one in examples:
        with torch.no_grad():
            encoded = model.encode_batch(tiny_processor().collate([one.tensors]))
        for name in ("face", "all"):
            shares = one.shares(name)
            if shares is not None and (name == "all" or name in encoded.streams):
                logits = encoded.logits if name == "all" else encoded.streams[name].reading.logits
                right.setdefault(name, []).append(int(logits.argmax()) == int(shares.argmax()))
        row = one.row
        rated = (row.valence, row.arousal) if row.valence is not None else valence_arousal(row.labels[0])
        pairs.append((encoded.va[0], torch.tensor(rated)))
    for name, hits in right.items():
        assert found[f"valid/{name}/accuracy"] == pytest.approx(sum(hits) / len(hits))
    read, wanted = (torch.stack(values) for values in zip(*pairs))
    agreement = torch.stack([concordance(read[:, i], wanted[:, i]) for i in range(2)]).mean()
    assert found["valid/va/ccc"] == pytest.approx(float(agreement), abs=1e-5)


def asked(monkeypatch, examples, config, size: int) -> dict[str, str]:
    """Clip -> what validation wants to be written about it."""
    said, plain = {}, stages.stage_loss

    def watched(model, batch, stage):
        said.update(zip(batch.ids, batch.answers))
        return plain(model, batch, stage)

    monkeypatch.setattr(stages, "stage_loss", watched)
    validated(examples, config, size)
    monkeypatch.undo()
    return said


def test_the_tasks_of_the_stage_are_validated_the_same_at_every_size(monkeypatch):
    examples = [example(i, cues=[]) for i in range(16)]
    config = stage(tasks={"transcribe": 1.0, "sentiment": 1.0})
    said = asked(monkeypatch, examples, config, 4)
    assert set(said.values()) == {"we won", "positive"}
    assert said == asked(monkeypatch, examples, config, 3)


def test_rows_without_labels_are_validated_where_their_task_needs_none():
    rows = [example(i, labels=[], cues=[], reasoning=None) for i in range(2)]
    found = validated(rows, stage(tasks={"transcribe": 1.0}, head_weight=0.1), 2)
    assert found["valid/loss"] > 0 and found["valid/task/transcribe"] == 1.0


def test_replay_is_not_validated_as_it_is_no_new_material():
    config = stage(replay=0.5)
    assert "valid/task/replay" not in validated([example(0)], config, 1)


def test_validation_knows_no_prior_and_no_other_wording():
    """What it says must not depend on how the held-out labels happen to be shared out."""
    examples = [example(i, labels=["happy"], votes={}, cues=[]) for i in range(6)]
    mixtures = [{"weights": {"a": 1.0}, **more} for more in ({}, {"even_labels": True})]
    numbers = [validated(examples, stage(objective="heads", trains=["heads"], mixture=mixture), 3)
               for mixture in mixtures]  # fmt: skip
    assert numbers[0] == numbers[1] and PLAIN.rewording == 0.0


def test_heads_that_a_model_does_not_have_teach_nothing():
    for heads in ({"labels": []}, {"va": False}):
        model = tiny_model(heads=heads)
        found = validated(mixed(), stage(objective="heads", trains=["heads"]), 4, model)
        assert found["valid/loss"] > 0 and ("valid/all/loss" in found) == ("va" in heads)
