"""The work behind the routes: clips in, answers out, many at once, by the same stages as `cuewise analyze`.

Decoding runs in killable processes, measuring and encoding in a thread, generation in the thread of the engine; the
event loop only hands things on. Torch is first imported while the model is loaded, when the port is open already.
"""

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cuewise.mllm.clip import Clip
from cuewise.mllm.engine.errors import EngineClosed, QueueFull
from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.media.errors import MediaError
from cuewise.mllm.media.types import Media
from cuewise.mllm.question import Answer
from cuewise.serve.cache import WorkCache
from cuewise.serve.decoding import DecodePool
from cuewise.serve.errors import ApiError
from cuewise.serve.job import Job
from cuewise.serve.metrics import Metrics
from cuewise.serve.retrying import attempts
from cuewise.serve.settings import Settings

if TYPE_CHECKING:
    from cuewise.mllm.stages import Work, Written

_LOG = logging.getLogger("cuewise.serve")
MAX_BATCH_FRAMES = 512
"""Most pictures encoded in one batch."""

MAX_BATCH_SECONDS = 240.0
"""Most sound encoded in one batch."""

T = TypeVar("T")


class Backend(Protocol):
    """Whoever answers jobs: this process, or replicas elsewhere."""

    def stream(self, job: Job) -> AsyncIterator[str | Answer]:
        """Pieces of the answer's text as they are written, then the answer. Raises ApiError."""

    async def answer(self, job: Job) -> Answer:
        """The answer alone. Raises ApiError."""

    async def ready(self) -> None:
        """Raises ApiError 503 while jobs cannot be answered."""

    async def info(self) -> dict[str, Any]:
        """Model, engine, attention and their numbers."""


async def answer_of(service: "Service", job: Job, work: "Work | None" = None) -> Answer:
    """The answer to a job without its pieces."""
    async for piece in service.stream(job, work):
        if isinstance(piece, Answer):
            return piece
    raise ApiError("internal", "the answer ended without a report")


