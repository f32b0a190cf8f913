"""Each measure is its metric: the same value, and a statistic that gives it back on all samples."""

import math
import random

import numpy as np
import pytest

from cuewise.eval.measures import MEASURES, Record, interval_of, measure_all
from cuewise.eval.measures.fits import FITS
from cuewise.eval.metrics.registry import metric
from cuewise.eval.reading import read_answer
from cuewise.eval.suites.suite import Dataset, Source
from cuewise.mllm.report import Check, Cue

CLASSES = ["neutral", "happy", "sad", "angry", "fearful"]
WORDS = ["happy", "proud", "sad", "furious", "afraid", "neutral", "worried", "table"]


def dataset(truth: str, *names: str, **changes) -> Dataset:
    values = {"source": Source(rows="r"), "truth": truth, "metrics": list(names), "cluster": "speaker"}
    return Dataset(**(values | changes))


def answers(count: int, rng: random.Random) -> list:
    out = []
    for _ in range(count):
        labels = ", ".join(rng.sample(WORDS, rng.randint(1, 3)))
        report = {"confidence": round(rng.random(), 2), "valence": rng.uniform(-1, 1), "arousal": None,
                  "distribution": {label: rng.random() for label in CLASSES}}  # fmt: skip
        out.append(read_answer(f"<answer>{labels}</answer>", report))
    return out


def records(count: int, truth, seed: int = 0) -> list[Record]:
    rng = random.Random(seed)
    return [Record(f"r{i}", truth(rng), answer, {"speaker": f"s{i % 6}", "fold": str(i % 3)})
            for i, answer in enumerate(answers(count, rng))]  # fmt: skip


def cue(rng: random.Random) -> Cue:
    verdict = rng.choice(["supported", "contradicted", "not_measurable"])
    return Cue(channel="voice", observation=f"pitch clearly {rng.choice(['higher', 'lower'])}",
               check=Check(verdict=verdict))  # fmt: skip


CASES = {
    "label": (lambda r: r.choice(CLASSES), ("uar", "war", "weighted_f1", "macro_f1", "hit_rate", "label_overlap",
                                            "ew_level1", "ew_level2", "ew_level1_mer2026", "calibration",
                                            "well_formed", "m_avg", "condition_spread", "refusal_rate")),
    "multilabel": (lambda r: sorted(r.sample(CLASSES, 2)), ("multilabel",)),
    "sentiment": (lambda r: r.choice([-2.4, -0.2, 0.0, 1.4]), ("sentiment",)),
    "votes": (lambda r: {label: r.randint(1, 5) for label in CLASSES}, ("votes",)),
    "valence_arousal": (lambda r: [r.uniform(-1, 1), r.uniform(-1, 1)], ("ccc", "pearson", "mae", "rmse",
                                                                             "ccc_by_cluster")),
    "conflict": (lambda r: {"subset": r.choice(["consistent", "video_aligned", "audio_aligned"]),
                            "labels": [r.choice(CLASSES)]}, ("ca_mer", "ca_mer_strict")),
    "choice": (lambda r: {"task": r.choice("ab"), "answer": r.choice(["yes", "no"])}, ("emorealm",)),
    "statement": (lambda r: {"correct": r.random() < 0.5, "dimension": r.choice("ab")}, ("statements",)),
    "cues": (lambda r: {"labels": ["happy"], "cues": [cue(r).model_dump()]},
             ("cue_f1", "cue_grounding", "support")),
    "reasoning": (lambda r: {"labels": ["happy"], "reasoning": "the voice is high"}, ("rouge_l",)),
}  # fmt: skip


