import asyncio
import threading
import time

import pytest
import torch

from cuewise.mllm.engine.aio import AsyncEngine
from cuewise.mllm.engine.base import EngineRequest, SamplingParams, collect
from cuewise.mllm.engine.errors import EngineClosed, QueueFull
from cuewise.mllm.engine.sequential import SequentialEngine
from cuewise.mllm.engine.slot import SlotEngine

END = 257
ENGINES = {"sequential": SequentialEngine, "slot": SlotEngine}


@pytest.fixture(params=ENGINES)
def make(request, decoder, tokenizer):
    made = []

    def build(**options) -> AsyncEngine:
        made.append(AsyncEngine(ENGINES[request.param](decoder, tokenizer, [END], 512, **options), threads=1))
        return made[-1]

    yield build
    for engine in made:
        engine.close()


def ask(name: str, tokens: int = 8, **options) -> EngineRequest:
    sampling = SamplingParams(temperature=1.0, seed=sum(name.encode()), max_tokens=tokens)
    return EngineRequest(id=name, segments=[[1, 2, 3, *name.encode()]], sampling=sampling, **options)


async def answer(engine: AsyncEngine, request: EngineRequest):
    return collect([event async for event in engine.submit(request)])[request.id, 0]


async def until(condition, seconds: float = 10.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "the condition was never met"
        await asyncio.sleep(0.005)


def test_streams_from_an_event_loop_equal_the_engine_alone(make, decoder, tokenizer):
    engine, names = make(), [f"r{i}" for i in range(6)]

    async def both() -> list:
        return await asyncio.gather(*(answer(engine, ask(name)) for name in names))

    want = collect(SequentialEngine(decoder, tokenizer, [END], 512).generate([ask(name) for name in names]))
    for got in asyncio.run(both()):
        assert got.token_ids == want[got.request_id, 0].token_ids
        assert got.timing.prompt_tokens == 5 and got.timing.queue_s >= 0
    assert engine.in_flight == 0


def test_threads_ask_side_by_side(make):
    engine, found = make(), {}

    def work(name: str) -> None:
        found[name] = collect(engine.generate([ask(name + "a"), ask(name + "b")]))

    threads = [threading.Thread(target=work, args=(name,)) for name in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(key[0] for name in found for key in found[name]) == ["xa", "xb", "ya", "yb", "za", "zb"]


def test_a_group_ends_when_all_its_samples_have(make):
    engine = make()

    async def group() -> list:
        return [event async for event in engine.submit(ask("g", n=3))]

    assert {key[1] for key in collect(asyncio.run(group()))} == {0, 1, 2}


def test_a_client_that_leaves_frees_the_engine(make):
    engine = make()

    async def leave() -> None:
        stream = engine.submit(ask("gone", tokens=400))
        await anext(stream)
        await stream.aclose()
        task = asyncio.create_task(answer(engine, ask("cut", tokens=400)))
        await asyncio.sleep(0.05)
        task.cancel()
        await until(lambda: engine.in_flight == 0)
        assert (await answer(engine, ask("next"))).finish_reason in ("stop", "length")

    asyncio.run(leave())
    assert engine.stats().finished == 3


def test_a_refused_request_leaves_no_trace_and_names_its_reason(make):
    engine = make()

    async def refused() -> None:
        with pytest.raises(ValueError, match="token ids must lie in"):
            engine.submit(EngineRequest(id="bad", segments=[[9999]]))
        with pytest.raises(ValueError, match="needs \\[n, 32\\]"):
            engine.submit(EngineRequest(id="bad", segments=[torch.zeros(2, 31)]))
        assert engine.in_flight == 0

    asyncio.run(refused())


def test_a_full_queue_refuses_at_once(make):
    engine = make(max_waiting=2)

    async def crowd() -> int:
        streams, refused = [], 0
        for i in range(40):
            try:
                streams.append(engine.submit(ask(f"c{i}", tokens=100)))
            except QueueFull:
                refused += 1
        for stream in streams:
            await stream.aclose()
        await until(lambda: engine.in_flight == 0)
        return refused

    assert asyncio.run(crowd()) == engine.stats().refused > 0


def test_draining_finishes_what_runs_and_refuses_the_rest(make):
    engine = make()

    async def drain() -> None:
        task = asyncio.create_task(answer(engine, ask("last", tokens=40)))
        await asyncio.sleep(0)
        drained = asyncio.create_task(engine.drain(20))
        await asyncio.sleep(0.02)
        with pytest.raises(EngineClosed, match="drains"):
            engine.submit(ask("late"))
        assert await drained
        assert (await task).finish_reason in ("stop", "length")

    asyncio.run(drain())


def test_close_ends_what_is_in_flight(make):
    engine = make()

    async def close() -> str:
        stream = engine.submit(ask("open", tokens=450))
        await anext(stream)
        await asyncio.to_thread(engine.close)
        return [event async for event in stream][-1].finish_reason

    assert asyncio.run(close()) in ("cancelled", "stop", "length")
    assert not engine.healthy()


def test_a_dead_engine_says_so_to_everybody(make):
    engine = make()

    async def die() -> None:
        stream = engine.submit(ask("victim", tokens=400))
        await anext(stream)
        engine.engine._watch = None  # breaks the engine itself, not a request
        last = [event async for event in stream][-1]
        assert last.finish_reason == "error" and "died" in last.error
        with pytest.raises(EngineClosed, match="died"):
            engine.submit(ask("after"))
        with pytest.raises(EngineClosed, match="died"):
            engine.check_health()

    asyncio.run(die())


def test_an_engine_that_hangs_is_not_healthy(decoder, tokenizer):
    release, entered = threading.Event(), threading.Event()

    def hang(*_) -> None:
        entered.set()
        release.wait(20)

    engine = AsyncEngine(SequentialEngine(decoder, tokenizer, [END], 512, stall_s=0.05))
    hook = decoder.register_forward_pre_hook(hang)

    async def watch() -> None:
        stream = engine.submit(ask("stuck", tokens=2))
        await asyncio.to_thread(entered.wait, 10)
        await until(lambda: not engine.healthy())
        release.set()
        assert [event async for event in stream][-1].finish_reason
        await until(engine.healthy)

    try:
        asyncio.run(watch())
    finally:
        release.set()
        hook.remove()
        engine.close()
