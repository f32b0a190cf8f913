"""What the slot engine promises beyond the contract of every engine."""

import logging

import pytest
import torch
from tiny import tiny_model, tiny_tokenizer
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from cuewise.mllm.attention import NAME, choose
from cuewise.mllm.engine.base import EngineRequest, SamplingParams, collect
from cuewise.mllm.engine.build import build_engine, slot_obstacle
from cuewise.mllm.engine.errors import QueueFull
from cuewise.mllm.engine.kv import row_groups
from cuewise.mllm.engine.sequential import SequentialEngine
from cuewise.mllm.engine.slot import SlotEngine
from cuewise.mllm.engine.static import StaticEngine

END = 257


@pytest.fixture
def make(decoder, tokenizer):
    return lambda **sizes: SlotEngine(decoder, tokenizer, [END], 512, **sizes)


def mixed(count: int, seed: int = 1, **sampling) -> list[EngineRequest]:
    """Prompts of 1 to 150 tokens, half as embedding rows of their own; answers of 1 to 40 tokens."""
    draw, requests = torch.Generator().manual_seed(seed), []
    for i in range(count):
        size, answer = (int(torch.randint(1, top, (1,), generator=draw)) for top in (150, 40))
        ids = torch.randint(0, 256, (size,), generator=draw).tolist()
        rows = torch.randn(size, 32, generator=draw)
        options = SamplingParams(max_tokens=answer, seed=i, **sampling)
        requests.append(EngineRequest(id=f"m{i}", segments=[ids[:3], rows] if i % 2 else [ids], sampling=options))
    return requests


def texts(answers) -> dict:
    return {key: (answer.token_ids, answer.finish_reason) for key, answer in answers.items()}


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0, "top_p": 0.95}], ids=["greedy", "sampled"])
@pytest.mark.parametrize(
    "sizes", [{}, {"slots": 3, "chunk": 7, "pack": 20, "bucket": 5}, {"slots": 1}, {"max_tokens": 200, "slots": 5}],
    ids=["default", "tight", "one-slot", "budget"],
)  # fmt: skip
def test_every_size_gives_the_answers_of_the_sequential_engine(make, decoder, tokenizer, sizes, sampling):
    want = collect(SequentialEngine(decoder, tokenizer, [END], 512).generate(mixed(14, **sampling)))
    assert texts(collect(make(**sizes).generate(mixed(14, **sampling)))) == texts(want)


@pytest.mark.parametrize("llm", ["qwen3", "llama", "gpt2"])
def test_our_own_model_runs_in_slots(llm):
    model, tokenizer = tiny_model(llm=llm), tiny_tokenizer()
    assert slot_obstacle(model) is None
    requests = [EngineRequest(id=str(i), segments=[[5 + i] * (3 + 9 * i)], sampling=SamplingParams(max_tokens=20))
                for i in range(5)]  # fmt: skip
    end = [model.config.tokens["end"]]
    want = collect(SequentialEngine(model, tokenizer, end, 400).generate(requests))
    assert texts(collect(build_engine(model, tokenizer, end, 400).generate(requests))) == texts(want)


def test_packed_attention_gives_the_same_answers(tokenizer):
    model = tiny_model().language_model
    requests = mixed(10)
    want = collect(build_engine(model, tokenizer, [END], 400).generate(requests))
    choose("auto", "cpu")
    model.set_attn_implementation(NAME)
    assert slot_obstacle(model) is None
    assert texts(collect(SlotEngine(model, tokenizer, [END], 400, chunk=40, pack=90).generate(requests))) == texts(want)


def test_groups_of_rows_hold_every_row_once_and_see_all_it_has():
    draw = torch.Generator().manual_seed(4)
    for _ in range(50):
        lengths = torch.randint(0, 900, (int(torch.randint(1, 20, (1,), generator=draw)),), generator=draw).tolist()
        groups = row_groups(lengths, 32)
        assert [row for low, high, _ in groups for row in range(low, high)] == list(range(len(lengths)))
        assert all(seen > lengths[row] and seen % 32 == 0 for low, high, seen in groups for row in range(low, high))
    assert row_groups([100] * 15 + [2000], 32) == [(0, 15, 128), (15, 16, 2016)]


def test_a_group_reads_its_prompt_once(make):
    engine = make(slots=4)
    request = mixed(1)[0]
    request.n, request.sampling = 11, SamplingParams(temperature=1.0, max_tokens=9)
    assert len(collect(engine.generate([request]))) == 11
    assert engine.stats().prompt_tokens == sum(map(len, request.segments))
    assert engine.stats().finished == 1


def test_a_prompt_asked_again_is_recalled_by_content(make):
    engine, requests = make(), mixed(4)
    first = collect(engine.generate(requests))
    again = collect(engine.generate(mixed(4)))
    assert texts(again) == texts(first)
    assert all(answer.timing.cached_tokens == answer.timing.prompt_tokens for answer in again.values())
    assert all(answer.timing.cached_tokens == 0 for answer in first.values())


