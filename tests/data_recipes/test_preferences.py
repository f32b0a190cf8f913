"""Preference rows: wrong in exactly the planned way, never the right answer in other words."""

import pytest
from shared_data import shared_dir

from cuewise.data_recipes import corpora
from cuewise.data_recipes.preferences import (
    ANYWAY,
    KINDS,
    Source,
    apply,
    channel_label,
    corrupt,
    preferences,
    right_answer,
)
from cuewise.data_recipes.schema import Row, read_jsonl, write_jsonl
from cuewise.data_recipes.synthetic.config import SynthConfig
from cuewise.data_recipes.synthetic.corpus import make_clip
from cuewise.data_recipes.synthetic.emotions import supported_labels
from cuewise.data_recipes.synthetic.plan import plan_clip, stream
from cuewise.data_recipes.synthetic.planned import planned_row
from cuewise.eval.metrics.cues import claim_key
from cuewise.mllm.evidence.check import check_cue
from cuewise.mllm.evidence.claims import opposite, read_claim
from cuewise.mllm.evidence.measure import measure
from cuewise.mllm.evidence.types import Measurements, Reading
from cuewise.mllm.media import MediaConfig, load_media
from cuewise.mllm.report import Cue, parse
from cuewise.mllm.taxonomy import same_core


def made(seed: int) -> Source:
    plan = plan_clip(seed, SynthConfig())
    return Source(planned_row(plan), irrelevant=(plan.spurious.cue(),) if plan.spurious else ())


SOURCES = [made(seed) for seed in range(150)]
BY_ID = {source.row.id: source for source in SOURCES}
ROWS = list(preferences(SOURCES, per_row=4))


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_all_kinds_are_made_for_face_voice_and_words_and_name_a_partner():
    assert {row.rejected_kind for row in ROWS} == set(KINDS)
    assert {channel for row in ROWS for channel in row.rejected_inputs} == {"face", "voice", "words"}
    assert len(ROWS) > 2 * len(SOURCES)


@pytest.mark.parametrize("kind", KINDS)
def test_the_rejected_answer_differs_in_the_cues_of_one_channel_and_nowhere_else(kind):
    rows = [row for row in ROWS if row.rejected_kind == kind]
    assert rows
    for row in rows:
        channel = row.id.rsplit(":", 1)[1]
        chosen, rejected = lines(row.chosen), lines(row.rejected)
        removed, added = [x for x in chosen if x not in rejected], [x for x in rejected if x not in chosen]
        assert removed and added and all(x.startswith(f"[{channel}") for x in removed + added)
        assert kind == "swapped" or len(removed) == len(added) == 1
        assert [x for x in chosen if x in rejected] == [x for x in rejected if x in chosen]
        assert parse(row.chosen).format_ok and parse(row.rejected).format_ok
        assert parse(row.chosen).labels == parse(row.rejected).labels == right_answer(BY_ID[source(row)]).labels


def source(row: Row) -> str:
    return row.id.split(":")[0]


def test_the_added_cue_is_never_a_cue_of_the_clip():
    for row in ROWS:
        known = {claim_key(cue) for cue in [*BY_ID[source(row)].row.cues, *parse(row.chosen).cues]}
        before = parse(row.chosen).cues
        added = [cue for cue in parse(row.rejected).cues if cue not in before]
        if row.rejected_kind == "spurious":  # there, but said to speak for an emotion it does not speak for
            for cue in added:
                claim = read_claim(cue.channel, cue.observation)
                assert cue.channel == "words" or parse(row.chosen).labels[0] not in supported_labels(
                    cue.channel, claim.attribute, claim.direction
                )
        else:
            assert not known & {claim_key(cue) for cue in added}, row.id


def test_a_flipped_cue_is_the_opposite_and_a_hallucinated_one_typical_of_the_emotion():
    for row in ROWS:
        before, after = parse(row.chosen).cues, parse(row.rejected).cues
        if row.rejected_kind in ("flipped", "hallucinated"):
            removed, added = next((a, b) for a, b in zip(before, after) if a != b)
            claim = read_claim(added.channel, added.observation)
            assert (removed.start, removed.end, removed.supports) == (added.start, added.end, added.supports)
            if row.rejected_kind == "flipped":
                assert claim == opposite(removed.channel, read_claim(removed.channel, removed.observation))
            else:
                wanted = supported_labels(added.channel, claim.attribute, claim.direction)
                assert parse(row.chosen).labels[0] in wanted and (claim.attribute, claim.direction) not in ANYWAY


def test_the_rejected_input_replaces_one_channel_by_a_clip_of_another_emotion_and_split_stays():
    for row in ROWS:
        (channel, partner), = row.rejected_inputs.items()
        other = BY_ID[partner].row
        assert channel == row.id.rsplit(":", 1)[1] and partner != source(row) and other.split == row.split
        assert not same_core(channel_label(other, channel), channel_label(BY_ID[source(row)].row, channel))
        if row.rejected_kind == "swapped":
            shown = {claim_key(cue) for cue in other.cues}
            added = [cue for cue in parse(row.rejected).cues if cue not in parse(row.chosen).cues]
            assert {claim_key(cue) for cue in added} <= shown