class Service:
    """One model in this process. `start` it inside a running event loop."""

    def __init__(self, settings: Settings, metrics: Metrics | None = None):
        self.settings, self.metrics = settings, metrics or Metrics()
        self.media = settings.media
        self._pool = DecodePool(self.media, settings.workers)
        self._compute = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._cache = WorkCache(settings.cache_clips, on_look_up=lambda how: self.metrics.cache.labels(how).inc())
        self._to_encode: asyncio.Queue[tuple[Work, asyncio.Future[Work]]] = asyncio.Queue()
        self._encoder: asyncio.Task | None = None
        self.stages: Any = None
        self.engine: Any = None
        self._failed: str | None = None

    async def start(self) -> None:
        """Load the model and start everything; `ready` says when jobs can be answered."""
        self._pool.start()
        try:
            with collector_paused():
                await self._in_thread(self._load)
        except Exception as error:
            self._failed = str(error)
            raise
        self._encoder = asyncio.create_task(self._encode_forever())
        self._compute.submit(_warm_up)

    def _load(self) -> None:
        import torch

        from cuewise.mllm.engine.aio import AsyncEngine
        from cuewise.mllm.pipeline import load_model, make_engine
        from cuewise.mllm.stages import Stages

        options, threads = self.settings.engine, self.settings.model_threads
        torch.set_num_threads(threads)
        given = self.settings
        model, processor, name = load_model(given.model, given.device, given.adapter, given.attention, given.realloc)
        stages = Stages(model, processor, name=name, speech_to_text=self.settings.speech_to_text)
        more = {"slots": options.slots, "max_waiting": options.queue, "stall_s": options.watchdog_s,
                "graphs": options.graphs}  # fmt: skip
        engine = make_engine(options.name, stages, **more)
        self._read_as_trained(processor.media_config(self.settings.media))
        self.engine = AsyncEngine(engine, threads=threads).start()
        self.stages = stages

    def _read_as_trained(self, media: MediaConfig) -> None:
        """Decode as the model wants it, where it was trained with other options than the settings have."""
        if media != self.media:
            self._pool.close()
            self.media, self._pool = media, DecodePool(media, self.settings.workers)
            self._pool.start()

    async def close(self) -> None:
        """End everything at once; use `drain` of the gate first."""
        if self._encoder is not None:
            self._encoder.cancel()
            await asyncio.gather(self._encoder, return_exceptions=True)
        if self.engine is not None:
            await asyncio.to_thread(self.engine.close)
        await asyncio.to_thread(self._pool.close)
        self._compute.shutdown(wait=False, cancel_futures=True)

    async def ready(self) -> None:
        if self._failed:
            raise ApiError("engine_dead", f"the model cannot be loaded: {self._failed}")
        if self.engine is None:
            raise ApiError("engine_loading", "the model is being loaded; try again in a moment", retry_after_s=2)
        try:
            self.engine.check_health()
        except EngineClosed as error:
            raise ApiError("engine_dead", f"the engine does not answer: {error}", retry_after_s=10) from error

    async def info(self) -> dict[str, Any]:
        if self.stages is None:
            return {"model": self.settings.model, "engine": self.settings.engine.name, "attention": None}
        return {
            "model": self.stages.name, "engine": self.settings.engine.name,
            "attention": attention_of(self.stages.model), "device": str(self.stages.model.device),
            "max_length": self.stages.max_length,
            "streams": list(self.stages.processor.plan.streams), "labels": list(self.stages.model.config.labels),
        }  # fmt: skip

    def stats(self) -> dict[str, float]:
        """Counters of the engine."""
        return asdict(self.engine.stats()) if self.engine is not None else {}

    async def answer(self, job: Job) -> Answer:
        return await answer_of(self, job)

    async def stream(self, job: Job, work: "Work | None" = None) -> AsyncIterator[str | Answer]:
        """See `Backend`. `work` is the clip where it was encoded elsewhere."""
        began = time.perf_counter()
        taken = began - job.waited_s
        await self.ready()
        try:
            async with asyncio.timeout(job.deadline_s):
                work = work.again(job.question, taken) if work is not None else await self._prepared(job, taken)
        except TimeoutError:
            raise late(job) from None
        except MediaError as error:
            raise job.refusal(error) from None
        except ValueError as error:
            raise refused(error) from None
        pieces = self._once(job, work, taken)
        if job.question.tries > 1:
            pieces = attempts(job, work, taken, self._once, self.settings.retry)
        async with aclosing(pieces) as stream:
            async for piece in stream:
                if isinstance(piece, Answer):
                    self.metrics.answered(piece.report.timing_ms, piece.usage)
                yield piece

    async def _once(self, job: Job, work: "Work", taken: float) -> AsyncIterator[str | Answer]:
        """Pieces of one answer about an encoded clip, then the answer."""
        from cuewise.mllm.stages import Written

        left = max(job.deadline_s - (time.perf_counter() - taken - job.waited_s), 0.001)
        try:
            async with asyncio.timeout(left):
                request = await self._run(self.stages.request, work, job.id, left)
        except TimeoutError:
            raise late(job) from None
        except ValueError as error:
            raise refused(error) from None
        written = Written(job.id, work.question.opening)
        try:
            events = self.engine.submit(request)
        except QueueFull as error:
            raise ApiError("overloaded", f"the engine is full: {error}", retry_after_s=2) from None
        except EngineClosed as error:
            raise ApiError("engine_dead", f"the engine does not answer: {error}", retry_after_s=10) from None
        except ValueError as error:
            code = (
                "invalid_schema" if work.question.schema is not None and "grammar" in str(error) else "invalid_request"
            )
            raise ApiError(code, str(error), param="response_format" if code == "invalid_schema" else None) from None
        whole = work.question.turned
        try:
            if written.opening and not whole:
                yield written.opening
            async for event in events:
                if not written.completion.token_ids:
                    self.metrics.first_token.observe(time.perf_counter() - taken)
                written.add(event)
                if event.text and not whole:
                    yield event.text
        finally:
            await events.aclose()
        answer = await self._concluded(job, work, written)
        if whole:
            yield answer.report.text
        yield answer

    async def prepared(self, job: Job) -> "Work":
        """A clip decoded, measured and encoded, for an engine elsewhere. Raises ApiError."""
        try:
            async with asyncio.timeout(job.deadline_s):
                return await self._prepared(job, time.perf_counter())
        except TimeoutError:
            raise late(job) from None
        except MediaError as error:
            raise job.refusal(error) from None

    async def _prepared(self, job: Job, taken: float) -> "Work":
        if not (self.settings.cache_clips and job.cache):
            return await self._made(job, taken)
        key = await asyncio.to_thread(job.content_key)
        work, known = await self._cache.get(key, lambda: self._made(job, taken))
        return work.again(job.question, taken) if known else work

    async def _made(self, job: Job, taken: float) -> "Work":
        clip = job.clip
        has_media = clip.path is not None or clip.data is not None or clip.audio is not None
        media = await self._pool.load(clip) if has_media else await asyncio.to_thread(words_alone, clip, self.media)
        work = await self._run(self.stages.measure, clip, job.question, media, taken)
        if work.tensors.streams:
            done = asyncio.get_running_loop().create_future()
            self._to_encode.put_nowait((work, done))
            await done
        await self._run(work.settle)
        return work

    async def _concluded(self, job: Job, work: "Work", written: "Written") -> Answer:
        completion = written.completion
        if completion.finish_reason == "deadline":
            raise late(job)
        if completion.finish_reason == "error":
            raise ApiError("generation_failed", f"the model failed on this request: {completion.error}")
        if completion.finish_reason in ("cancelled", None):
            raise ApiError("engine_dead", "the engine ended before the answer was complete", retry_after_s=5)
        return await self._run(self.stages.conclude, work, written)

    async def _encode_forever(self) -> None:
        """Encode what waits, together: a batch is whatever came while the last one ran."""
        while True:
            waiting = [await self._to_encode.get()]
            most = self.settings.encode_batch if self.settings.device != "cpu" else 1
            while not self._to_encode.empty() and fits(waiting, most):
                waiting.append(self._to_encode.get_nowait())
            waiting = [item for item in waiting if not item[1].done()]
            self.metrics.encode_batch.observe(len(waiting))
            try:
                await self._run(self.stages.encode, [work for work, _ in waiting])
            except Exception as error:
                await self._encode_alone(waiting, error)
            for work, done in waiting:
                if not done.done():
                    done.set_result(work)

    async def _encode_alone(self, waiting: "Sequence[tuple[Work, asyncio.Future]]", error: Exception) -> None:
        """After a batch that failed: each clip alone, so that only the one at fault fails."""
        _LOG.warning("a batch of %d clips could not be encoded (%s); trying each alone", len(waiting), error)
        for work, done in waiting:
            try:
                await self._run(self.stages.encode, [work])
            except Exception as own:
                _LOG.exception("a clip could not be encoded")
                if not done.done():
                    done.set_exception(ApiError("generation_failed", f"the clip could not be encoded: {own}"))

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._compute, function, *args)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.to_thread(function)


