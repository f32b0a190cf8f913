"""The adapters to vLLM. The HTTP one talks to a small server of this test that speaks the documented protocol."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import pytest
import torch

from cuewise.mllm.engine.base import EngineRequest, SamplingParams, collect
from cuewise.mllm.engine.grammar import report_grammar
from cuewise.mllm.engine.sequential import SequentialEngine
from cuewise.mllm.engine.vllm_http import VllmHttpEngine

END = 257


@pytest.fixture
def server(decoder, tokenizer):
    """`POST /v1/completions` with prompt embeddings, answered by the sequential engine, one request at a time."""
    lock, seen = threading.Lock(), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            rows = torch.load(io.BytesIO(base64.b64decode(body["prompt_embeds"])), weights_only=True)
            seen.append(body | {"rows": rows, "path": self.path, "key": self.headers.get("Authorization")})
            if body["model"] != "backbone":
                return self.refuse(404, f"The model `{body['model']}` does not exist.")
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.answer(body, rows)

        def refuse(self, status, message):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"error": {"message": message, "code": status}}).encode())

        def answer(self, body, rows):
            sampling = SamplingParams(
                temperature=body["temperature"], top_p=body["top_p"], top_k=max(0, body["top_k"]), seed=body["seed"],
                max_tokens=body["max_tokens"], logprobs="logprobs" in body,
            )  # fmt: skip
            with lock:
                engine = SequentialEngine(decoder, tokenizer, body["stop_token_ids"], 512)
                events = list(engine.generate([EngineRequest(id="x", segments=[rows], sampling=sampling)]))
            for event in events:
                ids = [] if event.token_id is None else [event.token_id]
                scores = {"token_logprobs": [event.logprob] * len(ids)} if "logprobs" in body else None
                self.say({"choices": [{"index": 0, "text": "", "token_ids": ids, "logprobs": scores,
                                       "finish_reason": event.finish_reason}]})  # fmt: skip
            self.say("[DONE]")

        def say(self, message):
            data = message if isinstance(message, str) else json.dumps(message)
            self.wfile.write(f"data: {data}\n\n".encode())
            self.wfile.flush()

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_address[1]}/v1", seen
    http.shutdown()
    http.server_close()


@pytest.fixture
def engine(server, decoder, tokenizer):
    engine = VllmHttpEngine(server[0], "backbone", decoder.get_input_embeddings(), tokenizer, [END], 512, key="secret")
    yield engine
    engine.close()


def mixed() -> list[EngineRequest]:
    rows = torch.randn(6, 32, generator=torch.Generator().manual_seed(2))
    return [
        EngineRequest(id="ids", segments=[[1, 2, 3]], sampling=SamplingParams(max_tokens=12, logprobs=True)),
        EngineRequest(id="rows", segments=[[4], rows, [5, 6]], sampling=SamplingParams(max_tokens=9)),
        EngineRequest(id="group", segments=[rows], n=3,
                      sampling=SamplingParams(temperature=1.0, top_p=0.9, top_k=40, seed=7, max_tokens=8)),
    ]  # fmt: skip


def test_answers_over_http_equal_the_engine_here(engine, decoder, tokenizer, server):
    want = collect(SequentialEngine(decoder, tokenizer, [END], 512).generate(mixed()))
    got = collect(engine.generate(mixed()))
    assert {key: (a.token_ids, a.text) for key, a in got.items()} == {
        key: (a.token_ids, a.text) for key, a in want.items()
    }
    assert got["ids", 0].logprobs == pytest.approx(want["ids", 0].logprobs)
    assert {body["path"] for body in server[1]} == {"/v1/completions"}
    assert {body["key"] for body in server[1]} == {"Bearer secret"}
    assert all(body["rows"].dtype == torch.float32 and body["rows"].shape[1] == 32 for body in server[1])


def test_a_stop_text_ends_the_answer_here(engine):
    free = collect(engine.generate(mixed()[:1]))["ids", 0].text
    request = mixed()[0]
    request.sampling = SamplingParams(max_tokens=12, stop=(free[4:6],))
    stopped = collect(engine.generate([request]))["ids", 0]
    assert stopped.text == free[: free.index(free[4:6])] and stopped.finish_reason == "stop"


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        (torch.zeros(2, 31), r"needs \[n, 32\]"), (torch.zeros(32), r"needs \[n, 32\]"),
        (torch.zeros(2, 32, dtype=torch.long), "give floats"), (torch.full((2, 32), torch.inf), "not finite"),
        ([260], r"0\.\.259"),
    ],
)  # fmt: skip
def test_what_would_end_the_server_is_never_sent(engine, server, segment, message):
    with pytest.raises(ValueError, match=message):
        engine.submit(EngineRequest(id="bad", segments=[segment]))
    assert not server[1] and engine.stats().waiting == 0


def test_rows_travel_in_the_dtype_of_the_server(server, decoder, tokenizer):
    engine = VllmHttpEngine(server[0], "nobody", decoder.get_input_embeddings(), tokenizer, [END],
                            dtype=torch.bfloat16)  # fmt: skip
    collect(engine.generate(mixed()[:2]))
    assert {body["rows"].dtype for body in server[1]} == {torch.bfloat16}


def test_grammars_that_the_server_cannot_follow_are_refused(engine):
    ask = EngineRequest(id="g", segments=[[1]], grammar=report_grammar("direct", None, []))
    with pytest.raises(ValueError, match="follows JSON schemas only"):
        engine.submit(ask)


def test_a_refusal_of_the_server_is_an_error_of_that_request(server, decoder, tokenizer):
    engine = VllmHttpEngine(server[0], "nobody", decoder.get_input_embeddings(), tokenizer, [END])
    answer = collect(engine.generate(mixed()[:1]))["ids", 0]
    assert answer.finish_reason == "error"
    assert answer.error == "the server refused (404): The model `nobody` does not exist."


def test_a_server_that_is_not_there_is_an_error_of_that_request(decoder, tokenizer):
    engine = VllmHttpEngine("http://127.0.0.1:9/v1", "backbone", decoder.get_input_embeddings(), tokenizer, [END])
    assert "refused" in collect(engine.generate(mixed()[:1]))["ids", 0].error
    with pytest.raises(ValueError, match="is no address"):
        VllmHttpEngine("localhost", "backbone", decoder.get_input_embeddings(), tokenizer, [END])


def test_vllm_that_is_not_installed_says_what_to_do(decoder, tokenizer):
    from cuewise.mllm.engine.vllm_local import VllmLocalEngine

    if find_spec("vllm"):
        pytest.skip("vLLM is installed")
    with pytest.raises(ImportError, match="an environment of its own, or use `vllm-http`"):
        VllmLocalEngine.load("folder", decoder.get_input_embeddings(), tokenizer, [END])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM")
def test_answers_of_vllm_in_this_process_equal_the_engine_here(decoder, tokenizer, tmp_path):
    from cuewise.mllm.engine.vllm_local import VllmLocalEngine

    decoder.save_pretrained(tmp_path)
    engine = VllmLocalEngine.load(str(tmp_path), decoder.get_input_embeddings(), tokenizer, [END], 256,
                                  engine_options={"dtype": "float32", "max_model_len": 256})  # fmt: skip
    want = collect(SequentialEngine(decoder, tokenizer, [END], 256).generate(mixed()[:2]))
    got = collect(engine.generate(mixed()[:2]))
    assert {key: a.token_ids for key, a in got.items()} == {key: a.token_ids for key, a in want.items()}
