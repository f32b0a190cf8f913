"""Descriptions are kept by rules that are counted; planted mismatches go, and the label is explained, not guessed."""

from collections.abc import Iterator

import pytest

from cuewise.data_recipes.described import Described, describe, described, filter_described, peak_frame
from cuewise.data_recipes.schema import Row
from cuewise.mllm.systems.base import Reply, ReplyError

LONG = "The corners of her mouth are raised and her cheeks are lifted while she looks at the others. " * 3


def row(name: str, **changes) -> Row:
    return Row(**({"id": name, "corpus": "t", "labels": ["happy"], "transcript": "We  did it"} | changes))


def item(name: str, **changes) -> Described:
    values = {"text": LONG, "crowd": {"face": "happy", "voice": "positive", "words": "sad"}, "same_person": True}
    return Described(row(name), **(values | changes))


def test_planted_mismatches_are_removed_and_counted_by_rule():
    planted = [
        item("good"), item("dubbed", same_person=False), item("short", text="She smiles."),
        item("long", text=LONG * 4), item("crowd", crowd={"face": "sad", "voice": "negative", "words": "happy"}),
        item("other", stated="furious", crowd={}), item("also good", stated="joyful", crowd={}),
    ]  # fmt: skip
    report = filter_described(planted)
    assert [one.id for one in report.kept] == ["good", "also good"]
    assert report.dropped == {"another person speaks": 1, "too short": 1, "too long": 1, "the crowd disagrees": 1,
                              "names another emotion": 1}  # fmt: skip
    assert all(one.tier == "reviewed" and one.reasoning == " ".join(LONG.split()) for one in report.kept)
    assert str(report).startswith("kept 2 rows, dropped 5 (")


def test_a_judge_may_be_asked_and_the_crowd_left_out():
    rated = [item("a", score=0.9), item("b", score=0.2), item("c")]
    assert [one.id for one in filter_described(rated, min_score=0.5).kept] == ["a"]
    against = item("d", crowd={"face": "sad"})
    assert filter_described([against], agree=0).kept and not filter_described([against]).kept


class Answers:
    """A system that writes one text, or fails."""

    def __init__(self, text: str | None):
        self.text = text

    def answer(self, asks) -> Iterator[Reply]:
        for ask in asks:
            failed = ReplyError("endpoint", "the endpoint does not answer") if self.text is None else None
            yield Reply(id=ask.id, text=self.text or "", error=failed)


def kept_from(see: str | None = "A smile.", hear: str | None = "High.", join: str | None = LONG, crowd=()):
    rows = [row("a", media={"image": "a.png"})]
    readers = {f"r{i}": Answers(text) for i, text in enumerate(crowd)}
    return filter_described(described(rows, ".", Answers(see), Answers(hear), Answers(join), readers))


@pytest.mark.parametrize("part", ["see", "hear", "join"])
def test_a_row_goes_when_a_system_that_describes_it_fails(part):
    assert len(kept_from().kept) == 1
    report = kept_from(**{part: None})
    assert not report.kept and report.dropped == {f"`{part}` failed": 1}


def test_a_crowd_that_fails_is_not_one_that_was_never_asked():
    good, bad = "<answer>happy</answer>", "<answer>sad</answer>"
    assert kept_from(crowd=[None, None]).dropped == {"nobody of the crowd voted": 1}
    assert kept_from(crowd=["I cannot say."]).dropped == {"nobody of the crowd voted": 1}
    assert len(kept_from(crowd=[good, None]).kept) == 1
    assert kept_from(crowd=[bad, None]).dropped == {"the crowd disagrees": 1}


def test_the_label_the_words_and_the_measured_face_reach_the_model_that_joins():
    asked = []

    def join(prompt: str) -> str:
        asked.append(prompt)
        return " Her smile and her voice show joy. "

    said = describe(row("a", aus={"AU12": 3.0}), lambda _: "A smile.", lambda _: "High pitch.", join)
    assert said == "Her smile and her voice show joy."
    assert "Seen: A smile.\nHeard: High pitch.\nMeasured: " in asked[0] and 'Said: "We did it"' in asked[0]
    assert "known to feel happy" in asked[0] and "where a channel points elsewhere, say so" in asked[0]
    describe(row("b", labels=[], transcript=None), lambda _: "x", lambda _: "y", join)
    assert "known to feel" not in asked[1] and "Said" not in asked[1]


def test_the_peak_is_the_frame_with_the_strongest_actions():
    frames = [{"AU12": 1.0}, {"AU12": 2.0, "AU45": 5.0}, {"AU12": 4.0}]
    assert peak_frame(frames) == 1 and peak_frame(frames, ["AU12"]) == 2 and peak_frame([{}, {}]) == 0
    with pytest.raises(ValueError, match="no frames"):
        peak_frame([])
