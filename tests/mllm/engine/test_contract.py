"""What every engine promises. A faster engine joins by one line in ENGINES."""

import pytest
import torch

from cuewise.mllm.engine.base import EngineRequest, SamplingParams, collect
from cuewise.mllm.engine.sequential import SequentialEngine
from cuewise.mllm.engine.slot import SlotEngine
from cuewise.mllm.engine.static import StaticEngine

ENGINES = {"sequential": SequentialEngine, "slot": SlotEngine, "static": StaticEngine}
END = 257


@pytest.fixture(params=ENGINES)
def engine(request, decoder, tokenizer):
    engine = ENGINES[request.param](decoder, tokenizer, end_ids=[END], max_length=512)
    yield engine
    engine.close()


def prompts(count: int, vocabulary: int = 256) -> list[list[int]]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randint(0, vocabulary, (5 + 3 * i,), generator=generator).tolist() for i in range(count)]


def test_greedy_answers_equal_generate(engine, decoder):
    asked = prompts(4)
    greedy = SamplingParams(max_tokens=12)
    requests = [EngineRequest(id=str(i), segments=[prompt], sampling=greedy) for i, prompt in enumerate(asked)]
    answers = collect(engine.generate(requests))
    for i, prompt in enumerate(asked):
        want = decoder.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False)[0, len(prompt) :].tolist()
        want = want[: want.index(END)] if END in want else want
        assert answers[str(i), 0].token_ids == want


def test_embedding_rows_equal_token_ids(engine, decoder):
    prompt = prompts(1)[0]
    rows = decoder.get_input_embeddings()(torch.tensor(prompt[2:])).detach()
    ask = [EngineRequest(id="ids", segments=[prompt]), EngineRequest(id="rows", segments=[prompt[:2], rows])]
    answers = collect(engine.generate(ask))
    assert answers["ids", 0].token_ids == answers["rows", 0].token_ids


def test_a_sampled_answer_depends_on_its_seed_only(engine):
    sampling = SamplingParams(temperature=1.0, top_p=0.9, top_k=50, seed=11, max_tokens=16)
    alone = collect(engine.generate([EngineRequest(id="a", segments=[prompts(1)[0]], sampling=sampling)]))["a", 0]
    others = [EngineRequest(id=f"o{i}", segments=[p], sampling=SamplingParams(temperature=1.0, seed=i))
              for i, p in enumerate(prompts(3))]  # fmt: skip
    crowd = collect(engine.generate([*others, EngineRequest(id="a", segments=[prompts(1)[0]], sampling=sampling)]))
    assert crowd["a", 0].token_ids == alone.token_ids


def test_samples_of_a_group_equal_single_requests_with_their_seeds(engine):
    prompt, sampling = prompts(2)[1], {"temperature": 1.0, "max_tokens": 10}
    group = collect(engine.generate([EngineRequest(id="g", segments=[prompt], n=3,
                                                   sampling=SamplingParams(seed=5, **sampling))]))  # fmt: skip
    for i in range(3):
        single = EngineRequest(id="s", segments=[prompt], sampling=SamplingParams(seed=5 + i, **sampling))
        assert collect(engine.generate([single]))["s", 0].token_ids == group["g", i].token_ids
    assert len({tuple(group["g", i].token_ids) for i in range(3)}) > 1


def test_streamed_text_is_the_decoded_answer(engine, tokenizer):
    request = EngineRequest(id="t", segments=[prompts(3)[2]], sampling=SamplingParams(temperature=2.0, max_tokens=60))
    answer = collect(engine.generate([request]))["t", 0]
    assert answer.text == tokenizer.decode(answer.token_ids)
    assert answer.finish_reason in ("stop", "length")


def test_stop_text_ends_the_answer_and_is_not_part_of_it(engine):
    request = EngineRequest(id="t", segments=[prompts(1)[0]], sampling=SamplingParams(temperature=1.5, max_tokens=60))
    free = collect(engine.generate([request]))["t", 0].text
    stop = free[10:13]
    sampling = SamplingParams(temperature=1.5, max_tokens=60, stop=(stop,))
    stopped = collect(engine.generate([EngineRequest(id="t", segments=[prompts(1)[0]], sampling=sampling)]))["t", 0]
    assert stopped.text == free[: free.index(stop)]
    assert stopped.finish_reason == "stop"


def test_log_probabilities_are_those_of_the_model(engine, decoder):
    prompt = prompts(1)[0]
    request = EngineRequest(id="l", segments=[prompt], sampling=SamplingParams(max_tokens=5, logprobs=True))
    answer = collect(engine.generate([request]))["l", 0]
    with torch.inference_mode():
        logits = decoder(torch.tensor([prompt + answer.token_ids])).logits[0, len(prompt) - 1 : -1]
    want = logits.log_softmax(-1).gather(1, torch.tensor(answer.token_ids)[:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(answer.logprobs), want, atol=1e-4, rtol=1e-4)


def test_cancel_ends_a_request_and_lets_the_others_finish(engine):
    ids = ["a", "b", "c"]
    for i, name in enumerate(ids):
        engine.submit(EngineRequest(id=name, segments=[prompts(3)[i]], sampling=SamplingParams(max_tokens=6)))
    first = engine.step()
    assert engine.cancel("a") and not engine.cancel("nobody")
    rest = []
    while events := engine.step():
        rest += events
    answers = collect([*first, *rest])
    assert answers["a", 0].finish_reason == "cancelled"
    assert answers["b", 0].finish_reason and answers["c", 0].finish_reason != "cancelled"
    assert engine.stats().waiting == engine.stats().running == 0


def test_a_passed_deadline_ends_the_request(engine):
    request = EngineRequest(id="late", segments=[prompts(1)[0]], deadline_s=0.0)
    assert collect(engine.generate([request]))["late", 0].finish_reason == "deadline"


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([[1, 2, 9999]], r"token ids must lie in 0\.\.259"),
        ([torch.zeros(3, 7)], r"needs \[n, 32\]"),
        ([torch.full((3, 32), torch.nan)], "not finite"),
        ([[]], "prompt of 0 tokens"),
        ([[1] * 600], r"prompt of 600 tokens, allowed are 1\.\.511"),
    ],
)
def test_an_impossible_prompt_is_refused_before_it_runs(engine, segments, message):
    with pytest.raises(ValueError, match=message):
        engine.submit(EngineRequest(id="bad", segments=segments))


@pytest.mark.parametrize(
    "options", [{"temperature": -1}, {"top_p": 0}, {"top_k": -2}, {"max_tokens": 0}, {"stop": ("",)}]
)
def test_impossible_sampling_options_are_named(options):
    with pytest.raises(ValueError, match=f"sampling.{next(iter(options))}"):
        SamplingParams(**options)
