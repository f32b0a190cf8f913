"""Rows become answers that can be written and read back."""

import pytest

from cuewise.data_recipes.action_words import in_words
from cuewise.data_recipes.corpora.ravdess import row_of
from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.synthetic.corpus import SynthConfig, make_clip
from cuewise.data_recipes.synthetic.plan import plan_clip
from cuewise.data_recipes.targets import (
    observed_cues,
    row_cues,
    shown_part,
    target,
    target_from_measurements,
    word_cues,
)
from cuewise.mllm.evidence.types import Measurements, Reading
from cuewise.mllm.report import Cue, parse, render


class SteadyVoice:
    """A voice whose quantities are given per half: the first 2 s and the rest."""

    def __init__(self, first: dict[str, float], rest: dict[str, float]):
        self.values = (first, rest)

    def read(self, quantity, spans=None):
        spans = [(0.0, 6.0)] if spans is None else spans
        inside = sum(min(end, 2.0) - start for start, end in spans if start < 2.0)
        outside = sum(end - max(start, 2.0) for start, end in spans if end > 2.0)
        values = [half.get(quantity, 0.0) for half in self.values]
        value = (values[0] * inside + values[1] * outside) / (inside + outside)
        return Reading(value, "?", inside + outside)

    def signals(self):
        return {}


def conflict_row() -> Row:
    return Row(
        id="c", corpus="synthetic", labels=["happy", "joyful"], transcript="The bus stops here.",
        votes={"face": {"happy": 1}, "voice": {"sad": 1}, "words": {"neutral": 1}, "all": {"happy": 1}},
        cues=[Cue(channel="voice", start=0.5, end=1.5, observation="pitch clearly lower", supports=["sad"]),
              Cue(channel="face", start=1.004, end=2.0, observation="lip corners strongly up (AU12)",
                  supports=["happy"])],
        reasoning="The face says happy but the voice says sad, so happy.",
    )  # fmt: skip


def test_explained_target_has_cues_in_order_reasoning_and_labels_last():
    assert render(target(conflict_row())).splitlines() == [
        "<think>",
        "[face 1.00-2.00] lip corners strongly up (AU12) => happy",
        "[voice 0.50-1.50] pitch clearly lower => sad",
        "The face says happy but the voice says sad, so happy.",
        "</think>",
        "<answer>happy, joyful</answer>",
    ]


def test_direct_target_with_confidence():
    assert render(target(conflict_row(), "direct", confidence=0.8)) == (
        "<answer>happy, joyful</answer>\n<confidence>0.80</confidence>"
    )


def test_only_what_the_shown_channels_show_is_concluded():
    voice = target(conflict_row(), channels=["voice", "words"])
    assert voice.labels == ["sad"] and [cue.channel for cue in voice.cues] == ["voice"]
    assert "face" not in voice.reasoning and "sad" in voice.reasoning
    words = target(conflict_row(), channels=["words"])
    assert words.labels == ["neutral"] and words.cues[0].observation == '"The bus stops here"'
    face = target(conflict_row(), channels=["face", "scene"])
    assert face.labels == ["happy", "joyful"] and "voice" not in face.reasoning


def test_a_row_keeps_what_its_shown_channels_say():
    row = conflict_row()
    assert shown_part(row, ("face", "voice", "words", "scene")) is row
    shown = next(channel for channel in ("face", "voice") if target(row, "direct", [channel]).labels != row.labels)
    left = shown_part(row.model_copy(update={"aus": {"AU12": 3.0}, "valence": 0.5}), [shown])
    assert left.labels == target(row, "direct", [shown]).labels and {cue.channel for cue in left.cues} == {shown}
    assert {*left.votes} <= {shown} and left.valence is None and left.reasoning is None
    assert bool(left.aus) == (shown == "face")


def test_a_selection_always_gets_the_same_sentence():
    texts = {target(conflict_row(), channels=["voice"]).reasoning for _ in range(3)}
    assert len(texts) == 1


@pytest.mark.parametrize("seed", [0, 2, 7, 11, 1_000_003, 2_000_005])
def test_targets_of_synthetic_clips_are_read_back_unchanged(seed):
    row = make_clip(seed, SynthConfig(size=96, fps=8)).row
    present = [channel for channel in ("face", "voice", "words") if channel in row.votes]
    for channels in (None, *([channel] for channel in present)):
        for form in ("explained", "direct"):
            answer = target(row, form, channels, confidence=0.75)
            assert parse(render(answer)) == answer
            assert answer.problems == [] and answer.form == form
            assert {cue.channel for cue in answer.cues} <= set(channels or ("face", "voice", "words", "scene"))


