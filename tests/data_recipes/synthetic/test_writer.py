"""Synthetic corpora on disk: playable media, exact times, resumable, the same in every process."""

import hashlib
import json

import numpy as np
import pytest

from cuewise.data_recipes.doctor import examine
from cuewise.data_recipes.schema import read_jsonl
from cuewise.data_recipes.synthetic import writer
from cuewise.data_recipes.synthetic.corpus import SynthConfig, make_clip
from cuewise.data_recipes.synthetic.writer import CorpusFolderError, config_hash, write_corpus
from cuewise.mllm.media import MediaConfig, load_media

SMALL = SynthConfig(size=96, fps=10, min_seconds=2.0, max_seconds=3.0)


def digests(folder) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, 8, 1_000_000, SMALL)
    return folder


def test_files_rows_and_manifest(corpus):
    rows = list(read_jsonl(corpus / "rows.jsonl"))
    assert [row.id for row in rows] == [f"synth_{1_000_000 + i}" for i in range(8)]
    manifest = json.loads((corpus / "manifest.json").read_text())
    assert manifest["config_hash"] == config_hash(SMALL) and manifest["clips"] == 8 and manifest["splits"] == {"dev": 8}
    assert manifest["licence"] == "CC0-1.0" and not list(corpus.rglob("*.part"))
    report = examine(corpus / "rows.jsonl")
    assert report.status == 0, str(report)


def test_media_are_the_clip_in_picture_sound_and_time(corpus):
    seen = set()
    for number, row in enumerate(read_jsonl(corpus / "rows.jsonl")):
        if not row.media:
            continue
        clip = make_clip(1_000_000 + number, SMALL)
        media = load_media(row.clip(corpus), MediaConfig(num_frames=8, detector="none"))
        if clip.samples is not None:
            length = min(len(clip.samples), len(media.samples))
            likeness = np.corrcoef(clip.samples[:length], media.samples[:length])[0, 1]
            assert likeness > 0.95, "sound is late or changed"
            assert abs(len(media.samples) - len(clip.samples)) < 2100
        if clip.frames is not None:
            assert media.frame_size == (96, 96)
            index = np.clip(np.round(media.frame_times_s * clip.fps).astype(int), 0, len(clip.frames) - 1)
            assert np.abs(media.frames.astype(float) - clip.frames[index]).mean() < 12
        seen.add(tuple(sorted(row.media)))
    assert ("video",) in seen


@pytest.mark.slow  # starts two Python processes
def test_two_processes_write_the_same_files_as_one(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "SHARD", 4)
    write_corpus(tmp_path, 8, 1_000_000, SMALL, workers=2)
    one, two = digests(corpus), digests(tmp_path)
    assert {k: v for k, v in one.items() if not k.startswith("rows/")} == {
        k: v for k, v in two.items() if not k.startswith("rows/")
    }


def test_an_interrupted_run_goes_on_where_it_was(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "SHARD", 4)
    made = []

    def stopping(seed, config):
        if len(made) == 6:
            raise KeyboardInterrupt
        made.append(seed)
        return make_clip(seed, config)

    monkeypatch.setattr(writer, "make_clip", stopping)
    with pytest.raises(KeyboardInterrupt):
        write_corpus(tmp_path, 8, 1_000_000, SMALL)
    assert not (tmp_path / "rows.jsonl").exists() and not list(tmp_path.rglob("*.part"))
    again = []
    monkeypatch.setattr(writer, "make_clip", lambda seed, config: again.append(seed) or make_clip(seed, config))
    write_corpus(tmp_path, 8, 1_000_000, SMALL)
    assert again == [1_000_004, 1_000_005, 1_000_006, 1_000_007]
    assert (tmp_path / "rows.jsonl").read_bytes() == (corpus / "rows.jsonl").read_bytes()
    again.clear()
    write_corpus(tmp_path, 8, 1_000_000, SMALL)
    assert again == []


def test_a_folder_with_another_corpus_is_refused(corpus):
    with pytest.raises(CorpusFolderError, match=r"holds synthetic clips of config .* choose another folder"):
        write_corpus(corpus, 8, 1_000_000, SynthConfig(size=128))


@pytest.mark.parametrize(("count", "seed", "workers"), [(0, 0, 1), (1, 0, 0), (5, 2_999_998, 1), (1, -1, 1)])
def test_wrong_counts_and_seeds_are_refused_before_anything_is_written(tmp_path, count, seed, workers):
    with pytest.raises(ValueError, match=r"write_corpus needs|a clip seed lies"):
        write_corpus(tmp_path / "out", count, seed, SMALL, workers)
    assert not (tmp_path / "out").exists()
