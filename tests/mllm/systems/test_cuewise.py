"""Our own models behind the interface that evaluation uses for every system."""

import media_samples
import pytest
import tiny

from cuewise.mllm.clip import Clip
from cuewise.mllm.pipeline import Analyzer
from cuewise.mllm.systems.base import Ask, SystemLoadError, load_system, model_kind
from cuewise.mllm.systems.cuewise import CuewiseSystem


@pytest.fixture(scope="module")
def system():
    analyzer = Analyzer(tiny.tiny_model(), tiny.tiny_processor(), name="tiny")
    yield (found := CuewiseSystem(analyzer))
    found.close()


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "a.mp4"
    media_samples.write_video(path, media_samples.pattern(20), samples=media_samples.tone(0.8), audio_codec="aac")
    return Clip(path=path)


def test_replies_come_in_order_and_a_broken_clip_is_an_error_among_them(system, film, tmp_path):
    (tmp_path / "noise.mp4").write_bytes(b"this is no film")
    asks = [Ask(id="one", clip=film, form="direct", max_tokens=4),
            Ask(id="two", clip=Clip(path=tmp_path / "noise.mp4")),
            Ask(id="three", clip=Clip(transcript="we won"), form="direct", max_tokens=4)]  # fmt: skip
    first, broken, last = system.answer(iter(asks))
    assert [first.id, broken.id, last.id] == ["one", "two", "three"]
    assert broken.error.code == "undecodable" and "noise.mp4" in broken.error.message and broken.report is None
    assert first.text.startswith("<answer>") and first.report.text == first.text
    assert first.usage["completion_tokens"] <= 4 and first.usage["media_tokens"] > 0
    assert "[scene]" in first.prompt and "[scene]" not in last.prompt and "we won" in last.prompt


def test_the_question_the_candidates_and_the_statement_reach_the_prompt(system):
    clip = Clip(transcript="we won")
    asks = [Ask(id="q", clip=clip, prompt="How does she feel?", max_tokens=2),
            Ask(id="c", clip=clip, candidates=("happy", "sad"), max_tokens=2),
            Ask(id="s", clip=clip, statement="She is glad.", max_tokens=2),
            Ask(id="t", clip=None, prompt="I am so glad", max_tokens=2)]  # fmt: skip
    question, candidates, statement, text = system.answer(asks)
    assert question.prompt.endswith("How does she feel?")
    assert "<candidates>happy, sad</candidates>" in candidates.prompt
    assert "<statement>She is glad.</statement>" in statement.prompt and not statement.text.startswith("<")
    assert "<transcript>I am so glad</transcript>" in text.prompt


def test_a_sampled_answer_depends_on_its_seed_and_on_nothing_else(system):
    clip = Clip(transcript="we won")
    asks = [Ask(id=str(i), clip=clip, temperature=2.0, seed=seed, max_tokens=12) for i, seed in enumerate((1, 2, 1))]
    texts = [reply.text for reply in system.answer(asks)]
    assert texts[0] == texts[2] != texts[1]
    assert next(iter(system.answer([asks[1]]))).text == texts[1]


def test_a_question_longer_than_the_context_is_an_error_of_that_ask(system):
    asks = [Ask(id="long", clip=Clip(transcript="x"), prompt="word " * 60_000),
            Ask(id="short", clip=Clip(transcript="x"), max_tokens=2)]  # fmt: skip
    long, short = system.answer(asks)
    assert long.error.code == "bad_question" and short.error is None


def test_a_system_says_what_it_is(system):
    facts = system.describe()
    assert facts["kind"] == "cuewise" and facts["model"] == "tiny" and facts["dtype"] == "float32"
    assert facts["parameters"] == sum(p.numel() for p in system.analyzer.model.parameters())
    assert {"torch", "transformers"} <= set(facts["versions"])


def test_names_lead_to_systems_and_wrong_ones_to_one_line(tmp_path):
    assert model_kind("nano") == "cuewise"
    with pytest.raises(SystemLoadError, match=r"neither a shipped model .*openai:"):
        load_system("no-such-model")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(SystemLoadError, match="cannot be read"):
        load_system(tmp_path)


def test_options_of_our_models_are_checked_by_name():
    with pytest.raises(SystemLoadError, match=r"unknown option `devise`.*did you mean `device`"):
        load_system("nano", devise="cpu")


def test_the_shipped_model_loads_by_name_and_names_its_weights():
    system = load_system("nano")
    try:
        assert len(system.describe()["weights_sha256"]) == 64
        reply = next(system.answer([Ask(id="a", clip=Clip(transcript="I am so happy"), form="direct")]))
        assert reply.error is None and reply.report.model == "nano" and reply.finish_reason in ("stop", "length")
    finally:
        system.close()


@pytest.mark.parametrize("wrong", [{"form": "json"}, {"max_tokens": 0}, {"temperature": -1.0}, {"clip": None}])
def test_an_ask_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="ask 'x'"):
        Ask(**({"id": "x", "clip": Clip(transcript="x")} | wrong))
