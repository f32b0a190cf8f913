"""Broken media and broken bodies against a live server: no crash, no hang, no 5xx, and the next request is right.

    python benchmarks/serve_fuzz.py --media 10000 --bodies 5000 --minutes 30       # the whole run
    python benchmarks/serve_fuzz.py --media 300 --bodies 500                       # a taste of it

Starts `cuewise serve` on the loopback, sends everything with a few clients at once, and prints what came back. Media
are mutated MP4, Matroska, WAV, MP3, FLAC, OGG, PNG, JPEG and GIF files. Every 200th request is good and its answer must
be that of `cuewise analyze`. Exit code 1 when anything was not as it should be, or the time was over before the end.
"""

import argparse
import asyncio
import base64
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from serve_process import Server, in_many_formats, make_clips, served

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.pipeline import Analyzer

ROUTES = ("/v1/emotion/analyze", "/v1/chat/completions", "/v1/emotion/timeline", "/v1/files")
JSON = {"content-type": "application/json"}
ODD = [
    None,
    True,
    -1,
    0,
    10**30,
    1e308,
    "",
    "x" * 30_000,
    "\u0000",
    "\ud83d\ude00",
    [],
    {},
    [[]],
    {"": {}},
    "../../etc/passwd",
    "NaN",
]


def broken_media(data: bytes, rng: random.Random) -> bytes:
    """One mutation of a media file: cut, flipped, resized boxes, spliced, noise, or repeated."""
    kind, size = rng.randrange(7), len(data)
    if kind == 0:
        return data[: rng.randrange(size)]
    if kind == 1:
        out = bytearray(data)
        for _ in range(rng.choice((1, 8, 64, 512))):
            out[rng.randrange(size)] ^= 1 << rng.randrange(8)
        return bytes(out)
    if kind == 2:  # the size field in front of a box name
        out = bytearray(data)
        for name in rng.sample([b"moov", b"mdat", b"trak", b"stsz", b"stco", b"tkhd", b"fmt ", b"data"], 3):
            at = data.find(name)
            if at >= 4:
                out[at - 4 : at] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1", rng.randbytes(4)))
        return bytes(out)
    if kind == 3:
        a, b = sorted((rng.randrange(size), rng.randrange(size)))
        return data[:a] + data[b:]
    if kind == 4:
        return data[: rng.randrange(64)] + rng.randbytes(rng.randrange(1, 4000))
    if kind == 5:
        a = rng.randrange(size)
        return data[:a] + data[a : a + 2000] * rng.randrange(2, 6) + data[a:]
    return rng.randbytes(rng.randrange(0, 3000))


def good_body(rng: random.Random) -> dict[str, Any]:
    """A body that would be answered, as the thing to break."""
    text = rng.choice(("we won", "she left", "…"))
    if rng.random() < 0.5:
        return {"transcript": text, "form": "direct", "start": 0, "channels": ["words"], "words": [], "max_tokens": 4}
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}], "max_tokens": 4,
            "emotion": {"form": "direct"}, "response_format": {"type": "text"},
            "stream": rng.random() < 0.3}  # fmt: skip


def broken_body(rng: random.Random) -> tuple[str, bytes, dict[str, str]]:
    """(route, body, headers) of a request with something wrong in it."""
    route, body = rng.choice(ROUTES), good_body(rng)
    kind = rng.randrange(8)
    if kind < 3:  # a value replaced, anywhere
        where: Any = body
        for _ in range(rng.randrange(1, 4)):
            key = rng.choice(list(where)) if isinstance(where, dict) and where else 0
            if (isinstance(where, list) and not where) or not isinstance(where, dict | list):
                break
            inner = where[key]
            if not isinstance(inner, dict | list) or rng.random() < 0.4:
                where[key] = rng.choice(ODD)
                break
            where = inner
        return route, json.dumps(body).encode(), JSON
    raw = json.dumps(body).encode()
    if kind == 3:
        return route, raw[: rng.randrange(len(raw))], JSON
    if kind == 4:
        out = bytearray(raw)
        for _ in range(rng.randrange(1, 6)):
            out[rng.randrange(len(out))] = rng.randrange(256)
        return route, bytes(out), JSON
    if kind == 5:
        deep = rng.choice((b"[", b'{"a":', b'"\\ud800', b"-", b"1e999", b"\xef\xbb\xbf{}"))
        return route, deep * rng.choice((1, 300, 20_000)), JSON
    if kind == 6:
        boundary = rng.choice(("b", "b" * 90, "", '"b"', "b; b=c"))
        part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a\r\n' + rng.randbytes(
            rng.randrange(300)
        )
        return (
            route,
            part + rng.choice((b"", b"\r\n--b--", b"\r\n--b\r\n")),
            {"content-type": f"multipart/form-data; boundary={boundary}"},
        )
    media = {"url": rng.choice(("data:,x", "data:video/mp4;base64,%%%", "http://127.0.0.1/", "data:" + ";" * 3000))}
    return route, json.dumps({"media": rng.choice((media, {"data": "AA"}, {"file_id": "x" * 200}))}).encode(), JSON