def test_a_shared_beginning_is_recalled_and_changes_nothing(make, decoder, tokenizer):
    rows = torch.randn(90, 32, generator=torch.Generator().manual_seed(5))
    asks = [EngineRequest(id=name, segments=[rows, ids], sampling=SamplingParams(max_tokens=12))
            for name, ids in (("a", [1, 2, 3]), ("b", [9] * 40))]  # fmt: skip
    engine = make()
    answers = {name: collect(engine.generate([ask]))[name, 0] for name, ask in zip("ab", asks)}
    want = collect(SequentialEngine(decoder, tokenizer, [END], 512).generate(asks))
    assert answers["b"].timing.cached_tokens == 64
    assert answers["b"].token_ids == want["b", 0].token_ids


def test_another_clip_or_another_key_recalls_nothing(make):
    engine = make()
    rows = torch.randn(70, 32, generator=torch.Generator().manual_seed(5))
    other = rows.clone()
    other[0, 0] += 1e-3
    for name, segment, key in (("a", rows, ""), ("b", other, ""), ("c", rows, "tenant")):
        ask = EngineRequest(id=name, segments=[segment], prefix_key=key, sampling=SamplingParams(max_tokens=2))
        assert collect(engine.generate([ask]))[name, 0].timing.cached_tokens == 0


def test_the_prompt_cache_stays_within_its_bound(make):
    engine = make(prefix_tokens=200)
    for seed in range(6):
        collect(engine.generate(mixed(4, seed)))
        assert engine.stats().prefix_tokens <= 200
    assert engine.stats().prefix_tokens > 0


def poisoned(decoder, token: int):
    """The decoder fails whenever this token is among its inputs."""
    row = decoder.get_input_embeddings().weight[token]

    def check(_, args, kwargs):
        if (kwargs["inputs_embeds"] == row).all(-1).any():
            raise RuntimeError("the poison was swallowed")

    return decoder.register_forward_pre_hook(check, with_kwargs=True)


def test_one_request_that_fails_while_written_fails_alone(make, decoder):
    requests = [EngineRequest(id=f"p{i}", segments=[[i, i + 1, i + 2]], sampling=SamplingParams(max_tokens=12))
                for i in range(16)]  # fmt: skip
    want = texts(collect(make().generate(requests)))
    seen = {token: [key for key, (ids, _) in want.items() if token in ids[:-1]] for token in range(256)}
    victim_token, victims = next((token, keys) for token, keys in seen.items() if len(keys) == 1 and token > 20)
    hook = poisoned(decoder, victim_token)
    try:
        engine = make()
        got = collect(engine.generate(requests))
    finally:
        hook.remove()
    failed = [key for key, answer in got.items() if answer.finish_reason == "error"]
    assert failed == victims and "poison" in got[victims[0]].error
    assert {key: value for key, value in texts(got).items() if key not in failed} == {
        key: value for key, value in want.items() if key not in failed
    }
    assert engine.stats().failed == 1 and engine.stats().running == 0


def test_one_prompt_that_fails_while_read_fails_alone(make, decoder):
    hook = poisoned(decoder, 200)
    one = SamplingParams(max_tokens=1)
    try:
        requests = [EngineRequest(id=f"r{i}", segments=[[i] * 10 + [200] * (i == 3)], sampling=one) for i in range(8)]
        got = collect(make().generate(requests))
    finally:
        hook.remove()
    assert [key[0] for key, answer in got.items() if answer.finish_reason == "error"] == ["r3"]


@pytest.mark.parametrize("where", ["prompt", "answer"])
def test_a_row_that_overflows_fails_alone_and_leaves_no_trace(make, decoder, where):
    """Finite rows can still become NaN inside the model; neither neighbours nor the next in the slot may see it."""
    requests = [EngineRequest(id=f"p{i}", segments=[[i, i + 1, i + 2] * 9], sampling=SamplingParams(max_tokens=12))
                for i in range(9)]  # fmt: skip
    want = texts(collect(make().generate(requests)))
    written = {token: [k for k, (ids, _) in want.items() if token in ids[:-1]] for token in range(20, 256)}
    token, victim = next((token, keys[0]) for token, keys in written.items() if len(keys) == 1)
    if where == "prompt":
        token, victim = 5, ("p5", 0)
        requests = requests[:3] + requests[5:]
        requests[3].segments = [[5] * 20]
        want = texts(collect(make().generate(requests)))
        requests = [r for r in requests if 5 not in want[r.id, 0][0] or r.id == "p5"]
    row = decoder.get_input_embeddings().weight[token]

    def overflow(_, args, kwargs):
        rows = kwargs["inputs_embeds"]
        return args, kwargs | {"inputs_embeds": rows.masked_fill((rows == row).all(-1, keepdim=True), torch.nan)}

    hook = decoder.register_forward_pre_hook(overflow, with_kwargs=True)
    try:
        got = collect(make(slots=2, prefix_tokens=0).generate(requests))
    finally:
        hook.remove()
    assert "finite" in got.pop(victim).error
    assert texts(got) == {key: want[key] for key in got} and len(got) == len(requests) - 1