def fits(waiting: "Sequence[tuple[Work, Any]]", most: int) -> bool:
    """True while another clip may join a batch, by clips, pictures and seconds of sound."""
    pictures = sum(len(s.values) for work, _ in waiting for name, s in work.tensors.streams.items()
                   if name in ("face", "scene"))  # fmt: skip
    seconds = sum(work.media.duration_s for work, _ in waiting if "voice" in work.tensors.streams)
    return len(waiting) < most and pictures < MAX_BATCH_FRAMES and seconds < MAX_BATCH_SECONDS


def _warm_up() -> None:
    """Load what the first clip would else wait for."""
    from cuewise.mllm.evidence import face_actions, scene, voice  # noqa: F401


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """No search for garbage while much is built that stays; it costs a quarter of the time that imports take.

    What was built is left out of later searches, which would otherwise stop every thread to look through it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def words_alone(clip: Clip, config: MediaConfig) -> Media:
    """A clip without media; nothing of it needs a process that can be killed."""
    from cuewise.mllm.media import load_media

    return load_media(clip, config)


def refused(error: ValueError) -> ApiError:
    """The error of a question that cannot be asked."""
    return ApiError("prompt_too_long" if "longer than" in str(error) else "invalid_request", str(error))


def late(job: Job) -> ApiError:
    """The error of a request that took too long."""
    return ApiError("deadline", f"not finished within {job.deadline_s:g} s; ask for a shorter clip or "
        f"answer, or allow more "
                    "time with deadline_s")  # fmt: skip


def attention_of(model: Any) -> str:
    """Name of the attention kernels of the language model."""
    from cuewise.mllm.attention import NAME, chosen

    used, choice = getattr(model.language_model.config, "_attn_implementation", None), chosen()
    return choice.name if used == NAME and choice is not None else str(used or "unknown")