def plan(good: bytes, sources: list[bytes], media: int, bodies: int, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what, arguments of a POST) of every request, in a fixed order."""
    rng = random.Random(seed)
    right = {"url": ROUTES[0], "files": {"file": ("good.mp4", good)}, "data": {"form": "direct"}}
    for number in range(media + bodies):
        if number % 200 == 0:
            yield "good", right
        if number < media:
            data = broken_media(rng.choice(sources), rng)
            if rng.random() < 0.8:
                yield (
                    "media",
                    {
                        "url": ROUTES[0],
                        "files": {"file": ("x.mp4", data)},
                        "data": {"form": "direct", "max_tokens": "4"},
                    },
                )
            else:
                body = {"media": {"data": base64.b64encode(data).decode()}, "form": "direct", "max_tokens": 4}
                yield "media", {"url": ROUTES[0], "json": body}
        else:
            route, body, headers = broken_body(rng)
            yield "body", {"url": route, "content": body, "headers": headers}
    yield "good", right


async def send(
    address: str, requests: Iterator[tuple[str, dict[str, Any]]], want: str, clients: int, seconds: float
) -> dict[str, Any]:
    """Send everything that time allows; counts of what came back, and whatever was not as it should be."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    slowest, until = 0.0, time.monotonic() + seconds

    async def work(client: httpx.AsyncClient) -> None:
        nonlocal slowest
        for what, request in requests:
            began = time.monotonic()
            if began > until:
                wrong.append("the time was over before everything was sent")
                return
            try:
                answer = await client.post(**request)
            except httpx.HTTPError as error:
                counts[f"{what} {type(error).__name__}"] += 1
                wrong.append(f"{what}: {type(error).__name__}")
                continue
            slowest = max(slowest, time.monotonic() - began)
            counts[f"{what} {answer.status_code}"] += 1
            if answer.status_code >= 500 or (what == "good" and answer.status_code != 200):
                wrong.append(f"{what}: {answer.status_code} {answer.text[:200]}")
            elif what == "good" and answer.json()["text"] != want:
                wrong.append(f"a good request was answered differently: {answer.json()['text'][:80]}")

    async with httpx.AsyncClient(base_url=address, timeout=120) as client:
        await asyncio.gather(*(work(client) for _ in range(clients)))
    return {"counts": dict(sorted(counts.items())), "wrong": wrong, "slowest_s": round(slowest, 2)}


def attack(server: Server, good: bytes, want: str, options: argparse.Namespace) -> dict[str, Any]:
    """The whole run against one server, with its memory before and after."""
    requests = plan(good, [good, *in_many_formats(good)], options.media, options.bodies, options.seed)
    before, began = server.memory_mb(), time.monotonic()
    result = asyncio.run(send(server.address, requests, want, options.clients, options.minutes * 60))
    return {
        "media": options.media, "bodies": options.bodies, "seed": options.seed, **result, "alive": server.alive(),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "memory_mb": {"before": before, "after": server.memory_mb()},
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=int, default=300)
    parser.add_argument("--bodies", type=int, default=500)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=30.0, help="stop after so long, whatever is left")
    parser.add_argument("--json", type=Path, help="write the result here as well")
    args = parser.parse_args()
    good = make_clips(1, seconds=1.0)[0]
    with Analyzer.load(media=MediaConfig(num_frames=4)) as analyzer:
        want = analyzer.analyze(Clip(data=good, id="good.mp4"), "direct").text
    with served("limits.in_flight=64", "cache_clips=0", "media.num_frames=4") as server:
        result = attack(server, good, want, args)
    print(json.dumps(result, indent=1))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return int(bool(result["wrong"]) or not result["alive"])


if __name__ == "__main__":
    sys.exit(main())
