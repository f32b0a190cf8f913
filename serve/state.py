"""What all routes of one server share."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from starlette.requests import Request

from cuewise.serve.auth import Gate, Keys
from cuewise.serve.errors import ApiError
from cuewise.serve.media.fetch import Fetcher
from cuewise.serve.media.files import FileStore
from cuewise.serve.media.source import Sources
from cuewise.serve.metrics import Metrics
from cuewise.serve.service import Backend
from cuewise.serve.settings import Key, Settings

NOTICE = (
    "Scores say how sure the model is of what is expressed, not what a person feels. This is no diagnosis and no lie "
    "detector. Do not use it to judge people at work or in class (prohibited in the EU, AI Act, Article "
    "5), nor without "
    "the consent of those shown."
)


@dataclass(kw_only=True)
class State:
    """Settings, backend, and everything that counts."""

    settings: Settings
    backend: Backend
    metrics: Metrics
    files: FileStore
    fetcher: Fetcher
    keys: Keys
    gate: Gate
    created: int = 0
    """When the server started, in seconds since 1970."""


@dataclass(slots=True)
class Visit:
    """One admitted request: who sends it and where its files lie until it is over."""

    client: Key
    request_id: str
    sources: Sources
    began: float
    """When the request came, by `time.perf_counter()`."""

    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    streaming: bool = False
    """The answer is a stream, which closes the visit at its end."""

    def close(self) -> None:
        self.stack.close()


def state_of(request: Request) -> State:
    """The state of the app a request came to."""
    return request.app.state.cuewise


def client_of(request: Request) -> Key:
    """The client of a request. Raises ApiError 401."""
    client = state_of(request).keys.client(request.headers.get("authorization"))
    request.state.client = client.name
    return client


@contextlib.asynccontextmanager
async def visit(request: Request) -> AsyncIterator[Visit]:
    """Admit a request that costs work: key, rate, room. Its files are gone when it is over."""
    state, client = state_of(request), client_of(request)
    stack = contextlib.ExitStack()
    with contextlib.ExitStack() as guard:
        guard.callback(stack.close)
        stack.enter_context(state.keys.admitted(client))
        stack.enter_context(state.gate.admitted())
        scratch = state.files.scratch()
        stack.callback(scratch.close)
        sources = Sources(state.files, scratch, state.fetcher, client.name, int(state.settings.limits.body_mb * 2**20))
        admitted = Visit(client, request.state.request_id, sources, request.state.began, stack)
        yield admitted
        if admitted.streaming:
            guard.pop_all()


def check_model(request: Request, name: str | None) -> str:
    """The model a request names; the one that is served when it names none. Raises ApiError `model_not_found`."""
    served = state_of(request).settings.model
    known = served.rstrip("/").rsplit("/", 1)[-1]
    if name is not None and name not in (known, "default"):
        raise ApiError(
            "model_not_found", f"there is no model {name[:80]!r} here; the model is {known!r}", param="model"
        )
    return known
