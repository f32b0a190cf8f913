"""An endpoint gets frames, sound and words, is asked within bounds, and its failures are replies in their place."""

import base64
import io
import time
import wave
from pathlib import Path

import endpoint
import media_samples
import numpy as np
import pytest
from PIL import Image

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.systems.base import Ask, SystemLoadError, load_system
from cuewise.mllm.systems.openai_endpoint import split_spec

SMALL = MediaConfig(num_frames=3, frame_size=64, detector="none")


def system(served, **options):
    return load_system(f"openai:some/model@{served.url}", media=SMALL, **options)


def question(body) -> str:
    return body["messages"][0]["content"][-1]["text"]


def test_frames_sound_and_words_arrive(monkeypatch):
    monkeypatch.setenv("TEST_KEY", "secret-1")
    tone = media_samples.tone(1.0)
    frames = media_samples.pattern(6, (96, 64))
    clip = Clip(frames=frames, fps=5.0, samples=tone, sample_rate=16_000, transcript="we won")
    ask = Ask(id="a", clip=clip, form="direct", candidates=("happy", "sad"), temperature=0.5, seed=9, max_tokens=11)
    with endpoint.serving(lambda body: "<answer>happy</answer>") as served:
        with system(served, api_key_env="TEST_KEY", extra={"top_p": 0.9}) as asked:
            reply = next(asked.answer([ask]))
            facts = asked.describe()
    body = served.requests[0]
    kinds = [part["type"] for part in body["messages"][0]["content"]]
    assert kinds == ["image_url"] * 3 + ["input_audio", "text"]
    picture = body["messages"][0]["content"][0]["image_url"]["url"]
    assert picture.startswith("data:image/jpeg;base64,")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.split(",")[1]))))
    assert shown.shape == (43, 64, 3) and shown.std() > 10
    data = base64.b64decode(body["messages"][0]["content"][3]["input_audio"]["data"])
    with wave.open(io.BytesIO(data)) as sound:
        heard = np.frombuffer(sound.readframes(sound.getnframes()), "<i2") / 32767
        assert sound.getframerate() == 16_000 and np.allclose(heard, tone, atol=1e-3)
    assert "we won" in question(body) and "happy, sad" in question(body)
    assert (body["model"], body["temperature"], body["seed"], body["max_tokens"]) == ("some/model", 0.5, 9, 11)
    assert body["top_p"] == 0.9 and served.headers[0]["authorization"] == "Bearer secret-1"
    assert reply.text == "<answer>happy</answer>" and reply.finish_reason == "stop"
    assert reply.usage == {"prompt_tokens": 7, "completion_tokens": 3} and reply.prompt.startswith("[3 frames] [sound")
    assert "secret-1" not in str(facts) and facts["kind"] == "openai" and facts["model"] == "some/model"


def test_absent_streams_are_not_sent():
    with endpoint.serving(lambda body: "x") as served, system(served, hears=False) as asked:
        sound = media_samples.tone(0.5)
        film = Clip(frames=media_samples.pattern(2, (96, 64)), fps=5.0, samples=sound, sample_rate=16_000)
        list(asked.answer([Ask(id="a", clip=Clip(transcript="hi \ud800")), Ask(id="b", clip=film)]))
    kinds = sorted([part["type"] for part in body["messages"][0]["content"]] for body in served.requests)
    assert kinds == [["image_url", "image_url", "text"], ["text"]]


def test_a_whole_file_is_sent_when_asked_and_frames_where_there_is_a_span(tmp_path):
    path = media_samples.write_video(tmp_path / "a.mp4", media_samples.pattern(20))
    with endpoint.serving(lambda body: "x") as served, system(served, whole_video=True) as asked:
        list(asked.answer([Ask(id="a", clip=Clip(path=path)), Ask(id="b", clip=Clip(path=path, start=0.2, end=0.6))]))
    whole, span = sorted((body["messages"][0]["content"] for body in served.requests), key=len)
    assert [part["type"] for part in whole] == ["video_url", "text"]
    assert base64.b64decode(whole[0]["video_url"]["url"].split(",")[1]) == path.read_bytes()
    assert [part["type"] for part in span] == ["image_url"] * 3 + ["text"]


