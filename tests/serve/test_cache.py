"""The cache of encoded clips: made once, bounded, and never keeping a failure."""

import asyncio

import numpy as np
import pytest

from cuewise.mllm.clip import Clip
from cuewise.mllm.media.types import Media
from cuewise.mllm.question import Question
from cuewise.mllm.stages import Work
from cuewise.mllm.tensors import ClipTensors
from cuewise.serve.cache import WorkCache, work_bytes
from cuewise.serve.job import Job


def work(samples: int = 1000) -> Work:
    media = Media(duration_s=1.0, samples=np.zeros(samples, np.float32))
    return Work(Clip(transcript="x"), Question(), media, 0.0, tensors=ClipTensors())


def test_the_same_clip_asked_for_by_many_at_once_is_made_once():
    made, seen = [], []

    async def make() -> Work:
        made.append(1)
        await asyncio.sleep(0.01)
        return work()

    async def go():
        cache = WorkCache(4, on_look_up=seen.append)
        results = await asyncio.gather(*(cache.get("k", make) for _ in range(5)))
        results.append(await cache.get("k", make))
        return results

    results = asyncio.run(go())
    assert len(made) == 1 and len({id(item) for item, _ in results}) == 1
    assert [known for _, known in results] == [False, True, True, True, True, True]
    assert seen == ["miss", "joined", "joined", "joined", "joined", "hit"]


def test_a_failure_is_told_to_all_who_wait_and_not_kept():
    tries = []

    async def make() -> Work:
        tries.append(1)
        await asyncio.sleep(0.01)
        if len(tries) == 1:
            raise ValueError("broken")
        return work()

    async def go():
        cache = WorkCache(4)
        first = await asyncio.gather(*(cache.get("k", make) for _ in range(3)), return_exceptions=True)
        await asyncio.sleep(0)
        return first, await cache.get("k", make)

    first, (again, known) = asyncio.run(go())
    assert all(isinstance(error, ValueError) for error in first) and isinstance(again, Work) and not known


def test_who_leaves_early_takes_nothing_from_the_others():
    async def make() -> Work:
        await asyncio.sleep(0.05)
        return work()

    async def go():
        cache = WorkCache(4)
        leaver = asyncio.ensure_future(cache.get("k", make))
        await asyncio.sleep(0.01)
        stayer = asyncio.ensure_future(cache.get("k", make))
        await asyncio.sleep(0)
        leaver.cancel()
        return await stayer

    assert isinstance(asyncio.run(go())[0], Work)


def test_a_file_that_went_with_its_owner_is_read_from_the_next_who_has_it():
    async def lost() -> Work:
        await asyncio.sleep(0.02)
        raise FileNotFoundError("the file is gone")

    async def there() -> Work:
        return work()

    async def go():
        cache = WorkCache(4)
        owner = asyncio.ensure_future(cache.get("k", lost))
        await asyncio.sleep(0.01)
        others = [asyncio.ensure_future(cache.get("k", there)) for _ in range(3)]
        await asyncio.sleep(0)
        owner.cancel()
        return await asyncio.gather(*others)

    results = asyncio.run(go())
    assert [known for _, known in results] == [False, True, True] and len({id(found) for found, _ in results}) == 1


@pytest.mark.parametrize(("size", "room", "kept"), [(2, 10**9, 2), (9, 3 * 4000, 3), (1, 10**9, 1)])
def test_number_and_bytes_are_bounded_and_the_oldest_goes_first(size, room, kept):
    async def go():
        cache = WorkCache(size, room)

        async def make() -> Work:
            return work()

        for number in range(5):
            await cache.get(str(number), make)
            await asyncio.sleep(0)
        found = [(await cache.get(str(number), make))[1] for number in (4,)]
        return len(cache), cache.bytes, found

    length, size_now, found = asyncio.run(go())
    assert length == kept and size_now == kept * work_bytes(work()) and found == [True]


def test_without_room_nothing_is_kept():
    async def go():
        cache = WorkCache(0)

        async def make() -> Work:
            return work()

        return [(await cache.get("k", make))[1] for _ in range(2)]

    assert asyncio.run(go()) == [False, False]


def job(tmp_path, data: bytes = b"abc", name: str = "a.wav", **changes) -> Job:
    path = tmp_path / name
    path.write_bytes(data)
    question = Question(channels=changes.pop("channels", None))
    tenant = changes.pop("tenant", "me")
    return Job(id="j", clip=Clip(path=str(path), id="c", **changes), question=question, tenant=tenant)


def test_a_key_is_the_content_and_all_that_changes_what_is_encoded(tmp_path):
    base = job(tmp_path).content_key()
    assert job(tmp_path, name="b.wav").content_key() == base, "the place on the disk is no content"
    changes = [
        {"data": b"abd"}, {"start": 1.0}, {"transcript": "x"}, {"person": 1}, {"channels": ("voice",)},
        {"tenant": "you"},
        {"name": "a.mp3"},
    ]  # fmt: skip
    assert len({base, *(job(tmp_path, **change).content_key() for change in changes)}) == len(changes) + 1


def test_a_packed_job_carries_its_bytes_and_its_names(tmp_path):
    packed = job(tmp_path).packed()
    assert packed.clip.data == b"abc" and packed.clip.path is None and packed.clip.name == "c"