def test_labels_of_one_channel_are_those_of_its_votes():
    for seed in range(200):
        plan = plan_clip(seed, SynthConfig())
        row = Row(id=str(seed), corpus="synthetic", labels=["calm"], transcript=plan.transcript,
                  votes={one.channel: {one.label: 1.0} for one in plan.carried},
                  cues=[cue.cue() for cue in plan.cues])  # fmt: skip
        for one in plan.carried:
            if one.channel != "words" and row.cues:
                assert target(row, channels=[one.channel]).labels[0] == one.label


def test_text_rows_quote_the_clause_that_speaks_for_the_label():
    row = Row(
        id="t", corpus="goemotions", labels=["annoyance"], transcript="It is late. This makes me so angry, you know"
    )
    assert row_cues(row)[0].observation == '"This makes me so angry"'
    assert target(row).form == "explained" and target(row).labels == ["annoyance"]
    long = "one two three four five six seven eight nine sad eleven twelve thirteen"
    quote = word_cues(long, ["sadness"])[0].observation.strip('"')
    assert quote in long and "sad" in quote and len(quote.split()) == 8
    assert word_cues("...!", ["joy"]) == []


def test_a_quotation_never_breaks_the_answer():
    for text in ('He said "no" => maybe', "a\nb\nc", "so… it's 'fine'", "«Oui»", "[NAME] [face 0-1] is happy", "=>"):
        row = Row(id="t", corpus="goemotions", labels=["joy"], transcript=text)
        answer = target(row)
        assert parse(render(answer)) == answer


def acted_row() -> Row:
    return row_of("03-01-05-02-01-01-12", {"audio": "a.wav"})


def test_acted_speech_is_never_angry_by_its_neutral_words():
    row = acted_row()
    assert row_cues(row) == []
    assert render(target(row, channels=["voice"])) == render(target(row)) == "<answer>angry</answer>"
    words = target(row, channels=["words"])
    assert words.labels == ["neutral"] and words.cues[0].supports == ["neutral"]


def test_a_measured_cue_in_the_voice_outweighs_neutral_words():
    row = acted_row()
    row.cues = [Cue(channel="voice", observation="loudness clearly higher", supports=["angry"])]
    answer = target(row)
    assert answer.labels == ["angry"] and "words" in answer.reasoning and answer.reasoning.endswith("angry.")
    row.cues = [Cue(channel="voice", observation="pitch clearly lower")]
    answer = target(row)
    assert answer.labels == ["angry"] and answer.reasoning == "The cues in the voice are weak, but angry fits best."


def test_measured_action_units_become_cues_that_speak_for_the_label():
    aus = {"AU4": 2.5, "AU12": 0.3, "AU25": 3.0, "AU7": 1.0}
    row = Row(id="a", corpus="ravdess_au", labels=["angry"], aus=aus, context=in_words(aus), transcript="Kids.")
    cues = row_cues(row)
    assert [cue.observation for cue in cues] == ["brows strongly lowered (AU4)", "eyes clearly narrowed (AU7)"]
    assert all(cue.supports == ["angry"] for cue in cues)
    weak = row_cues(row.model_copy(update={"labels": ["disgust"]}))
    assert [cue.supports for cue in weak] == [[]]


def test_measured_cues_of_a_real_clip_support_its_label_only_where_the_table_says_so():
    louder = SteadyVoice(
        {"loudness": -10.0, "pitch": 120.0, "rate": 4.3}, {"loudness": -30.0, "pitch": 120.0, "rate": 4.3}
    )
    measured = Measurements(duration_s=6.0, voice=louder)
    angry = Row(id="x", corpus="ravdess", labels=["angry"], media={"audio": "x.wav"})
    cues = observed_cues(angry, measured)
    assert cues and all(cue.supports == ["angry"] for cue in cues)
    assert cues[0].observation.startswith("loudness")
    assert all(cue.check.verdict == "supported" for cue in cues)
    fearful = observed_cues(angry.model_copy(update={"labels": ["fearful"]}), measured)
    assert all(cue.supports == [] for cue in fearful)
    answer = target_from_measurements(angry, measured)
    assert answer.form == "explained" and answer.labels == ["angry"] and parse(render(answer)) == answer


def test_an_even_voice_speaks_for_neutral_and_not_for_anger():
    even = Measurements(duration_s=6.0, voice=SteadyVoice({"pitch": 118.0, "rate": 4.3}, {"pitch": 118.0, "rate": 4.3}))
    row = Row(id="n", corpus="emodb", labels=["neutral"], media={"audio": "n.wav"})
    assert "pitch steady" in [cue.observation for cue in observed_cues(row, even)]
    angry = observed_cues(row.model_copy(update={"labels": ["angry"]}), even)
    assert all("steady" not in cue.observation and cue.supports == [] for cue in angry)


def test_refusals_say_what_is_missing():
    with pytest.raises(ValueError, match="row 'e' has no labels"):
        target(Row(id="e", corpus="emobank", transcript="Hi"))
    with pytest.raises(ValueError, match="form must be explained or direct, got 'json'"):
        target(conflict_row(), "json")
