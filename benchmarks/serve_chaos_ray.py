"""What Ray deployments stand: a replica that is killed, and a new version that is rolled out, both under load.

    python benchmarks/serve_chaos_ray.py                         # both, about three minutes
    python benchmarks/serve_chaos_ray.py kill --requests 200 --json benchmarks/results/serve_chaos_ray.json

Two decoder replicas with the shipped model on a Ray of their own, on the loopback. Whole answers and streams are asked
for in turn, sixteen at a time. No whole answer may be lost, and a stream that breaks must end with an error frame. Exit
code 1 when a bar is missed.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import ray
from ray import serve
from serve_chaos import ANALYZE, CHAT, Trial, show, talk, words

from cuewise.serve.ray_app import APP, build_app, start
from cuewise.serve.settings import EngineSettings, RaySettings, Settings

CLIENTS = 16


@contextlib.contextmanager
def cluster() -> Iterator[tuple[str, Settings]]:
    """Address and settings of two replicas while the block lasts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = Settings(port=port, decode_workers=1, log_level="error",
                        ray=RaySettings(replicas=2, max_replicas=2, cpus=1))  # fmt: skip
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, configure_logging=False,
             object_store_memory=100 * 2**20)  # fmt: skip
    try:
        start(settings)
        yield f"http://127.0.0.1:{port}", settings
    finally:
        with contextlib.suppress(Exception):
            serve.shutdown()
        ray.shutdown()


def replicas() -> list[int]:
    """Process numbers of the decoder replicas of this Ray."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if f"ServeReplica:{APP}:Decoder" in (folder / "cmdline").read_text() and is_ours(int(folder.name)):
                found.append(int(folder.name))
    return found


def is_ours(pid: int) -> bool:
    """True for processes below this one."""
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def running() -> int:
    """Decoder replicas that Ray calls running."""
    states = serve.status().applications[APP].deployments["Decoder"].replica_states
    return next((count for state, count in states.items() if str(getattr(state, "value", state)) == "RUNNING"), 0)


async def whole(client: httpx.AsyncClient, number: int) -> str:
    """What became of one whole answer."""
    try:
        answer = await client.post(ANALYZE, json=words(number))
    except httpx.HTTPError as error:
        return f"whole lost ({type(error).__name__})"
    return "whole 200" if answer.status_code == 200 else f"whole lost ({answer.status_code})"


async def streamed(client: httpx.AsyncClient, number: int) -> str:
    """What became of one stream."""
    try:
        answer = await client.post(CHAT, json=talk(number, stream=True))
    except httpx.HTTPError as error:
        return f"stream broken without a word ({type(error).__name__})"
    if answer.status_code != 200:
        return f"stream refused ({answer.status_code})"
    last = [line for line in answer.text.split("\n\n") if line][-1]
    if last == "data: [DONE]":
        return "stream complete"
    return "stream ended by an error frame" if last.startswith('data: {"error"') else "stream broken without a word"


async def traffic(
    address: str, requests: int, at: int, then: Callable[[], Any], busy: Callable[[], bool] = lambda: False
) -> Counter[str]:
    """Fates of `requests` requests, and of more while `busy`; after the first `at` something happens."""
    fates: Counter[str] = Counter()
    numbers = itertools.count()

    async def work(client: httpx.AsyncClient) -> None:
        for number in numbers:
            if number >= requests and not busy():
                return
            if number == at:
                then()
            fates[await (streamed if number % 2 else whole)(client, number)] += 1

    limits = httpx.Limits(max_connections=2 * CLIENTS)
    async with httpx.AsyncClient(base_url=address, timeout=180, limits=limits) as client:
        await asyncio.gather(*(work(client) for _ in range(CLIENTS)))
    return fates


async def kill(address: str, settings: Settings, requests: int) -> Trial:
    """SIGKILL of one of two replicas, a third of the way through."""
    before, killed_at, recovered = replicas(), 0.0, []

    async def watch() -> None:
        while running() < 2 or len(set(replicas()) - {before[0]}) < 2:
            await asyncio.sleep(0.1)
        recovered.append(time.monotonic() - killed_at)

    def shoot() -> None:
        nonlocal killed_at
        os.kill(before[0], signal.SIGKILL)
        killed_at = time.monotonic()
        watchers.append(asyncio.ensure_future(watch()))

    watchers: list[asyncio.Future] = []
    fates = await traffic(address, requests, requests // 3, shoot)
    await asyncio.wait_for(watchers[0], 120)
    lost, silent = (sum(n for fate, n in fates.items() if part in fate) for part in ("lost", "without a word"))
    return Trial.of({"fates": dict(fates), "recovered_s": recovered[0]}, no_whole_answer_lost=lost == 0,
                    broken_streams_end_with_an_error_frame=silent == 0,
                    recovered_within_15_s=recovered[0] <= 15)  # fmt: skip


async def redeploy(address: str, settings: Settings, requests: int) -> Trial:
    """A new version of every deployment is rolled out while requests come."""
    before, rollout = set(replicas()), []
    changed = replace(settings, engine=EngineSettings(queue=settings.engine.queue + 1))

    def roll() -> None:
        deploy = asyncio.to_thread(serve.run, build_app(changed), name=APP, route_prefix="/")
        rollout.append(asyncio.ensure_future(deploy))

    began = time.monotonic()
    fates = await traffic(address, requests, requests // 3, roll, lambda: not (rollout and rollout[0].done()))
    await rollout[0]
    took, kept = time.monotonic() - began, len(before & set(replicas()))
    fine = fates["whole 200"] + fates["stream complete"]
    return Trial.of({"fates": dict(fates), "old_replicas_left": kept, "traffic_s": took},
                    nothing_lost=fine == sum(fates.values()), all_replicas_new=kept == 0)  # fmt: skip


TRIALS = {"kill": kill, "redeploy": redeploy}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=", ".join(TRIALS))
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write the result here as well")
    options = parser.parse_args()
    unknown = set(options.trials) - set(TRIALS)
    if unknown:
        parser.error(f"unknown trial {sorted(unknown)[0]!r}; trials are {', '.join(TRIALS)}")
    result: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "load_average": os.getloadavg()[0]}
    for name in options.trials or TRIALS:
        with cluster() as (address, settings):
            trial = asyncio.run(TRIALS[name](address, settings, options.requests))
        result[name] = {**trial.numbers, "missed": trial.missed}
        show(name, trial)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return int(any(found["missed"] for found in result.values() if isinstance(found, dict)))


if __name__ == "__main__":
    sys.exit(main())
