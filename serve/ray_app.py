"""The same service as Ray Serve deployments: `Ingress` (HTTP), `Decoder` (engine), and `Encoder` where it is asked for.

    cuewise serve --ray --config serve.yaml
    serve run cuewise.serve.ray_app:build model=nano
    serve run serve/config/ray.yaml

A decoder replica is a whole `Service`: it decodes media, encodes and writes, because handing encoded clips between
processes costs more than it saves until encoding is what is short. With `ray.encoders` > 0 the first half runs in
replicas of its own. `Ingress` loads no torch.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException

from cuewise.mllm.config_tools import from_dict
from cuewise.mllm.question import Answer
from cuewise.serve.errors import ApiError
from cuewise.serve.job import Job
from cuewise.serve.service import Service, answer_of
from cuewise.serve.settings import Settings, SettingsError
from cuewise.serve.sse import coalesced

if TYPE_CHECKING:
    from cuewise.mllm.stages import Work

_LOG = logging.getLogger("cuewise.serve")
APP = "cuewise"
TRIES = 3
"""How often a job is handed to a replica when replicas die; none of it may have reached the client before."""

RETRY_WAIT_S = 0.5
Outcome = tuple[str, Any]
"""(`text` | `answer` | `work` | `error`, value): refusals travel as values, so that only a dead replica raises."""


class Decoder:
    """One engine with its media workers."""

    async def __init__(self, settings: Settings):
        self.service = Service(settings)
        await self.service.start()

    async def stream(self, job: Job, encoded: Outcome | None = None) -> AsyncIterator[Outcome]:
        """Pieces of the answer, then the answer, or why there is none."""
        try:
            async for piece in coalesced(self.service.stream(job, _work(encoded))):
                yield ("text", piece) if isinstance(piece, str) else ("answer", piece)
        except Exception as error:  # the boundary to another process
            yield "error", _as_api_error(error, job)

    async def answer(self, job: Job, encoded: Outcome | None = None) -> Outcome:
        """The answer alone, in one message."""
        try:
            return "answer", await answer_of(self.service, job, _work(encoded))
        except Exception as error:  # the boundary to another process
            return "error", _as_api_error(error, job)

    async def info(self) -> dict[str, Any]:
        return await self.service.info()

    async def check_health(self) -> None:
        """Ray replaces this replica when the engine does not answer."""
        try:
            await self.service.ready()
        except ApiError as error:
            raise RuntimeError(error.message) from error

    async def __del__(self) -> None:
        await self.service.close()


class Encoder:
    """Media decoding and encoding alone."""

    async def __init__(self, settings: Settings):
        self.service = Service(settings)
        await self.service.start()

    async def encode(self, job: Job) -> Outcome:
        """A clip, decoded, measured and encoded."""
        try:
            return "work", await self.service.prepared(job)
        except Exception as error:  # the boundary to another process
            return "error", _as_api_error(error, job)

    async def __del__(self) -> None:
        await self.service.close()


class RayBackend:
    """Hands jobs to replicas; one that dies is replaced by another as long as the client has seen nothing.

    Args:
        decoder, encoder: give the handles when they are first needed; no encoder leaves encoding to the decoder.
    """

    def __init__(
        self, decoder: Callable[[], Any], encoder: Callable[[], Any] | None = None, retry_after_s: float = 2.0
    ):
        self._decoder, self._encoder, self._retry_after_s = decoder, encoder, retry_after_s

    async def answer(self, job: Job) -> Answer:
        packed = await asyncio.to_thread(job.packed)
        for left in reversed(range(TRIES)):
            try:
                kind, value = await self._decoder().answer.remote(*self._handed(packed))
            except (RayError, RayServeException, asyncio.CancelledError) as error:
                await self._again(error, left, job)
                continue
            if kind == "error":
                raise value
            return value
        raise ApiError("engine_dead", "no replica answered", retry_after_s=self._retry_after_s)

    async def stream(self, job: Job) -> AsyncIterator[str | Answer]:
        packed = await asyncio.to_thread(job.packed)
        for left in reversed(range(TRIES)):
            sent, response = False, None
            try:
                response = self._decoder().options(stream=True).stream.remote(*self._handed(packed))
                async for kind, value in response:
                    if kind == "error":
                        raise value
                    sent = True
                    yield value
                return
            except (RayError, RayServeException) as error:
                if sent:
                    raise ApiError("engine_dead", "the replica that wrote this answer has died; ask again") from error
                await self._again(error, left, job)
            finally:
                if response is not None:
                    response.cancel()

    async def ready(self) -> None:
        try:
            await asyncio.wait_for(self._info(), 5)
        except (RayError, RayServeException, TimeoutError) as error:
            raise ApiError("engine_loading", "no replica answers yet; try again in a moment",
                           retry_after_s=self._retry_after_s) from error  # fmt: skip

    async def info(self) -> dict[str, Any]:
        try:
            return await asyncio.wait_for(self._info(), 5)
        except (RayError, RayServeException, TimeoutError):
            return {}

    async def _info(self) -> dict[str, Any]:
        return await self._decoder().info.remote()

    def _handed(self, job: Job) -> tuple:
        """Arguments of a decoder: the encoded clip is passed on without waiting for it here."""
        if self._encoder is None:
            return (job,)
        return job.without_media(), self._encoder().encode.remote(job)

    async def _again(self, error: BaseException, left: int, job: Job) -> None:
        """Wait before the next try; raises ApiError when there is none."""
        if isinstance(error, BackPressureError):
            raise ApiError("overloaded", "the queues of all replicas are full; try again",
                           retry_after_s=self._retry_after_s) from error  # fmt: skip
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise error
        if not left:
            raise ApiError("engine_dead", "the replicas that were asked have died; try again",
                           retry_after_s=self._retry_after_s) from error  # fmt: skip
        _LOG.warning("request %s: a replica has died (%s); asking another", job.id, type(error).__name__)
        await asyncio.sleep(RETRY_WAIT_S)


def build_app(settings: Settings) -> serve.Application:
    """The deployments of one application, bound to each other."""
    options, limits = settings.ray, settings.limits
    actor = {"num_cpus": options.cpus, "num_gpus": options.gpus}
    at_once = settings.engine.slots + max(4, settings.engine.slots // 2)
    scaling = {
        "min_replicas": options.replicas, "max_replicas": max(options.replicas, options.max_replicas),
        "target_ongoing_requests": options.target_ongoing,
    }  # fmt: skip
    shared: dict[str, Any] = {
        "ray_actor_options": actor, "max_ongoing_requests": at_once, "max_queued_requests": limits.in_flight,
        "health_check_period_s": 2, "health_check_timeout_s": 10, "graceful_shutdown_timeout_s": 30,
    }  # fmt: skip
    bound: list[Any] = [serve.deployment(Decoder, name="Decoder", autoscaling_config=scaling, **shared).bind(settings)]
    if options.encoders:
        on_cpu = options.encoder_device == "cpu"
        shared["ray_actor_options"] = {"num_cpus": options.cpus, "num_gpus": 0 if on_cpu else options.gpus}
        encoding = replace(settings, device=options.encoder_device)
        bound.append(serve.deployment(Encoder, name="Encoder", num_replicas=options.encoders, **shared).bind(encoding))

    def make() -> Any:
        from cuewise.serve.app import create_app

        def handle(name: str) -> Callable[[], Any]:
            return lambda: serve.get_deployment_handle(name, app_name=APP)

        encoder = handle("Encoder") if options.encoders else None
        return create_app(settings, RayBackend(handle("Decoder"), encoder, options.retry_after_s))

    ingress = serve.deployment(
        serve.ingress(make)(), name="Ingress", num_replicas=1, max_ongoing_requests=limits.in_flight + 32,
        ray_actor_options={"num_cpus": 0.1}, graceful_shutdown_timeout_s=30,
    )  # fmt: skip
    return ingress.bind(*bound)


def build(args: dict[str, Any]) -> serve.Application:
    """For `serve run` and config files: settings as nested values. Raises SettingsError."""
    try:
        settings = from_dict(Settings, args)
    except (ValueError, TypeError) as error:
        raise SettingsError(str(error)) from error
    return build_app(settings)


def start(settings: Settings) -> None:
    """Start Ray if it does not run, and the application; returns when it can be reached. Raises SettingsError."""
    settings.check_bind()
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(
        proxy_location="HeadOnly",
        http_options={"host": settings.host, "port": settings.port,
                      "request_timeout_s": settings.limits.deadline_s + settings.limits.body_timeout_s},
    )  # fmt: skip
    serve.run(build_app(settings), name=APP, route_prefix="/")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in flight may finish."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        start(settings)
        while not stop.wait(0.5):
            pass
    finally:
        serve.shutdown()
        ray.shutdown()


def _work(encoded: Outcome | None) -> "Work | None":
    """The encoded clip that an encoder gave. Raises its refusal."""
    if encoded is None:
        return None
    kind, value = encoded
    if kind == "error":
        raise value
    return value


def _as_api_error(error: Exception, job: Job) -> ApiError:
    if isinstance(error, ApiError):
        return error
    _LOG.error("request %s failed", job.id, exc_info=error)
    return ApiError("internal", f"something failed here; report the request id {job.id}")