def test_rows_follow_from_seed_and_survive_their_file(tmp_path):
    again = list(preferences(SOURCES, per_row=4))
    assert again == ROWS and list(preferences(SOURCES, per_row=4, seed=1)) != ROWS
    write_jsonl(ROWS[:20], tmp_path / "p.jsonl")
    assert list(read_jsonl(tmp_path / "p.jsonl")) == ROWS[:20]


class Voice:
    """The voice of a real clip: the first two seconds higher and louder."""

    def read(self, quantity, spans=None):
        spans = spans or [(0.0, 6.0)]
        inside = sum(min(end, 2.0) - start for start, end in spans if start < 2.0)
        total = sum(end - start for start, end in spans)
        first = {"pitch": 260.0, "loudness": -18.0}.get(quantity, 0.3)
        rest = {"pitch": 150.0, "loudness": -30.0}.get(quantity, 0.3)
        return Reading((first * inside + rest * (total - inside)) / total, "?", total)

    def signals(self):
        return {}


def test_corruptions_of_real_clips_are_contradicted_by_their_measurements():
    heard = Measurements(6.0, voice=Voice(), absent={"face": "no picture"})
    cue = Cue(channel="voice", start=0.0, end=2.0, observation="pitch clearly higher", supports=["surprised"])
    row = Row(id="real", corpus="c", labels=["surprised"], media={"audio": "a.wav"}, cues=[cue])
    real = Source(row, measurements=heard)
    right = right_answer(real)
    assert check_cue(right.cues[0], heard).check.verdict == "supported"
    kinds = set()
    for number in range(12):
        for kind in ("flipped", "hallucinated"):
            found = corrupt(real, right, kind, stream(number, kind))
            if found is not None:
                kinds.add(kind)
                assert [check_cue(c, heard).check.verdict for c in found.added] == ["contradicted"]
                assert apply(right, found).cues == list(found.added)
    assert "flipped" in kinds


def test_without_a_measurement_nothing_is_hallucinated_into_a_real_clip_save_absent_face_actions():
    smile = Cue(channel="face", observation="lip corners clearly up (AU12)", supports=["happy"])
    pitch = Cue(channel="voice", observation="pitch clearly higher", supports=["happy"])
    plain = Source(Row(id="real", corpus="c", labels=["happy"], cues=[smile, pitch]))
    frown = Cue(channel="face", observation="lip corners clearly down (AU15)", supports=["sad"])
    measured = {"AU15": 2.0, "AU17": 0.02, "AU1": 1.0, "AU2": 0.0}
    units = Source(Row(id="au", corpus="c", labels=["sad"], cues=[frown], aus=measured))
    found = {}
    for name, one in (("plain", plain), ("units", units)):
        right = right_answer(one)
        made = [corrupt(one, right, "hallucinated", stream(number, name)) for number in range(10)]
        found[name] = {cue.observation for corruption in made if corruption for cue in corruption.added}
        assert any(corrupt(one, right, "flipped", stream(number, name)) for number in range(10))
    assert found == {"plain": set(), "units": {"chin clearly raised (AU17)"}}


def test_measured_cues_stand_in_where_a_real_row_knows_none():
    heard = Measurements(6.0, voice=Voice(), absent={"face": "no picture"})
    row = Row(id="real", corpus="c", labels=["surprised"], media={"audio": "a.wav"})
    right = right_answer(Source(row, measurements=heard))
    assert right is not None and all(cue.channel == "voice" for cue in right.cues)
    assert right_answer(Source(row)) is None and list(preferences([row])) == []


def test_a_drawn_clip_gives_the_same_kind_of_rows():
    clip = make_clip(3, SynthConfig(size=96, fps=8)).row
    others = [made(seed).row.model_copy(update={"split": clip.split}) for seed in range(20)]
    assert [row for row in preferences([clip, *others]) if source(row) == clip.id]


def test_unknown_kinds_name_the_nearest():
    with pytest.raises(ValueError, match="unknown kind of corruption `flip`; did you mean `flipped`"):
        next(preferences([], kinds=["flip"]))


def test_real_speech_gives_rows_whose_wrong_cue_the_recording_contradicts():
    root = shared_dir("data", "emodb")
    sources = []
    for row in list(corpora.read("emodb", root))[:24:2]:
        media = load_media(row.clip(root), MediaConfig())
        sources.append(Source(row, measure(media)))
    rows = list(preferences(sources, kinds=["flipped", "hallucinated"]))
    assert rows and {row.rejected_kind for row in rows} <= {"flipped", "hallucinated"}
    by_id = {one.row.id: one for one in sources}
    for row in rows:
        before = parse(row.chosen).cues
        added = [cue for cue in parse(row.rejected).cues if cue not in before]
        checked = [check_cue(cue, by_id[source(row)].measurements).check.verdict for cue in added]
        assert checked == ["contradicted"]
        assert all(check_cue(c, by_id[source(row)].measurements).check.verdict == "supported" for c in before)