def test_one_of_sixteen_poisoned_requests_is_refused_and_the_rest_are_answered(make):
    engine = make()
    bad = [
        EngineRequest(id="width", segments=[torch.zeros(2, 31)]),
        EngineRequest(id="nan", segments=[torch.full((2, 32), torch.nan)]),
        EngineRequest(id="id", segments=[[10**9]]),
        EngineRequest(id="dtype", segments=[torch.zeros(2, 32, dtype=torch.long)]),
        EngineRequest(id="schema", segments=[[1]], grammar={"type": "object", "not": {}}),
    ]
    for request in bad:
        with pytest.raises(ValueError):
            engine.submit(request)
    assert len(collect(engine.generate(mixed(15)))) == 15


def test_a_full_queue_refuses_and_recovers(make):
    engine = make(max_waiting=3)
    for request in mixed(3):
        engine.submit(request)
    with pytest.raises(QueueFull, match="3 requests wait already"):
        engine.submit(EngineRequest(id="late", segments=[[1]]))
    while engine.step():
        pass
    engine.submit(EngineRequest(id="late", segments=[[1]]))


def test_priority_starts_first(make):
    engine = make(slots=1)
    for i, request in enumerate(mixed(4)):
        request.priority = i
        engine.submit(request)
    order = []
    while events := engine.step():
        order += [event.request_id for event in events if event.finish_reason]
    assert order == ["m3", "m2", "m1", "m0"]


def test_cancelling_while_the_prompt_is_read_frees_everything(make):
    engine = make(chunk=8, pack=8)
    engine.submit(EngineRequest(id="runs", segments=[[1, 2]], sampling=SamplingParams(max_tokens=60)))
    engine.step()
    engine.submit(EngineRequest(id="long", segments=[[3] * 300]))
    engine.step()
    assert engine.stats().running == 2
    assert engine.cancel("long") and not engine.cancel("long")
    rest = []
    while events := engine.step():
        rest += events
    assert collect(rest)["long", 0].finish_reason == "cancelled"
    assert engine.stats().running == 0 and engine.stats().finished == 2


def test_a_long_prompt_does_not_stop_the_others(make):
    engine = make(chunk=16, pack=16)
    engine.submit(EngineRequest(id="runs", segments=[[1, 2]], sampling=SamplingParams(max_tokens=200)))
    engine.step()
    engine.submit(EngineRequest(id="long", segments=[[3] * 300]))
    before, events = 0, []
    while not any(event.request_id == "long" for event in events):
        before += sum(event.request_id == "runs" for event in events)
        events = engine.step()
    assert before >= 300 // 16


def test_models_with_another_kind_of_cache_fall_back_and_say_so(tokenizer, caplog):
    config = Gemma3TextConfig(vocab_size=260, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                              num_attention_heads=4, num_key_value_heads=2, head_dim=8, sliding_window=8)  # fmt: skip
    model = Gemma3ForCausalLM(config).eval()
    with caplog.at_level(logging.WARNING):
        engine = build_engine(model, tokenizer, [END], 128, slots=3)
    assert isinstance(engine, StaticEngine)
    assert "gemma3_text cannot run on the slot engine (its cache has DynamicSlidingWindowLayer)" in caplog.text
    requests = [EngineRequest(id=str(i), segments=[[7 + i] * (4 + 5 * i)], sampling=SamplingParams(max_tokens=12))
                for i in range(5)]  # fmt: skip
    want = collect(SequentialEngine(model, tokenizer, [END], 128).generate(requests))
    assert texts(collect(engine.generate(requests))) == texts(want)


def test_a_failing_static_batch_is_split_until_one_request_fails(decoder, tokenizer):
    requests = [EngineRequest(id=f"r{i}", segments=[[i] * 10 + [200] * (i == 3)],
                              sampling=SamplingParams(max_tokens=3)) for i in range(8)]  # fmt: skip
    hook = poisoned(decoder, 200)
    try:
        got = collect(StaticEngine(decoder, tokenizer, [END], 512).generate(requests))
    finally:
        hook.remove()
    assert [key[0] for key, answer in got.items() if answer.finish_reason == "error"] == ["r3"]


def test_an_unknown_engine_names_the_nearest(decoder, tokenizer):
    with pytest.raises(ValueError, match="unknown engine 'slots'; did you mean 'slot'"):
        build_engine(decoder, tokenizer, [END], kind="slots")
