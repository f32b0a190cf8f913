"""Chat completions: the OpenAI form, whole and streamed, with the report on the message and on the last chunk."""

import base64
import json

import jsonschema
import pytest

from cuewise.mllm.json_answer import report_schema
from cuewise.mllm.report import EmotionReport, parse

ROUTE = "/v1/chat/completions"


def ask(video, text: str | None = None, **more) -> dict:
    url = f"data:video/mp4;base64,{base64.b64encode(video.read_bytes()).decode()}"
    parts = [{"type": "video_url", "video_url": {"url": url}}] + ([{"type": "text", "text": text}] if text else [])
    return {"model": "tiny", "messages": [{"role": "user", "content": parts}], **more}


def frames(answer) -> list:
    lines = [line for line in answer.text.split("\n\n") if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def test_the_report_rides_on_the_message(client, video):
    answer = client.post(ROUTE, json=ask(video, emotion={"form": "direct"})).json()
    message = answer["choices"][0]["message"]
    report = EmotionReport.model_validate(message["emotion"])
    assert message["content"] == report.text and "no diagnosis" in message["notice"]
    plain = client.post("/v1/emotion/analyze", files={"file": video.read_bytes()}, data={"form": "direct"}).json()
    assert plain["text"] == report.text and plain["distribution"] == pytest.approx(report.distribution, abs=1e-5)


def test_a_stream_is_the_whole_answer_in_pieces(client, video):
    whole = client.post(ROUTE, json=ask(video)).json()
    chunks = frames(client.post(ROUTE, json=ask(video, stream=True, stream_options={"include_usage": True})))
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert text == whole["choices"][0]["message"]["content"]
    last, usage = chunks[-2], chunks[-1]
    assert last["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert last["choices"][0]["delta"]["emotion"]["text"] == text == last["emotion"]["text"]
    assert usage["choices"] == [] and usage["usage"]["total_tokens"] == whole["usage"]["total_tokens"]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert len({c["id"] for c in chunks}) == 1 and all("usage" not in c for c in chunks[:-1])


def test_usage_counts_media_by_kind(client, video, sound):
    usage = client.post(ROUTE, json=ask(video, emotion={"form": "direct"})).json()["usage"]
    details = usage["prompt_tokens_details"]
    assert details["video_tokens"] > 0 and details["audio_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    data = base64.b64encode(sound.read_bytes()).decode()
    heard = client.post(ROUTE, json={"messages": [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}]}], "emotion": {"form": "direct"},
    }).json()["usage"]  # fmt: skip
    assert heard["prompt_tokens_details"]["video_tokens"] == 0


def test_text_alone_is_what_is_said_and_text_beside_a_clip_is_the_question(client, video):
    words = client.post(ROUTE, json={"messages": [{"role": "user", "content": "we won"}], "max_tokens": 4}).json()
    assert words["choices"][0]["message"]["emotion"]["streams"]["words"]["present"]
    standard = client.post(ROUTE, json=ask(video, max_tokens=4)).json()["usage"]
    asked = client.post(ROUTE, json=ask(video, "Is anybody pitch higher?", max_tokens=4)).json()
    assert not asked["choices"][0]["message"]["emotion"]["streams"]["words"]["present"]
    assert asked["usage"]["prompt_tokens"] != standard["prompt_tokens"]
    assert asked["choices"][0]["finish_reason"] == "length" and asked["usage"]["completion_tokens"] == 4


@pytest.mark.parametrize("form", ["explained", "direct"])
def test_a_json_object_is_the_usual_answer_in_json_also_when_streamed(client, video, form):
    body = ask(video, response_format={"type": "json_object"}, emotion={"form": form, "guided": True}, max_tokens=400)
    choice = client.post(ROUTE, json=body).json()["choices"][0]
    found, report = json.loads(choice["message"]["content"]), choice["message"]["emotion"]
    assert list(found) == list(report_schema(form == "explained")["properties"])
    if found["emotions"]:
        jsonschema.validate(found, report_schema(form == "explained"))
    assert found["emotions"] == [emotion["label"] for emotion in report["emotions"]]
    assert report["text"] == choice["message"]["content"] and report["form"] == form
    chunks = frames(client.post(ROUTE, json=body | {"stream": True}))
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == choice["message"]["content"]


