"""Hints: exact for given shares, first in the prompt, gone when switched off, and their time is told."""

import logging

import pytest
import tiny
from endpoint import serving
from hand_measures import PieceMeasures

from cuewise.mllm.clip import Clip
from cuewise.mllm.evidence.claims import load
from cuewise.mllm.evidence.observe import observe
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.hints import HintConfig, candidates, cue_words, hint_block
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.pipeline import Analyzer
from cuewise.mllm.prompts import build, text_of
from cuewise.mllm.question import Question
from cuewise.mllm.systems.base import Ask, SystemLoadError, load_system
from cuewise.mllm.systems.cuewise import CuewiseSystem
from cuewise.mllm.systems.hinted import HintedSystem
from cuewise.mllm.systems.ways import hinted

SHARES = {"sad": 0.25, "happy": 0.68, "calm": 0.04, "angry": 0.03}


@pytest.fixture
def analyzer():
    with Analyzer(tiny.tiny_model(), tiny.tiny_processor(), name="tiny", media=MediaConfig(num_frames=4)) as made:
        yield made


def clip() -> Clip:
    return Clip(samples=tiny.tiny_media(seconds=2.0).samples, sample_rate=16_000, transcript="we won")


def test_the_block_is_exact_for_given_shares():
    assert candidates(SHARES, HintConfig()) == [("happy", 0.68), ("sad", 0.25)]
    assert hint_block(SHARES, ["pitch clearly higher"]) == "happy 0.68, sad 0.25; pitch clearly higher"
    assert hint_block(SHARES, [], HintConfig(labels=1)) == "happy 0.68"
    assert hint_block({"sad": 0.5, "happy": 0.5}, []) == "happy 0.50, sad 0.50"
    assert hint_block({"a": 0.01, "b": 0.005}, []) == "a 0.01" and hint_block({}, ["x"]) is None
    with pytest.raises(ValueError, match="labels >= 1"):
        HintConfig(labels=0)


def test_cue_words_are_what_the_measurements_support():
    quantities = {name: {q for one in load(name).directions.values() for q in one.quantities}
                  for name in ("face", "voice")}  # fmt: skip
    shown = {q: [(0.0, 6.0, 4.0 if q == "AU12" else 0.0)] for q in quantities["face"]}
    heard = {q: [(0.0, 3.0, 120.0), (3.0, 6.0, 260.0)] if q == "pitch" else [] for q in quantities["voice"]}
    both = Measurements(6.0, voice=PieceMeasures(6.0, heard), face=PieceMeasures(6.0, shown, 4.0))
    alone = {name: [cue.observation for cue in observe(both, name)] for name in ("face", "voice")}
    assert alone["face"] and alone["voice"]
    words = cue_words(both, HintConfig(cues=2))
    assert words == [alone["face"][0], alone["voice"][0]]
    assert cue_words(both, HintConfig(cues=0)) == [] == cue_words(None, HintConfig())


def test_hints_stand_first_and_switching_them_off_restores_the_prompt():
    plain = build(["voice"], transcript="we won", duration_s=2.0)
    told = build(["voice"], transcript="we won", duration_s=2.0, hints="happy 0.68; pitch higher </hints> higher")
    assert text_of(told) == "<hints>happy 0.68; pitch higher ‹/hints› higher</hints>\n" + text_of(plain)
    assert build(["voice"], transcript="we won", duration_s=2.0, hints=None) == plain


def test_the_models_own_heads_are_read_and_their_time_is_told(analyzer):
    asked = [(clip(), Question(form="direct", max_tokens=2, own_hints=on)) for on in (True, False)]
    hinted_answer, plain = analyzer.answer_many(asked)
    wanted = hint_block(plain.report.distribution, [])
    first = hinted_answer.prompt.split("\n")[0]
    assert first.startswith(f"<hints>{wanted}") and hinted_answer.prompt == f"{first}\n{plain.prompt}"
    timing = hinted_answer.report.timing_ms
    assert "hints" in timing and "hints" not in plain.report.timing_ms
    assert timing["total"] == pytest.approx(sum(value for name, value in timing.items() if name != "total"), abs=0.1)
    words = next(iter(analyzer.answer_many([(Clip(transcript="x"), Question(max_tokens=2, own_hints=True))])))
    assert words.prompt.startswith("<hints>") == bool(words.report.distribution)


def test_an_option_asks_a_system_of_ours_with_hints_of_its_own(analyzer):
    system = hinted(CuewiseSystem(analyzer), "own")
    reply = next(iter(system.answer([Ask(id="a", clip=clip(), form="direct", max_tokens=2)])))
    assert reply.prompt.startswith("<hints>") and "hints" in reply.timing_ms and system.describe()["hints"] == "own"


def test_another_system_decides_with_the_hints_of_ours_first(analyzer, caplog):
    with serving(lambda body: "<answer>happy</answer>") as endpoint:
        system = HintedSystem(load_system(f"openai:M@{endpoint.url}"), analyzer)
        asks = [Ask(id="a", clip=clip()), Ask(id="t", clip=None, prompt="Which emotions?")]
        with caplog.at_level(logging.INFO):
            with_clip, text = system.answer(asks)
        plain = next(iter(system.system.answer(asks[:1])))
    shares = analyzer.analyze(clip(), form="direct").distribution
    said = f"Small readers suggest: {hint_block(shares, [])}. Decide for yourself.\n"
    assert said in with_clip.prompt and with_clip.prompt.replace(said, "") == plain.prompt
    assert "suggest" not in text.prompt
    assert {"hints", "answer"} <= set(with_clip.timing_ms) and "2 asks: hints" in caplog.text
    assert system.describe()["hints"] == "tiny"


def test_who_cannot_give_hints_is_refused(tmp_path):
    with serving(lambda body: "x") as endpoint:
        spec = f"openai:M@{endpoint.url}"
        with pytest.raises(SystemLoadError, match="has no heads of its own"):
            load_system(spec, hints="own")
        with pytest.raises(SystemLoadError, match=r"option hints: .*nowhere"):
            load_system(spec, hints="nowhere")
        with pytest.raises(SystemLoadError, match="did you mean `hints`"):
            load_system(spec, hint="nano")
