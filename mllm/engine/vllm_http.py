"""A vLLM server over HTTP, started with `--enable-prompt-embeds`: rows travel as base64 of `torch.save`.

    engine = VllmHttpEngine("http://127.0.0.1:8000/v1", "backbone", embed, tokenizer, end_ids)

Each answer is a stream of its own, read by a thread. Only the standard library is used.
"""

import base64
import io
import json
import queue
import threading
import urllib.error
import urllib.request
from typing import Any

import torch
from torch import Tensor

from cuewise.mllm.engine.base import FinishReason
from cuewise.mllm.engine.remote import RemoteEngine
from cuewise.mllm.engine.sample import Sample

_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "abort": "cancelled"}
_Message = tuple[str, list[tuple[int, float | None]], FinishReason | None, str | None]


class VllmHttpEngine(RemoteEngine):
    """Adapter to `POST {url}/completions`; see `RemoteEngine` for the other arguments.

    Args:
        url: base address, ending in ``/v1``.
        model: name under which the server knows the backbone.
        key: sent as bearer token.
        timeout_s: longest silence of the server.
    """

    kind = "vllm-http"

    def __init__(
        self, url: str, model: str, *args: Any, key: str | None = None, timeout_s: float = 60.0, **options: Any
    ):
        super().__init__(*args, **options)
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"vllm-http: {url!r} is no address; give http://HOST:PORT/v1")
        self._url, self._model, self._key, self._timeout_s = url.rstrip("/"), model, key, timeout_s
        self._arrived: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._dropped: set[str] = set()

    def _send(self, name: str, rows: Tensor, sample: Sample) -> None:
        request = sample.ticket.request
        asked, schema = request.sampling, self.schema(request)
        packed = io.BytesIO()
        torch.save(rows.contiguous().clone(), packed)
        body: dict[str, Any] = {
            "model": self._model, "prompt": None, "prompt_embeds": base64.b64encode(packed.getvalue()).decode(),
            "temperature": asked.temperature, "top_p": asked.top_p, "top_k": asked.top_k or -1,
            "seed": asked.seed + sample.number, "max_tokens": sample.room, "stop_token_ids": sorted(self.end_ids),
            "presence_penalty": asked.presence_penalty, "frequency_penalty": asked.frequency_penalty,
            "ignore_eos": True, "stream": True, "return_token_ids": True,
        }  # fmt: skip
        if asked.logprobs:
            body["logprobs"] = 0
        if schema is not None:
            body["structured_outputs"] = {"json": schema, "disable_any_whitespace": True}
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        call = urllib.request.Request(f"{self._url}/completions", json.dumps(body).encode(), headers)
        threading.Thread(target=self._listen, args=(name, call), name=f"vllm {name}", daemon=True).start()

    def _drop(self, name: str) -> None:
        self._dropped.add(name)

    def _receive(self) -> list[_Message]:
        try:
            received = [self._arrived.get(timeout=0.05)]
        except queue.Empty:
            return []
        while not self._arrived.empty():
            received.append(self._arrived.get())
        return received

    def _listen(self, name: str, call: urllib.request.Request) -> None:
        """Read one stream to its end, or until nobody wants it; closing it makes the server stop."""
        try:
            with urllib.request.urlopen(call, timeout=self._timeout_s) as stream:
                for line in stream:
                    if name in self._dropped:
                        return
                    if not line.startswith(b"data:"):
                        continue
                    data = line[5:].strip()
                    if data == b"[DONE]":
                        break
                    message = _read_chunk(name, json.loads(data))
                    self._arrived.put(message)
                    if message[2] is not None:
                        return
            self._arrived.put((name, [], "error", "the stream ended before the answer did"))
        except urllib.error.HTTPError as error:
            self._arrived.put((name, [], "error", f"the server refused ({error.code}): {_said(error.read())}"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._arrived.put((name, [], "error", f"{type(error).__name__}: {error}"))
        finally:
            self._dropped.discard(name)


def _read_chunk(name: str, chunk: dict[str, Any]) -> _Message:
    """One event of the stream. Raises ValueError where token ids are missing."""
    if "error" in chunk:
        return name, [], "error", str(chunk["error"].get("message", chunk["error"]))
    if not chunk.get("choices"):
        return name, [], None, None
    choice = chunk["choices"][0]
    ids = choice.get("token_ids")
    if ids is None:
        if choice.get("text"):
            raise ValueError("the server sends no token_ids; it needs vLLM 0.11 or newer (`return_token_ids`)")
        ids = []
    scores = (choice.get("logprobs") or {}).get("token_logprobs") or [None] * len(ids)
    reason = choice.get("finish_reason")
    found = None if reason is None else _REASONS.get(reason, "error")
    return name, list(zip(ids, scores)), found, reason if found == "error" else None


def _said(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
