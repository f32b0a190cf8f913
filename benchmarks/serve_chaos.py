"""What one server process stands: clients that leave, poisoned requests, overload, SIGTERM, and hours of mixed traffic.

    python benchmarks/serve_chaos.py                              # all but the soak, a few minutes
    python benchmarks/serve_chaos.py disconnects --count 500
    python benchmarks/serve_chaos.py soak --minutes 60 --json benchmarks/results/serve_soak.json

Every trial starts `cuewise serve` with the shipped model on the loopback, says what it measured, and holds it against a
bar. Each ends by itself. Exit code 1 when a bar is missed. Faults of Ray deployments are in `serve_chaos_ray.py`.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from serve_process import Server, distinct, make_clips, rollup, served

ANALYZE, CHAT, FILES = "/v1/emotion/analyze", "/v1/chat/completions", "/v1/files"
NOW = ("cuewise_in_flight", "cuewise_engine_running", "cuewise_engine_waiting")


@dataclass
class Trial:
    """What a trial gave: numbers, and the bars that were missed."""

    numbers: dict[str, Any]
    missed: list[str]

    @classmethod
    def of(cls, numbers: dict[str, Any], **bars: bool) -> "Trial":
        """Bars are named by what must hold."""
        return cls(numbers, [name.replace("_", " ") for name, held in bars.items() if not held])


def words(number: int, **more: Any) -> dict[str, Any]:
    """A request about words alone."""
    return {"transcript": f"sentence {number}: we won!", "form": "direct"} | more


def talk(number: int, **more: Any) -> dict[str, Any]:
    """A conversation about words alone; its answer is long."""
    return {"messages": [{"role": "user", "content": f"sentence {number}: we won!"}], "max_tokens": 300} | more


def client_of(server: Server) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.address, timeout=120, limits=httpx.Limits(max_connections=256))


async def busy(client: httpx.AsyncClient) -> dict[str, float]:
    """Requests and rows that the server works on."""
    lines = (await client.get("/metrics")).text.splitlines()
    return {name: float(line.split()[1]) for line in lines for name in NOW if line.startswith(name + " ")}


async def until_idle(client: httpx.AsyncClient, limit_s: float = 30.0) -> float:
    """Seconds until nothing is worked on any more."""
    began = time.monotonic()
    while any((await busy(client)).values()):
        if time.monotonic() - began > limit_s:
            return float("inf")
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def leave(client: httpx.AsyncClient, number: int) -> bool:
    """Begin a streamed answer, read its first text and close the connection; False when there was no text."""
    async with client.stream("POST", CHAT, json=talk(number, stream=True)) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: {") and json.loads(line[6:])["choices"][0]["delta"].get("content"):
                return True
    return False


async def disconnects(server: Server, options: argparse.Namespace) -> Trial:
    """Clients that close in the middle of a stream, 50 at a time: all rows free within 2 s, the next answer right."""
    async with client_of(server) as client:
        want = (await client.post(ANALYZE, json=words(0))).json()["text"]
        left, waits = 0, []
        for first in range(0, options.count, 50):
            wave = [leave(client, first + i) for i in range(min(50, options.count - first))]
            left += sum(await asyncio.gather(*wave))
            waits.append(await until_idle(client))
        got = (await client.post(ANALYZE, json=words(0))).json()["text"]
    numbers = {"left_mid_stream": left, "slowest_free_s": max(waits), "next_answer_right": got == want}
    return Trial.of(numbers, all_left_mid_stream=left == options.count, slots_free_within_2_s=max(waits) <= 2,
                    next_answer_right=got == want)  # fmt: skip


def poisons(clip: bytes) -> dict[str, dict[str, Any]]:
    """Requests of which each looks like its neighbours and cannot be answered."""
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {
        "a": {"type": "string", "pattern": "(?<=a)b"}}}}}  # fmt: skip
    return {
        "half a file": {"url": ANALYZE, "files": {"file": ("x.mp4", clip[: len(clip) // 3])}},
        "noise": {"url": ANALYZE, "files": {"file": ("x.mp4", random.Random(1).randbytes(4000))}},
        "a span outside": {"url": ANALYZE, "files": {"file": ("x.mp4", clip)}, "data": {"start": "500"}},
        "an impossible schema": {"url": CHAT, "json": talk(0, response_format=schema)},
        "no time": {"url": ANALYZE, "files": {"file": ("x.mp4", clip + b"\0")}, "data": {"deadline_s": "0.001"}},
    }


async def poisoned(server: Server, options: argparse.Namespace) -> Trial:
    """Sixteen requests of which one is poisoned, for every kind of poison: exactly one failure, the others right."""
    clip = make_clips(1, seconds=1.0)[0]
    good = {"url": ANALYZE, "files": {"file": ("good.mp4", clip)}, "data": {"form": "direct"}}
    failures, wrong = {}, 0
    async with client_of(server) as client:
        want = (await client.post(**good)).json()["text"]
        for name, bad in poisons(clip).items():
            asked = [good] * 7 + [bad] + [good] * 8
            answers = await asyncio.gather(*(client.post(**request) for request in asked))
            failures[name] = sum(answer.status_code != 200 for answer in answers)
            wrong += sum(answer.json().get("text") != want for i, answer in enumerate(answers) if i != 7)
    return Trial.of({"failures": failures, "wrong_neighbours": wrong}, neighbours_right=wrong == 0,
                    exactly_one_failure=set(failures.values()) == {1})  # fmt: skip


async def upload(server: Server, clip: bytes) -> tuple[int, float]:
    """(status, seconds) of a clip sent over a bare connection: a hundred users of a whole client library would keep
    this core busier than the server."""
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.mp4"\r\n\r\n'
    body = part + clip + b'\r\n--b\r\nContent-Disposition: form-data; name="form"\r\n\r\ndirect\r\n--b--\r\n'
    host, port = server.address.removeprefix("http://").split(":")
    head = (f"POST {ANALYZE} HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n")  # fmt: skip
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(head.encode() + body)
        status = int((await reader.readline()).split()[1])
        await reader.read()
        return status, time.monotonic() - began
    finally:
        writer.close()


async def overload(server: Server, options: argparse.Namespace) -> Trial:
    """Eight times as many clients as the server admits: 200 and 429 alone, refusals within 1 s, memory flat."""
    clips, counts, refused = make_clips(2, seconds=1.0), Counter(), []
    full, peak, numbers = 0.0, 0.0, iter(range(10**9))

    async def hammer(until: float) -> None:
        while time.monotonic() < until:
            number = next(numbers)
            status, took = await upload(server, distinct(clips[number % 2], number))
            counts[status] += 1
            if status == 429:
                refused.append(took)
                await asyncio.sleep(random.random())

    async def watch(until: float) -> None:
        nonlocal peak
        while time.monotonic() < until:
            peak = max(peak, rollup(server.process.pid, "Anonymous"))
            await asyncio.sleep(0.5)

    async with client_of(server) as client:
        until = time.monotonic() + options.seconds / 3
        await asyncio.gather(*(hammer(until) for _ in range(16)))
        full = rollup(server.process.pid, "Anonymous")
        counts.clear()
        until = time.monotonic() + options.seconds
        await asyncio.gather(watch(until), *(hammer(until) for _ in range(128)))
        waited = await until_idle(client)
    found = {
        "answers": dict(counts), "slowest_refusal_s": max(refused, default=0.0), "memory_at_1x_mb": full,
        "memory_at_8x_mb": peak, "memory_after_mb": rollup(server.process.pid, "Anonymous"), "idle_after_s": waited,
    }  # fmt: skip
    return Trial.of(found, only_200_and_429=set(counts) == {200, 429}, refusals_within_1_s=max(refused, default=9) <= 1,
                    memory_flat=peak - full <= 64)  # fmt: skip


async def sigterm(server: Server, options: argparse.Namespace) -> Trial:
    """SIGTERM with 24 requests in flight: all of them finish, nobody new is let in, the process ends within 20 s."""
    async with client_of(server) as client:
        streams = [asyncio.ensure_future(client.post(CHAT, json=talk(i, stream=True))) for i in range(16)]
        whole = [asyncio.ensure_future(client.post(ANALYZE, json=words(i))) for i in range(8)]
        while (seen := int((await busy(client))["cuewise_in_flight"])) < 20:
            await asyncio.sleep(0.005)
        server.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        await asyncio.sleep(0.05)
        try:
            late = (await client.post(ANALYZE, json=words(99))).json()["error"]["code"]
        except httpx.TransportError:
            late = "connection refused"
        answers = await asyncio.gather(*streams, *whole, return_exceptions=True)
    code = await asyncio.to_thread(server.process.wait, 30)
    took = time.monotonic() - began
    complete = sum(isinstance(a, httpx.Response) and a.text.endswith("data: [DONE]\n\n") for a in answers[:16])
    complete += sum(isinstance(a, httpx.Response) and a.status_code == 200 for a in answers[16:])
    numbers = {"in_flight": seen, "finished_of_24": complete, "new_request": late, "ended_after_s": took, "code": code}
    return Trial.of(numbers, all_finished=complete == 24, ended_within_20_s=took <= 20 and code == 0,
                    new_requests_refused=late in ("draining", "connection refused"))  # fmt: skip


async def mixed(client: httpx.AsyncClient, clips: list[bytes], rng: random.Random) -> str:
    """One request of some kind, and what came of it."""
    clip, number = distinct(rng.choice(clips), rng.randrange(400)), rng.randrange(10**6)
    what = rng.choice(("clip", "clip", "clip", "words", "stream", "leave", "file", "broken"))
    if what == "leave":
        return f"leave {200 if await leave(client, number) else 'without a text'}"
    if what == "file":
        kept = (await client.post(FILES, files={"file": ("x.mp4", clip)})).json()["id"]
        answer = await client.post(ANALYZE, json={"media": {"file_id": kept}, "form": "direct"})
        await client.delete(f"{FILES}/{kept}")
    elif what == "clip":
        answer = await client.post(ANALYZE, files={"file": ("x.mp4", clip)})
    elif what == "broken":
        answer = await client.post(ANALYZE, files={"file": ("x.mp4", clip[: rng.randrange(len(clip))])})
    else:
        answer = await client.post(CHAT, json=talk(number, stream=what == "stream"))
    return f"{what} {answer.status_code}"


async def soak(server: Server, options: argparse.Namespace) -> Trial:
    """Mixed traffic: clips, words, streams, files, broken media, clients that leave. No 5xx, memory does not grow."""
    clips, counts, samples, sent = make_clips(4, seconds=2.0), Counter(), [], 0
    began = time.monotonic()
    until = began + options.minutes * 60

    async def work(client: httpx.AsyncClient, seed: int) -> None:
        nonlocal sent
        rng = random.Random(seed)
        while time.monotonic() < until:
            try:
                counts[await mixed(client, clips, rng)] += 1
            except httpx.HTTPError as error:
                counts[f"lost {type(error).__name__}"] += 1
            sent += 1

    async def watch() -> None:
        while time.monotonic() < until:
            samples.append((sent, rollup(server.process.pid, "Anonymous")))
            await asyncio.sleep(min(5.0, options.minutes * 60 / 40))

    async with client_of(server) as client:
        await asyncio.gather(watch(), *(work(client, seed) for seed in range(4)))
        waited = await until_idle(client)
    settled = samples[len(samples) // 3 :]  # caches fill in the first third
    slope = trend(settled) * 100
    bad = {name: n for name, n in counts.items() if name.split()[1][0] not in "24"}
    numbers = {
        "minutes": (time.monotonic() - began) / 60, "requests": sent, "answers": dict(sorted(counts.items())),
        "memory_mb": [round(mb, 1) for _, mb in samples[:: max(1, len(samples) // 20)]],
        "mb_per_100_requests": slope, "idle_after_s": waited,
    }  # fmt: skip
    return Trial.of(numbers, no_failures=not bad, memory_slope_below_1_mb=slope < 1, idle_at_the_end=waited <= 2)


def trend(points: list[tuple[float, float]]) -> float:
    """Slope of the least-squares line."""
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


TRIALS: dict[str, tuple[Callable[[Server, argparse.Namespace], Awaitable[Trial]], tuple[str, ...]]] = {
    "disconnects": (disconnects, ()), "poisoned": (poisoned, ()), "overload": (overload, ("limits.in_flight=16",)),
    "sigterm": (sigterm, ()), "soak": (soak, ()),
}  # fmt: skip
"""Name -> (trial, settings of its server)."""


def show(name: str, trial: Trial) -> None:
    """One trial as lines."""
    print(f"{name:12s} {'ok' if not trial.missed else 'MISSED: ' + ', '.join(trial.missed)}")
    print("\n".join(f"  {key}: {value}" for key, value in trial.numbers.items()), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=", ".join(TRIALS))
    parser.add_argument("--count", type=int, default=500, help="clients that leave")
    parser.add_argument("--seconds", type=float, default=60, help="of overload")
    parser.add_argument("--minutes", type=float, default=10, help="of the soak")
    parser.add_argument("--json", type=Path, help="write the result here as well")
    options = parser.parse_args()
    unknown = set(options.trials) - set(TRIALS)
    if unknown:
        parser.error(f"unknown trial {sorted(unknown)[0]!r}; trials are {', '.join(TRIALS)}")
    result: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "load_average": os.getloadavg()[0]}
    for name in options.trials or [name for name in TRIALS if name != "soak"]:
        run, settings = TRIALS[name]
        with served(*settings) as server:
            trial = asyncio.run(run(server, options))
        result[name] = {**trial.numbers, "missed": trial.missed}
        show(name, trial)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return int(any(found["missed"] for found in result.values() if isinstance(found, dict)))


if __name__ == "__main__":
    sys.exit(main())
