"""One process with everything in it: the default way to serve."""

import asyncio
import ctypes
import logging
import signal
from typing import Any

import uvicorn

from cuewise.serve.app import create_app
from cuewise.serve.settings import Settings, SettingsError

DRAIN_S = 20.0
_M_ARENA_MAX, _ARENAS = -8, 2
_LOG = logging.getLogger("cuewise.serve")


class _Server(uvicorn.Server):
    """Uvicorn that lets requests in flight end before it closes their connections."""

    def __init__(self, config: uvicorn.Config, gate: Any):
        super().__init__(config)
        self._gate, self._draining = gate, False

    def handle_exit(self, number: int, frame: Any) -> None:
        """The first signal drains, the second one stops at once."""
        if self._draining:
            self.should_exit = self.force_exit = True
            return
        self._draining = True
        _LOG.info("shutting down; requests in flight may finish within %g s", DRAIN_S)
        self._loop.call_soon_threadsafe(lambda: self._tasks.append(self._loop.create_task(self._drain())))

    async def serve(self, sockets: list | None = None) -> None:
        self._loop, self._tasks = asyncio.get_running_loop(), []
        await super().serve(sockets)

    async def _drain(self) -> None:
        await self._gate.drain(DRAIN_S)
        self.should_exit = True


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises SettingsError for a bind that is not safe or a model that is not there."""
    settings.check_bind()
    _log_to_stderr(settings.log_level)
    _few_arenas()
    broken: list[BaseException] = []

    def stop(error: BaseException) -> None:
        broken.append(error)
        server.should_exit = True

    app = create_app(settings, on_broken=stop)
    config = uvicorn.Config(
        app, host=settings.host, port=settings.port, log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=5, h11_max_incomplete_event_size=65_536,
    )  # fmt: skip
    server = _Server(config, app.state.cuewise.gate)
    server.run()
    if broken:
        raise SettingsError(f"the model cannot be served: {broken[0]}") from broken[0]


def _few_arenas() -> None:
    """Let threads share their heaps. Clips pass through a dozen of them, and each would keep what it once needed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    for name in ("transformers", "httpx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
