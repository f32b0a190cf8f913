"""Several attempts behind the routes: bounded by the request and the server, none when the first answer passes."""

import pytest

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