def test_order_is_kept_and_requests_in_flight_are_bounded():
    def slow_first(body):
        time.sleep(0.15 if "number 0" in question(body) else 0.02)
        return question(body)

    asks = [Ask(id=str(i), clip=None, prompt=f"number {i}") for i in range(12)]
    with endpoint.serving(slow_first) as served, system(served, concurrency=3) as asked:
        replies = list(asked.answer(asks))
    assert [reply.id for reply in replies] == [str(i) for i in range(12)]
    assert [reply.text for reply in replies] == [f"number {i}" for i in range(12)]
    assert 2 <= served.most_in_flight <= 3


def test_failures_are_tried_again_then_become_errors_in_their_place(tmp_path):
    (tmp_path / "noise.mp4").write_bytes(b"this is no film")
    seen = []

    def flaky(body):
        seen.append(question(body))
        if question(body) == "busy":
            return (503, "later") if seen.count("busy") < 3 else "at last"
        return {"bad": (400, "no such field"), "who": (401, "no key"), "lost": (404, "no such model")}[question(body)]

    asks = [Ask(id=text, clip=None, prompt=text) for text in ("busy", "bad", "who", "lost")]
    asks.insert(1, Ask(id="noise", clip=Clip(path=tmp_path / "noise.mp4")))
    with endpoint.serving(flaky) as served, system(served, retries=3) as asked:
        replies = {reply.id: reply for reply in asked.answer(asks)}
    assert list(replies) == ["busy", "noise", "bad", "who", "lost"]
    assert replies["busy"].text == "at last" and seen.count("bad") == 1
    codes = {name: reply.error.code for name, reply in replies.items() if reply.error}
    assert codes == {"noise": "undecodable", "bad": "refused", "who": "unauthorized", "lost": "not_found"}


def test_a_silent_or_absent_endpoint_is_an_error_not_a_hang():
    def hang(body):
        time.sleep(1.0)
        return "late"

    with endpoint.serving(hang) as served, system(served, retries=0, timeout_s=0.2) as asked:
        assert next(asked.answer([Ask(id="a", clip=None, prompt="x")])).error.code == "timeout"
    with system(served, retries=0) as asked:
        assert next(asked.answer([Ask(id="a", clip=None, prompt="x")])).error.code == "unreachable"


def test_specs_may_hold_slashes_colons_and_at_signs():
    assert split_spec("openai:org/a@b:7b@http://h:1/v1") == ("org/a@b:7b", "http://h:1/v1")
    for wrong in ("openai:model", "openai:@http://h/v1", "openai:model@ftp://h"):
        with pytest.raises(SystemLoadError, match="openai:MODEL@http"):
            split_spec(wrong)


def test_the_page_names_every_family():
    from cuewise.mllm.systems.adapters import ADAPTERS

    page = (Path(__file__).parents[3] / "docs" / "systems.md").read_text(encoding="utf-8")
    assert not [kind for kind in ADAPTERS if f"`{kind}`" not in page and not kind.endswith("_thinker")]


def test_options_are_checked_by_name():
    with pytest.raises(SystemLoadError, match=r"unknown option `device`.*concurrency"):
        load_system("openai:m@http://127.0.0.1:1/v1", device="cpu")


def test_a_key_that_was_asked_for_must_be_there(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(SystemLoadError, match="NO_SUCH_KEY holds no API key"):
        load_system("openai:m@http://127.0.0.1:1/v1", api_key_env="NO_SUCH_KEY")


@pytest.mark.slow
def test_its_answers_become_reports():
    text = '<think>\n[words] "we won" => happy\n</think>\n<answer>happy</answer>'
    with endpoint.serving(lambda body: text) as served, system(served, reports=True) as asked:
        report = next(asked.answer([Ask(id="a", clip=Clip(transcript="we won today"))])).report
    assert report.form == "explained" and [e.label for e in report.emotions] == ["happy"]
    assert report.cues[0].check.verdict == "supported" and report.model == "some/model"
