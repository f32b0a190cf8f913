"""Several attempts behind the routes: bounded by the request and the server, none when the first answer passes."""

import pytest

from cuewise.serve.errors import ApiError

ROUTE, CHAT = "/v1/emotion/analyze", "/v1/chat/completions"


def chat(client, **emotion) -> dict:
    body = {"messages": [{"role": "user", "content": "we won"}], "max_tokens": 24, "emotion": emotion}
    answer = client.post(CHAT, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_malformed_answer_is_tried_again_up_to_the_limit_and_costs_are_told(client):
    once, thrice = chat(client, form="explained"), chat(client, form="explained", tries=3)
    assert once["choices"][0]["message"]["emotion"]["problems"]
    assert thrice["usage"]["completion_tokens"] > once["usage"]["completion_tokens"]
    timing = thrice["choices"][0]["message"]["emotion"]["timing_ms"]
    assert timing["retries"] > 0 and "retries" not in once["choices"][0]["message"]["emotion"]["timing_ms"]
    assert timing["total"] == pytest.approx(sum(value for name, value in timing.items() if name != "total"), abs=0.2)


@pytest.mark.parametrize("code", ["prompt_too_long", "overloaded", "deadline"])
def test_a_later_attempt_that_cannot_be_made_leaves_the_first_answer(client, monkeypatch, code):
    from cuewise.serve import retrying

    last, calls = retrying._last, []

    async def fails_later(pieces):
        calls.append(pieces)
        if len(calls) > 1:
            await pieces.aclose()
            raise ApiError(code, "not this time")
        return await last(pieces)

    once = chat(client, form="explained")
    monkeypatch.setattr(retrying, "_last", fails_later)
    thrice = chat(client, form="explained", tries=3)
    assert len(calls) == 2 and thrice["usage"]["completion_tokens"] == once["usage"]["completion_tokens"]
    assert thrice["choices"][0]["message"]["content"] == once["choices"][0]["message"]["content"]
    timing = thrice["choices"][0]["message"]["emotion"]["timing_ms"]
    assert timing["total"] == pytest.approx(sum(value for name, value in timing.items() if name != "total"), abs=0.2)
    calls.append("so that the first one fails")
    answer = client.post(ROUTE, json={"transcript": "we won", "tries": 3})
    assert answer.json()["error"]["code"] == code


def test_an_answer_that_passes_at_once_is_the_same_as_without(client, monkeypatch):
    monkeypatch.setattr("cuewise.serve.retrying.report_errors", lambda *_: [])
    once, thrice = chat(client, form="direct"), chat(client, form="direct", tries=3)
    assert thrice["usage"]["completion_tokens"] == once["usage"]["completion_tokens"]
    assert thrice["choices"][0]["message"]["content"] == once["choices"][0]["message"]["content"]


def test_a_stream_gives_the_text_whole_when_it_is_decided(client):
    body = {"messages": [{"role": "user", "content": "we won"}], "max_tokens": 24, "stream": True,
            "emotion": {"form": "explained", "tries": 2}}  # fmt: skip
    whole = chat(client, form="explained", tries=2)["choices"][0]["message"]["content"]
    with client.stream("POST", CHAT, json=body) as answer:
        lines = [line[6:] for line in answer.iter_lines() if line.startswith("data: {")]
    import json

    pieces = [json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines]
    assert "".join(pieces) == whole


def test_more_attempts_than_the_server_allows_are_refused(client):
    answer = client.post(ROUTE, json={"transcript": "x", "tries": 9})
    assert answer.status_code == 400 and "retry.tries is 3" in answer.json()["error"]["message"]
