"""Words alone as a system: emotion words, negations, a lexicon's places, and the same scorer as for any other."""

import json

import pytest
from suite_samples import write_suite

from cuewise.eval.asking import RunConfig
from cuewise.eval.report import read_results
from cuewise.eval.runner import run_suite
from cuewise.mllm.clip import Clip
from cuewise.mllm.systems.base import Ask, SystemLoadError, load_system
from cuewise.mllm.systems.words import WordsSystem


@pytest.mark.parametrize(
    ("text", "label"),
    [("I am so furious with you", "angry"), ("I am not furious, I am joyful", "happy"),
     ("The train is late.", "neutral"), ("tears and sadness, only sadness", "sad"), ("", "neutral")],
)  # fmt: skip
def test_unnegated_emotion_words_decide(text, label):
    assert WordsSystem().labels(text)[0] == label


def test_with_a_lexicon_the_places_of_its_words_decide(tmp_path):
    path = tmp_path / "lexicon.tsv"
    path.write_text("party\t0.9\t0.7\t0.5\ncoffin\t-0.9\t-0.4\t-0.5\ntable\t0.02\t0.0\t0.0\n")
    system = load_system(f"words:{path}")
    assert system.labels("What a party") == ["happy"] and system.labels("a coffin") == ["sad"]
    assert system.labels("furious") == ["angry"], "no word of the lexicon, so the tables decide"
    assert system.labels("a table") == ["neutral"] and system.describe()["lexicon_words"] == 3
    replies = list(system.answer([Ask(id="a", clip=Clip(transcript="a party")), Ask(id="b", clip=None, prompt="hm")]))
    assert [reply.text for reply in replies] == ["<answer>happy</answer>", "<answer>neutral</answer>"]
    with pytest.raises(SystemLoadError, match="cannot be read"):
        load_system(f"words:{tmp_path / 'gone.tsv'}")
    with pytest.raises(SystemLoadError, match="unknown option `device`"):
        load_system("words", device="cpu")


def test_the_baseline_runs_a_suite_like_any_system(tmp_path):
    suite, lexicon = write_suite(tmp_path, count=8), tmp_path / "lexicon.tsv"
    rows = ("wonderful,0.9,0.5,0.5", "love,0.9,0.4,0.5", "cried,-0.8,-0.3,-0.5", "lie,-0.8,0.8,0.2")
    lexicon.write_text("\n".join(rows))
    config = RunConfig(suite=str(suite), system=f"words:{lexicon}", data=[str(tmp_path / "data")], out=tmp_path / "run")
    results = read_results(run_suite(config))
    assert results.system["kind"] == "words" and results.answered == 8 and results.parse_rate == 1.0
    assert results.metric("texts", "uar").value == 1.0
    lines = (tmp_path / "run/journal.jsonl").read_text().splitlines()
    assert all("<answer>" in json.loads(line).get("text", "<answer>") for line in lines)
