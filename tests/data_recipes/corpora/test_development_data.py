"""The readers on the real development data, where it lies beside the checkout."""

from collections import Counter

import pytest
from shared_data import shared_dir

from cuewise.data_recipes import corpora
from cuewise.data_recipes.corpora.crema_d import conflict_subset

FOLDERS = {
    "ravdess": ("ravdess_speech", 1140), "ravdess_au": ("ravdess_speech", 1140), "av_clips": ("av_clips", 19),
    "emodb": ("emodb", 203), "nemo": ("nemo_pl", 630), "crema_d": ("cremad_votes", 6049), "meld": ("meld_text", 11098),
    "goemotions": ("goemotions", 48836), "emobank": ("emobank", 9061), "london_faces": ("london_faces", 164),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_counts_ids_media_and_splits(name):
    folder, count = FOLDERS[name]
    root = shared_dir("data", folder)
    rows = list(corpora.read(name, root))
    assert len(rows) == count and len({row.id for row in rows}) == count
    assert {row.split for row in rows} == {"train", "dev"}
    assert all((root / path).is_file() for row in rows for path in row.media.values())
    if corpora.get(name).split_by == "speaker":
        splits = {(row.speaker, row.split) for row in rows}
        assert len(splits) == len({speaker for speaker, _ in splits})
    dev = list(corpora.read(name, root, "dev"))
    assert dev == [row for row in rows if row.split == "dev"]


def test_crema_d_conflict_subsets_have_the_published_rule_and_our_counts():
    rows = corpora.read("crema_d", shared_dir("data", "cremad_votes"))
    subsets = Counter(conflict_subset(row) for row in rows)
    assert (subsets["consistent"], subsets["video-aligned"], subsets["audio-aligned"]) == (2493, 1501, 459)


def test_common_labels_of_acted_corpora():
    for name in ("ravdess", "emodb", "nemo", "crema_d", "london_faces", "av_clips", "meld"):
        rows = corpora.read(name, shared_dir("data", FOLDERS[name][0]))
        assert {label for row in rows for label in row.labels} <= set(corpora.COMMON_LABELS), name