def test_answers_are_held_to_a_callers_schema(client, video):
    schema = {"type": "object", "properties": {"mood": {"enum": ["up", "down"]}}, "required": ["mood"],
              "additionalProperties": False}  # fmt: skip
    wanted = {"type": "json_schema", "json_schema": {"name": "mood", "schema": schema, "strict": True}}
    answer = client.post(ROUTE, json=ask(video, response_format=wanted)).json()["choices"][0]
    assert json.loads(answer["message"]["content"])["mood"] in ("up", "down")
    assert answer["message"]["emotion"]["distribution"], "the heads are read whatever the form of the answer"


def test_a_guided_answer_is_in_the_form(client, video):
    answer = client.post(ROUTE, json=ask(video, emotion={"form": "direct", "guided": True}, max_tokens=300)).json()
    if answer["choices"][0]["finish_reason"] == "stop":
        assert parse(answer["choices"][0]["message"]["content"]).direct_ok


def test_a_sampled_answer_depends_on_its_seed_alone(client, video):
    def text(seed: int) -> str:
        body = ask(video, temperature=1.5, seed=seed, max_tokens=24)
        return client.post(ROUTE, json=body).json()["choices"][0]["message"]["content"]

    assert text(1) == text(1) and len({text(seed) for seed in range(4)}) > 1


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
BAD = [
    ({"messages": [{"role": "user", "content": "x"}], "emotion": {"statement": "s", "candidates": ["sad"]}},
     "invalid_request", "leave out candidates"),
    ({"messages": [{"role": "user", "content": "x"}], "emotion": {"statement": "s"},
      "response_format": {"type": "json_object"}}, "invalid_request", "leave out response_format"),
    ({"messages": []}, "invalid_request", "messages"),
    ({"messages": [{"role": "user"}]}, "nothing_to_analyze", "neither media nor text"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "invalid_request", "role"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, "invalid_request", "last message"),
    ({"messages": [{"role": "user", "content": [IMAGE, IMAGE]}]}, "too_many_media", "second picture"),
    ({"messages": [{"role": "user", "content": [IMAGE] * 5}]}, "too_many_media", "limits.media_items is 4"),
    ({"messages": [{"role": "system", "content": [IMAGE]}, {"role": "user", "content": "x"}]},
     "unsupported_modality", "system"),
    ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "invalid_request", "hologram"),
    ({"messages": [{"role": "user", "content": [IMAGE]}]}, "media_undecodable", "clip: no decoder"),
    ({"messages": [{"role": "user", "content": "x"}], "n": 2}, "invalid_request", "n"),
    ({"messages": [{"role": "user", "content": "x"}], "temperature": 9}, "invalid_request", "temperature"),
    ({"messages": [{"role": "user", "content": "x"}], "emotion": {"formm": 1}}, "invalid_request",
     "did you mean `emotion.form`?"),
    ({"messages": [{"role": "user", "content": "x"}], "response_format": {"type": "json_schema"}},
     "invalid_request", "json_schema"),
    ({"messages": [{"role": "user", "content": "x"}],
      "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "whatever"}}}},
     "invalid_schema", "whatever"),
    ({"messages": [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "doc"}}]}]},
     "unsupported_modality", "formats are"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "code", "part"), BAD)
@pytest.mark.parametrize("stream", [False, True])
def test_refusals_have_their_status_also_when_a_stream_was_asked_for(client, body, code, part, stream):
    answer = client.post(ROUTE, json=body | {"stream": stream})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == code, answer.text
    assert part in answer.json()["error"]["message"]
