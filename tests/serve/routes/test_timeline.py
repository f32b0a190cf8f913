"""The timeline route: events in order, both formats, and errors where they belong."""

import json

import pytest

ROUTE = "/v1/emotion/timeline"
SHORT = {"form": "direct", "max_tokens": "4", "window_s": "1", "hop_s": "0.5"}


def events(answer) -> list[dict]:
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith("application/x-ndjson"):
        return [json.loads(line) for line in answer.text.splitlines()]
    *frames, done = [part.removeprefix("data: ") for part in answer.text.split("\n\n") if part.startswith("data: ")]
    assert done == "[DONE]"
    return [json.loads(frame) for frame in frames]


@pytest.mark.parametrize("how", [{"data": {"format": "ndjson"}}, {"headers": {"accept": "application/x-ndjson"}}, {}])
def test_segments_cover_the_clip_in_order(client, video, how):
    files = {"file": ("clip.mp4", video.read_bytes())}
    found = events(client.post(ROUTE, files=files, data=SHORT | how.get("data", {}), headers=how.get("headers")))
    segments = [event for event in found if event["type"] == "segment"]
    assert [s["start"] for s in segments] == [0.0, 0.5, 1.0] and segments[0]["end"] == 0.5
    assert segments[-1]["end"] == found[-1]["end"] == pytest.approx(1.5, abs=0.05)
    windows = [event for event in found if event["type"] == "window"]
    assert [w["start"] for w in windows][:2] == [0.0, 0.5] and windows[0]["report"]["duration"] == pytest.approx(1.0)
    rest = {"type": "end", "start": 0.0, "windows": len(windows), "segments": 3, "window_s": 1.0, "hop_s": 0.5}
    assert found[-1] == rest | {"end": found[-1]["end"]}
    first = next(i for i, event in enumerate(found) if event["type"] == "segment")
    assert found[first - 1]["type"] == "window" and first < len(found) - 2, "segments come while windows still run"


def test_a_span_is_a_timeline_of_that_span(client, sound):
    files = {"file": ("a.wav", sound.read_bytes())}
    found = events(client.post(ROUTE, files=files, data=SHORT | {"start": "0.2", "end": "1.0", "format": "ndjson"}))
    segments = [event for event in found if event["type"] == "segment"]
    assert (segments[0]["start"], segments[-1]["end"]) == (0.2, 1.0)


@pytest.mark.parametrize(
    ("data", "code", "part"),
    [({"transcript": "x"}, "invalid_request", "words"), ({"hop_s": "3"}, "invalid_request", "hop_s is 3"),
     ({"window_s": "0.1"}, "invalid_request", "window_s"), ({"start": "50"}, "media_bad_span", "nothing in the span")],
)  # fmt: skip
def test_refusals_have_their_status(client, video, data, code, part):
    answer = client.post(ROUTE, files={"file": ("clip.mp4", video.read_bytes())}, data=SHORT | data)
    assert answer.status_code == 400 and answer.json()["error"]["code"] == code
    assert part in answer.json()["error"]["message"]
    assert client.post(ROUTE, json={"words": [{"text": "x"}]}).json()["error"]["code"] == "nothing_to_analyze"
