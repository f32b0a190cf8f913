"""Options of a source's rows: tiers by weight, soft labels from a place, demonstrations that never leak."""

import json
from pathlib import Path

import pytest
import torch
from tiny import tiny_processor

from cuewise.data_recipes.corpora import COMMON_LABELS
from cuewise.data_recipes.schema import Dialogue, Row, write_jsonl
from cuewise.mllm.media import MediaConfig
from cuewise.train.cache_name import fingerprint
from cuewise.train.data import Mixture, MixtureConfig
from cuewise.train.examples import Example, SourceConfig, SourceError, _jobs
from cuewise.train.row_options import of_split, of_tier, softened, with_demonstrations


def row(i: int, **changes) -> Row:
    values = {"id": f"r{i}", "corpus": "t", "labels": ["happy"], "tier": "human" if i % 4 == 0 else "machine",
              "transcript": f"the train {i} was late", "dialogue": Dialogue(id=f"d{i // 2}", turn=i % 2)}  # fmt: skip
    return Row(**(values | changes))


ROWS = [row(i) for i in range(12)]


def test_a_row_without_a_split_is_never_held_out_when_others_name_theirs():
    mixed, unnamed = [row(0, split="train"), row(1, split="dev"), row(2)], [row(3), row(4)]
    assert [[r.id for r in of_split(mixed, split)] for split in ("train", "dev")] == [["r0", "r2"], ["r1"]]
    assert of_split(mixed, None) == mixed
    assert of_split(unnamed, "train") == of_split(unnamed, "dev") == unnamed


def source(tmp_path: Path, **options) -> list[Row]:
    write_jsonl(ROWS, tmp_path / "rows.jsonl")
    config = SourceConfig(kind="rows", folder="rows.jsonl", split=None, **options)
    return [item for item, _ in _jobs("mine", config, tmp_path)]


def test_tiers_are_shared_out_by_weight_within_a_hundredth(tmp_path):
    human, machine = (source(tmp_path, tier=tier) for tier in ("human", "machine"))
    assert {one.tier for one in human} == {"human"} and len(human) + len(machine) == 12
    processor = tiny_processor()
    parts = {"human": human, "machine": machine}
    sources = {name: [Example(one, None, 1.0, name) for one in part] for name, part in parts.items()}
    mixture = Mixture(sources, MixtureConfig(weights={"human": 0.3, "machine": 0.7}), processor)
    drawn = mixture.draw(10_000, torch.Generator().manual_seed(0))
    assert sum(one.row.tier == "human" for one in drawn) / 10_000 == pytest.approx(0.3, abs=0.01)
    assert of_tier(ROWS, None) == ROWS


def test_a_place_becomes_shares_and_votes_stay():
    near, voted, none = softened([row(0, valence=0.8, arousal=0.5), row(1, valence=0.8, arousal=0.5,
                                  votes={"all": {"sad": 2.0}}), row(2)])  # fmt: skip
    shares = Example(near, None, 1.0, "t").shares("all")
    assert COMMON_LABELS[int(shares.argmax())] == "happy" and shares.sum() == pytest.approx(1.0)
    assert (shares > 0).all() and voted.votes == {"all": {"sad": 2.0}} and none.votes == {}


def test_demonstrations_are_other_rows_of_other_dialogues_with_their_labels(tmp_path):
    shown = source(tmp_path, demonstrations=2)
    for one in shown:
        lines = one.context.split("\n")
        assert len(lines) == 2 and all(line.endswith("-> happy") for line in lines)
        numbers = [int(line.split()[2]) for line in lines]
        assert int(one.id[1:]) // 2 not in {number // 2 for number in numbers}
    kept = with_demonstrations([row(0, context="before"), row(4)], 1)[0].context
    assert kept.endswith("\nbefore")
    write_jsonl([row(0, transcript=None)], tmp_path / "bare.jsonl")
    bare = SourceConfig(kind="rows", folder="bare.jsonl", split=None, demonstrations=1)
    with pytest.raises(SourceError, match="source 'x': demonstrations need rows with a transcript"):
        list(_jobs("x", bare, tmp_path))


def test_caches_keep_their_names_unless_the_rows_change(tmp_path):
    """The name of a cache covers the rows, so options that only choose or change rows are no part of it themselves."""
    plain = SourceConfig(kind="rows", folder="rows.jsonl", split=None)
    jobs = [(one, 1.0) for one in ROWS]
    name = fingerprint(plain, tiny_processor(), MediaConfig(), jobs)
    softer = SourceConfig(kind="rows", folder="rows.jsonl", split=None, soften=True)
    assert fingerprint(softer, tiny_processor(), MediaConfig(), jobs) == name
    changed = [(row(0, layers={"intent": "x"}), 1.0), *jobs[1:]]
    assert fingerprint(plain, tiny_processor(), MediaConfig(), changed) != name
    assert "layers" in json.loads(changed[0][0].model_dump_json())
