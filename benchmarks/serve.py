"""The whole service under load, against the ceiling that its own stage times allow and against one request at a time.

    python benchmarks/serve.py --clients 16 --requests 64 --json benchmarks/results/serve.json
    python benchmarks/serve.py --clients 64 --requests 500

Real clips through HTTP: distinct bytes with the cache off, then repeated clips with it on, each against the same clips
one at a time on the same server, and every report against that of `cuewise analyze`. Answers have a fixed length.
Besides wall time, processor time is counted, which other work on the machine disturbs less: the ceiling in clips per
second is cores / (processor time of one clip alone). Exit code 1 when a request fails or a report differs.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from serve_process import Server, distinct, make_clips, served

from cuewise.mllm.clip import Clip
from cuewise.mllm.pipeline import Analyzer
from cuewise.mllm.question import Question

ROUTE = "/v1/emotion/analyze"


def one(clip: bytes, tokens: int) -> dict[str, Any]:
    return {"url": ROUTE, "files": {"file": ("clip.mp4", clip)}, "data": {"max_tokens": str(tokens)}}


async def load(server: Server, clips: list[bytes], clients: int, tokens: int) -> dict[str, Any]:
    """Send every clip, `clients` at a time. `unaccounted`: share of the wall time that the stages do not explain."""
    waiting, seconds, failed, unaccounted = iter(enumerate(clips)), [], [], []
    reports: dict[int, dict] = {}

    async def work(client: httpx.AsyncClient) -> None:
        for index, clip in waiting:
            began = time.perf_counter()
            answer = await client.post(**one(clip, tokens))
            seconds.append(time.perf_counter() - began)
            if answer.status_code == 200:
                reports[index] = answer.json()
                stages = sum(ms for name, ms in reports[index]["timing_ms"].items() if name != "total") / 1000
                unaccounted.append(abs(1 - stages / seconds[-1]))
            else:
                failed.append(answer.text[:200])

    limits = httpx.Limits(max_connections=clients)
    cpu, began = server.cpu_s(), time.perf_counter()
    async with httpx.AsyncClient(base_url=server.address, timeout=600, limits=limits) as client:
        await asyncio.gather(*(work(client) for _ in range(clients)))
    wall, cpu = time.perf_counter() - began, server.cpu_s() - cpu
    seconds.sort()
    return {
        "requests": len(clips), "failed": len(failed), "errors": failed[:3], "wall_s": wall, "cpu_s": cpu,
        "clips_per_s": len(clips) / wall, "clips_per_cpu_s": len(clips) / cpu, "p50_s": seconds[len(seconds) // 2],
        "p99_s": seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))], "reports": reports,
        "unaccounted_median": statistics.median(unaccounted or [1.0]), "unaccounted_max": max(unaccounted, default=1.0),
    }  # fmt: skip


def same(a: Any, b: Any) -> bool:
    """Equal up to the float noise of another batch shape."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a if k != "timing_ms")
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return abs(a - b) < 1e-3 if isinstance(a, float) and isinstance(b, float) else a == b


def analyzed(clips: list[bytes], tokens: int) -> list[dict[str, Any]]:
    """What `cuewise analyze` says of each clip, at the same length of answer."""
    with Analyzer.load() as analyzer:
        asked = ((Clip(data=clip, id="clip.mp4"), Question(max_tokens=tokens)) for clip in clips)
        return [answer.report.model_dump(mode="json") for answer in analyzer.answer_many(asked)]


def compare(
    server: Server, clips: list[bytes], alone: list[bytes], want: list[dict[str, Any]], options: argparse.Namespace
) -> dict[str, Any]:
    """One at a time, then all clients; ratios of the two. Clip i is `alone[i % len(alone)]` in some bytes."""
    clients, tokens = options.clients, options.tokens
    asyncio.run(load(server, alone[:1], 1, tokens))  # what is loaded on first use is loaded
    single, many = asyncio.run(load(server, alone, 1, tokens)), asyncio.run(load(server, clips, clients, tokens))
    timings = [report["timing_ms"] for report in single["reports"].values()]
    stages = {name: sum(t[name] for t in timings) / len(timings) for name in timings[0]}
    work_s = sum(value for name, value in stages.items() if name not in ("queue", "total")) / 1000
    cores = len(os.sched_getaffinity(0))
    single.pop("reports")
    reports = many.pop("reports")
    return {
        "alone": single, "together": many, "stages_alone_ms": stages,
        "ceiling_clips_per_s": cores / work_s, "share_of_ceiling_wall": many["clips_per_s"] * work_s / cores,
        "share_of_ceiling_cpu": many["clips_per_cpu_s"] / single["clips_per_cpu_s"],
        "speedup_wall": many["clips_per_s"] / single["clips_per_s"],
        "identical": sum(same(report, want[i % len(want)]) for i, report in reports.items()), "compared": len(reports),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=48)
    parser.add_argument("--clips", type=int, default=4, help="different clips; the others are the same in other bytes")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    clips = make_clips(args.clips)
    want = analyzed(clips, args.tokens)
    result: dict[str, Any] = {"clients": args.clients, "tokens": args.tokens, "cores": len(os.sched_getaffinity(0)),
                              "load_average": os.getloadavg()[0]}  # fmt: skip
    with served("cache_clips=0") as server:
        result["ready_s"] = server.ready_s
        varied = [distinct(clips[i % len(clips)], i) for i in range(args.requests)]
        result["distinct bytes, cache off"] = compare(server, varied, clips, want, args)
        result["memory_mb"] = server.memory_mb()
        idle = server.cpu_s()
        time.sleep(5)
        result["idle_cpu_share"] = (server.cpu_s() - idle) / 5
    with served() as server:
        repeated = [clips[i % len(clips)] for i in range(args.requests)]
        asyncio.run(load(server, clips, 1, args.tokens))
        result["repeated clips, cache on"] = compare(server, repeated, clips, want, args)
    print(json.dumps(result, indent=1, default=lambda value: round(value, 4)))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    runs = [value for value in result.values() if isinstance(value, dict) and "compared" in value]
    return int(any(run["together"]["failed"] or run["identical"] < run["compared"] for run in runs))


if __name__ == "__main__":
    sys.exit(main())
