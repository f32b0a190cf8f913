"""Protocols with a judge, worked out by hand with judges whose replies are known."""

import json

import endpoint
import numpy as np
import pytest

from cuewise.eval.judges.load import load_judge
from cuewise.eval.judges.protocols import emer, emocue, explained, extract_labels, judged, mme, sentiment_words


@pytest.fixture
def asked():
    """Judge whose reply is a function of the prompt."""
    from contextlib import contextmanager

    @contextmanager
    def make(reply):
        def answer(body):
            found = reply(body["messages"][0]["content"][-1]["text"])
            return found if isinstance(found, str) else json.dumps(found)

        with endpoint.serving(answer) as served, load_judge(f"openai:j@{served.url}") as judge:
            yield judge

    return make


def test_emer_scores_are_means_over_the_replies_that_can_be_read(asked):
    def reply(prompt):
        if "main person" in prompt:
            return {"labels": ["angry"] if "frown" in prompt else ["happy"]}
        if "lists of emotion words" in prompt:
            return {"score": 9 if prompt.count("angry") == 2 else 2}
        return {"score": 6} if "<<<a frown>>>\nSecond description: <<<a frown>>>" in prompt else "about 7"

    with asked(reply) as judge:
        found = emer(judge, ["a frown", "a smile"], ["a frown", "another frown"])
    assert found["clue_overlap"]["value"] == 6.0 and found["clue_overlap"]["n"] == 1
    assert found["clue_overlap"]["judge_parse_rate"] == 0.5
    assert found["label_overlap"]["value"] == 5.5 and found["label_overlap_set_f1"]["value"] == 0.5
    assert found["judge"]["model"] == "j" and found["judge"]["counts"]["clue_overlap"]["invalid"] == 1


def test_mme_counts_refusals_and_unreadable_judgments_as_nothing_right(asked):
    def reply(prompt):
        if "Take it apart" in prompt:
            if "no idea" in prompt:
                return {"steps": [], "prediction": None}
            return {"steps": ["one", "two"] if "<<<reasoned>>>" in prompt else [], "prediction": "happy"}
        assert "What can be heard: <<<loud>>>" in prompt or "(not known)" in prompt
        return {"steps": [1, 0], "result": 1} if "<<<one>>>" in prompt else {"steps": [], "result": 9}

    answers = ["reasoned", "happy", "no idea"]
    with asked(reply) as judge:
        found = mme(judge, ["SA"] * 3, answers, ["happy"] * 3, audio_clues=["loud", None, None])
    assert found["scores"] == [[1.0, 0.0, 1.0], None, None]
    assert found["rec"] == pytest.approx(1 / 3) and found["rea"] == pytest.approx(0.5 / 3)
    assert found["parse_rate"] == pytest.approx(1 / 3) and found["tasks"]["SA"]["n"] == 3


def test_emocue_takes_descriptions_and_ready_lists(asked):
    ready = {"visual": ["frown"], "auditory": ["loud voice", "text says no"], "emotional": ["angry"]}
    table = {"frown": [1.0, 0.0], "smile": [0.0, 1.0], "loud voice": [1.0, 0.0], "angry": [1.0, 0.0]}

    def embed(texts):
        return np.array([table[text] for text in texts])

    with asked(lambda prompt: {"visual": ["frown", "smile"], "auditory": [], "emotional": ["angry"]}) as judge:
        found = emocue(judge, [ready], ["She frowns, then smiles."], embed, "table")
    assert found["embedder"] == "table" and found["judge"]["model"] == "j"
    assert found["visual"]["precision"] == 0.5 and found["visual"]["recall"] == 1.0
    assert found["auditory"]["f1"] == 0.0 and found["emotional"]["f1"] == 1.0


def test_doubly_right_reads_only_what_is_left_of_the_reason(asked):
    prompts = []

    def reply(prompt):
        prompts.append(prompt)
        return {"emotion": "joyful" if "smile" in prompt else None}

    with asked(reply) as judge:
        reasons = ["A happy smile", "sadly silent"]
        found = explained(judge, ["happy", "sad"], ["happy", "happy"], reasons, ["happy", "sad"])
    assert (found["RR"], found["RW"], found["WR"], found["WW"]) == (0.5, 0.0, 0.0, 0.5)
    assert not any("happy smile" in prompt or "sadly" in prompt for prompt in prompts)


def test_extraction_and_sentiment(asked):
    def reply(prompt):
        return {"labels": ["sad"]} if "sobs" in prompt else {"sentiment": "negative"} if "<<<sad>>>" in prompt else "?"

    with asked(reply) as judge:
        labels = extract_labels(judge, ["He sobs.", "???"])
        assert labels == [["sad"], None]
        assert sentiment_words(judge, [["sad"]]) == ["negative"]


def test_a_mean_of_no_replies_is_undefined():
    assert np.isnan(judged("m", [None]).value) and judged("m", [None]).n == 0


def test_everything_runs_offline_with_the_stub():
    with load_judge("stub") as judge:
        assert emer(judge, ["She looks angry."], ["She seems angry."])["label_overlap"]["value"] == 10
        assert mme(judge, ["IR"], ["He smiles. He is happy."], ["happy"])["cot"] == 1.0
        assert explained(judge, ["happy"], ["joyful"], ["He looks cheerful."])["RR"] == 1.0
