"""A pool of killable decoding processes beside an event loop."""

import asyncio
import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, MediaWorker
from cuewise.mllm.media.types import Media


class DecodePool:
    """`workers` decoding processes; each takes one clip at a time, the others wait in order."""

    def __init__(self, config: MediaConfig, workers: int):
        self._workers = [MediaWorker(config) for _ in range(workers)]
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._free: asyncio.Queue[MediaWorker] = asyncio.Queue()
        for worker in self._workers:
            self._free.put_nowait(worker)

    def start(self) -> None:
        """Begin to start all processes, without waiting for them."""
        for worker in self._workers:
            self._threads.submit(worker.start)

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers that run."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def load(self, clip: Clip) -> Media:
        """Decode one clip. Raises MediaError. A caller that is cancelled leaves the worker to finish by itself."""
        worker = await self._free.get()
        try:
            done = asyncio.get_running_loop().run_in_executor(self._threads, worker.load, clip)
        except BaseException:
            self._free.put_nowait(worker)
            raise
        done.add_done_callback(lambda future: self._return(worker, future))
        return await asyncio.shield(done)

    def _return(self, worker: MediaWorker, future: asyncio.Future[Media]) -> None:
        if not future.cancelled():
            future.exception()  # looked at, so that nobody warns when the caller has gone
        self._free.put_nowait(worker)

    def close(self) -> None:
        """End all processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            if worker.pid is not None:  # closing waits for a clip that is being decoded; a killed one is at its end
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
            worker.close()