@pytest.mark.parametrize("truth", CASES)
def test_the_statistic_of_a_measure_is_its_value(truth):
    make, names = CASES[truth]
    rows = records(60, make)
    rng = random.Random(1)
    for row in rows:
        row.answer.cues = [cue(rng) for _ in range(rng.randint(0, 3))]
        if truth == "choice":
            row.answer.text = rng.choice(["yes", "No.", "maybe"])
        if truth == "statement":
            row.answer.text = rng.choice(["Correct", "Incorrect", "hm"])
    config = dataset(truth, *names, classes=CLASSES)
    everything = np.arange(len(rows))
    for measured in measure_all(rows, config):
        if measured.statistic is not None:
            value = measured.statistic(everything)
            assert value == pytest.approx(measured.value, abs=1e-9, nan_ok=True), measured.name
            found = interval_of(measured, rows, config)
            if found["low"] is not None:
                assert found["low"] <= measured.value + 0.2 and "6 speakers" in found["interval"]
        assert measured.averaging and len(measured.samples) in (0, len(rows))


@pytest.mark.parametrize("truth", CASES)
def test_a_measure_gives_the_numbers_its_fit_names(truth):
    make, names = CASES[truth]
    for name in names:
        fit = FITS[name]
        assert not fit.truths or truth in fit.truths
        found = measure_all(records(12, make), dataset(truth, name, classes=CLASSES))
        assert tuple(measured.name for measured in found) == fit.gives


def test_every_measure_says_what_it_fits():
    assert set(FITS) == set(MEASURES)


def test_two_published_profiles_share_one_repaired_variant():
    found = measure_all(records(20, CASES["label"][0]), dataset("label", "ew_level1", "ew_level1_mer2026"))
    assert [m.name for m in found] == ["ew_level1", "ew_level1_cuewise2026", "ew_level1_mer2026"]
    assert {m.beside for m in found if m.name != "ew_level1_cuewise2026"} == {"ew_level1_cuewise2026"}


def test_an_interval_does_not_count_samples_without_a_speaker_as_speakers():
    rows = records(12, CASES["label"][0])
    for row in rows[:3]:
        del row.groups["speaker"]
    war = measure_all(rows, dataset("label", "war", classes=CLASSES))[0]
    assert "over 6 speakers and 3 samples without one" in interval_of(war, rows, dataset("label", "war"))["interval"]


def test_every_measure_has_a_case_here():
    covered = {name for _, names in CASES.values() for name in names} | {"folds"}
    assert covered >= {name for name in MEASURES if name not in ("mme_emotion", "emocue360", "emer")}


@pytest.mark.parametrize(("name", "registered"), [("hit_rate", "hit_rate"), ("ew_level1", "ew_dataset")])
def test_open_measures_equal_the_registered_metrics(name, registered):
    rows = records(50, CASES["label"][0], seed=3)
    published, ours = measure_all(rows, dataset("label", name, classes=CLASSES))
    gt, pred = [row.gt for row in rows], [row.answer.labels for row in rows]
    exact = metric(registered).compute(gt, pred)
    repaired = metric(f"{registered}_cuewise2026").compute(gt, pred)

    def pick(found: dict) -> float:
        return found["level1"][0] if name == "ew_level1" else found.get("hit_rate", found.get("value"))

    assert published.value == pytest.approx(pick(exact)) and published.beside == ours.name
    assert ours.value == pytest.approx(pick(repaired)) and ours.beside == published.name


def test_folds_are_averaged_apart_from_the_pool():
    rows = records(60, CASES["label"][0])
    found = {m.name: m for m in measure_all(rows, dataset("label", "uar", "folds", classes=CLASSES, folds="fold"))}
    assert found["uar_mean_of_folds"].averaging == "mean over 3 folds"
    assert found["uar_mean_of_folds"].value != pytest.approx(found["uar"].value, abs=1e-6)


def test_an_undefined_number_has_no_interval():
    rows = records(8, lambda r: "neutral")
    hit = measure_all(rows, dataset("label", "hit_rate", classes=CLASSES))[0]
    assert math.isnan(hit.value) and hit.n == 0
    assert interval_of(hit, rows, dataset("label", "hit_rate"))["interval"] == "none: undefined"


def test_one_speaker_alone_gives_no_interval():
    rows = records(8, CASES["label"][0])
    for row in rows:
        row.groups["speaker"] = "s0"
    war = measure_all(rows, dataset("label", "war", classes=CLASSES))[0]
    assert interval_of(war, rows, dataset("label", "war"))["interval"] == "none: only one speaker"
