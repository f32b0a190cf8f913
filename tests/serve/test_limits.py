"""Bodies, heads and logs: bounded, in one shape, and without what people sent."""

import logging
import socket
import time

import httpx
import pytest

ROUTE = "/v1/emotion/analyze"


def test_a_body_above_the_limit_is_refused_by_its_head(client):
    lines = [f"POST {ROUTE} HTTP/1.1", "Host: localhost", "Content-Type: application/json",
    f"Content-Length: {5 * 2**20}"]
    head = "\r\n".join([*lines, "", ""])
    with socket.create_connection((client.base_url.host, client.base_url.port), 30) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(65_536).decode()
    assert answer.startswith("HTTP/1.1 413") and "limits.body_mb is 4" in answer


def test_a_body_without_a_length_is_counted(address):
    def endless():
        for _ in range(10):
            yield b"x" * 2**20

    with httpx.Client(base_url=address, timeout=60) as client:
        try:
            answer = client.post(ROUTE, content=endless(), headers={"content-type": "application/json"})
        except httpx.WriteError:
            return  # refused while it was still being sent
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "payload_too_large"


def test_a_refusal_reaches_a_client_that_closes_and_sends_its_body_first(client):
    body = b"x" * 3_000_000
    head = f"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    for _ in range(10):
        with socket.create_connection((client.base_url.host, client.base_url.port), 30) as connection:
            connection.sendall(head.encode() + body)
            answer = b""
            while piece := connection.recv(65_536):  # a connection that is reset raises here
                answer += piece
        assert answer.startswith(b"HTTP/1.1 404") and b'"not_found"' in answer


def test_a_good_request_id_is_kept_and_a_bad_one_replaced(client):
    assert client.get("/healthz", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for bad in ("a b", "x" * 65, "<script>"):
        assert client.get("/healthz", headers={"x-request-id": bad}).headers["x-request-id"].startswith("req-")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", "[::2]:80", "0.0.0.0"]
)
def test_a_local_server_answers_to_local_names_only(client, host):
    answer = client.get("/v1/models", headers={"host": host})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "bad_host"


@pytest.mark.parametrize("host", ["localhost", "localhost:99", "127.0.0.1", "[::1]:8000"])
def test_local_names(client, host):
    assert client.get("/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/files/none", 404, "file_not_found"),
        ("GET", "/v1/models/none", 404, "model_not_found"),
    ],
)
def test_every_failure_has_the_same_shape(client, method, path, status, code):
    answer = client.request(method, path)
    assert answer.status_code == status and set(answer.json()) == {"error"}
    assert answer.json()["error"]["code"] == code and answer.headers["x-request-id"]


def test_logs_hold_no_words_media_names_or_keys(client, caplog, sound):
    with caplog.at_level(logging.DEBUG, logger="cuewise"):
        client.post(
            ROUTE, json={"transcript": "a very private sentence", "context": "privatecontext", "form": "direct"}
        )
        client.post(ROUTE, files={"file": ("privatename.wav", sound.read_bytes())}, data={"form": "direct"})
        client.post(
            ROUTE, json={"transcript": "x", "form": "privateform"}, headers={"authorization": "Bearer privatekey"}
        )
        limit = time.monotonic() + 30
        while "code=invalid_request" not in caplog.text and time.monotonic() < limit:
            time.sleep(0.01)  # a line is written when its answer is out
    text = caplog.text
    assert "/v1/emotion/analyze 200" in text and "code=invalid_request" in text
    assert "private" not in text


def test_metrics_count_what_happened(client):
    client.post(ROUTE, json={"transcript": "x", "form": "nonsense"})
    client.post(ROUTE, json={"transcript": "she won", "form": "direct"})
    text = client.get("/metrics").text
    for part in (
        'cuewise_requests_total{route="/v1/emotion/analyze",status="200"}',
        'cuewise_refusals_total{code="invalid_request"}',
        'cuewise_stage_seconds_count{stage="generate"}', 'cuewise_tokens_total{kind="completion"}',
        "cuewise_in_flight 0.0",
        "cuewise_engine_waiting 0.0", "cuewise_engine_running", "cuewise_engine_generated_tokens_total",
        'cuewise_attention{kernel="', "cuewise_encode_batch_count", "cuewise_first_token_seconds_count",
    ):  # fmt: skip
        assert part in text, part
