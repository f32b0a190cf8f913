"""Broken media and broken bodies against a live server: no crash, no hang, no 5xx, and the next request is right.

    python benchmarks/serve_fuzz.py --media 10000 --bodies 5000        # the whole run
    python benchmarks/serve_fuzz.py --media 300 --bodies 500           # a taste of it

Starts `cuewise serve` on the loopback, sends everything with a few clients at once, and prints what came back. Every
200th request is a good one, whose answer is compared with the first. Exit code 1 when anything was not as it should be.
"""

import argparse
import asyncio
import base64
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from serve_process import make_clips, served

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


def plan(clips: list[bytes], media: int, bodies: int, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what, arguments of a POST) of every request, in a fixed order."""
    rng = random.Random(seed)
    for number in range(media + bodies):
        if number % 200 == 0:
            yield "good", {"url": ROUTES[0], "files": {"file": ("good.mp4", clips[0])}, "data": {"form": "direct"}}
        if number < media:
            data = broken_media(rng.choice(clips), rng)
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
    yield "good", {"url": ROUTES[0], "files": {"file": ("good.mp4", clips[0])}, "data": {"form": "direct"}}


async def send(address: str, requests: Iterator[tuple[str, dict[str, Any]]], clients: int) -> dict[str, Any]:
    """Send everything; counts of what came back, and whatever was not as it should be."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    first: list[str] = []

    async def work(client: httpx.AsyncClient) -> None:
        for what, request in requests:
            try:
                answer = await client.post(**request)
            except httpx.HTTPError as error:
                counts[f"{what} {type(error).__name__}"] += 1
                wrong.append(f"{what}: {type(error).__name__}")
                continue
            counts[f"{what} {answer.status_code}"] += 1
            if answer.status_code >= 500 or (what == "good" and answer.status_code != 200):
                wrong.append(f"{what}: {answer.status_code} {answer.text[:200]}")
            elif what == "good":
                first.append(answer.json()["text"])
                if first[-1] != first[0]:
                    wrong.append(f"a good request was answered differently: {first[-1][:80]}")

    async with httpx.AsyncClient(base_url=address, timeout=120) as client:
        await asyncio.gather(*(work(client) for _ in range(clients)))
    return {"counts": dict(sorted(counts.items())), "wrong": wrong}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=int, default=300)
    parser.add_argument("--bodies", type=int, default=500)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the result here as well")
    args = parser.parse_args()
    clips = make_clips(2, seconds=1.0)
    with served("limits.in_flight=64", "cache_clips=0", "media.num_frames=4") as server:
        result = asyncio.run(send(server.address, plan(clips, args.media, args.bodies, args.seed), args.clients))
        result |= {"media": args.media, "bodies": args.bodies, "seed": args.seed, "alive": server.alive()}
    print(json.dumps(result, indent=1))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return int(bool(result["wrong"]) or not result["alive"])


if __name__ == "__main__":
    sys.exit(main())
