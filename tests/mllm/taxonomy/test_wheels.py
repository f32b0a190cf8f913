"""The wheel lookups: counts and mappings of the published tables, and the repaired profile's promises."""

import subprocess
import sys

import pytest
import yaml
from shared_data import shared_dir

from cuewise.mllm.taxonomy import LEVEL1_IDS, LEVEL2_IDS, METRIC_IDS, PROFILES, WHEELS, level1, level2, wheel_table


def test_tables_have_the_published_counts():
    table = wheel_table("affectgpt2025")
    assert (len(table.wheel_words), len(table.roots)) == (1255, 7386)
    assert len(wheel_table("mer2026").roots) == 7356
    assert sum(len(roots) > 1 for roots in table.roots.values()) == 887
    assert len({word for lookup in table.lookups.values() for word in lookup}) == 253
    assert [len(table.lookups[metric_id]) for metric_id in LEVEL1_IDS] == [114, 126, 78, 102, 77]


@pytest.mark.parametrize(("ids", "wrong"), [(LEVEL1_IDS, [12, 16, 6, 12, 6]), (LEVEL2_IDS, [24, 31, 18, 32, 21])])
def test_published_profile_keeps_its_wrong_sectors_and_ours_has_none(ids, wrong):
    published, ours = wheel_table("affectgpt2025"), wheel_table("cuewise2026")

    def misplaced(table):
        return [sum(table.value(w, i) != sector for w, sector in table.lookups[i].items()) for i in ids]

    assert misplaced(published) == wrong
    assert misplaced(ours) == [0] * 5


@pytest.mark.parametrize(
    ("label", "cores"),
    [
        ("happy", ["happy", "happy", "joyful", "joy", "powerful"]),
        ("disgust", ["disgusted", "disgusted", None, "disgust", None]),
        ("surprise", ["surprised", "surprised", "powerful", "fear", None]),
        ("worried", ["scared", "fearful", "scared", "fear", "scared"]),
        ("fear", ["scared", "happy", "joyful", "genius", "joyful"]),
        ("neutral", [None] * 5),
    ],
)
def test_basic_labels_lie_where_the_published_metric_puts_them(label, cores):
    assert [level1(label, wheel) for wheel in WHEELS] == cores
    assert [level1(f" {label.upper()}\n", wheel) for wheel in WHEELS] == cores


def test_fear_is_fear_in_the_later_profiles():
    for profile in ("mer2026", "cuewise2026"):
        assert [level1("fear", w, profile) for w in WHEELS] == ["scared", "fearful", "scared", "fear", "scared"]


def test_repaired_profile_scores_neutral_and_puts_happiness_among_the_joys():
    for word in ("neutral", "Neutral "):
        assert {level1(word, w, "cuewise2026") for w in WHEELS} == {"neutral"}
        assert {level2(word, w, "cuewise2026") for w in WHEELS} == {"neutral"}
    assert [level1("happy", w, "cuewise2026") for w in WHEELS] == ["happy", "happy", "joyful", "joy", "joyful"]


@pytest.mark.parametrize("profile", PROFILES)
def test_masks_say_the_same_as_the_word_lookups(profile):
    table = wheel_table(profile)
    masks = table.masks(METRIC_IDS)
    labels = [*sorted(table.roots)[::37], "fear", "neutral", " HAPPY ", "", "no such word"]
    for label in labels:
        packed = masks[label]
        for field in masks.fields:
            bits = (packed >> field.shift) & field.ones
            words = [value for i, value in enumerate(field.values) if bits >> i & 1]
            expected = table.value(label.lower().strip(), field.metric_id)
            assert words == ([] if expected is None else [expected]), (label, field.metric_id)


def test_unknown_profile_and_metric_id_are_named_in_the_error():
    with pytest.raises(ValueError, match=r"unknown wheel profile 'mer2030'; known: affectgpt2025"):
        level1("happy", 1, "mer2030")
    with pytest.raises(ValueError, match="unknown metric id 'case3_wheel6_level1'"):
        level1("happy", 6)


def test_tables_load_in_50_ms_of_cpu_without_heavy_libraries():
    code = (
        "import time, sys; t = time.process_time()\n"
        "from cuewise.mllm.taxonomy import *\n"
        "level1('happy', 1); same_core('happy', 'sad'); valence_arousal('furious'); flagged('lust')\n"
        "spent = time.process_time() - t\n"
        "print(spent, *[m for m in ('torch', 'numpy', 'pandas', 'yaml', 'pydantic') if m in sys.modules])"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    spent, *heavy = min((run.stdout.split() for run in runs), key=lambda words: float(words[0]))
    assert heavy == []
    assert float(spent) < 0.05


def test_tables_equal_the_fact_sheets():
    wheels = yaml.safe_load(shared_dir("spec", "emotion_wheels.yaml").read_text(encoding="utf-8"))["wheels"]
    facts = yaml.load(shared_dir("spec", "emotion_synonyms.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
    for profile, removed in (("affectgpt2025", {}), ("mer2026", facts["removed_2026"])):
        table = wheel_table(profile)
        for wheel in WHEELS:
            assert table.lookups[f"case3_wheel{wheel}_level1"] == wheels[f"wheel{wheel}"]["level1"]
            assert table.lookups[f"case3_wheel{wheel}_level2"] == wheels[f"wheel{wheel}"]["level2"]
        pairs = {(f, r) for r, row in facts["roots"].items() for f in row["forms"] if f not in removed.get(r, [])}
        assert {(form, root) for form, roots in table.roots.items() for root in roots} == pairs
        assert table.wheel_words == {root: row["wheel_words"] for root, row in facts["roots"].items()}
