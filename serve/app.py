"""The web application over a backend. `create_app` builds it anew each time, so that it can be built in any process."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cuewise.serve import web
from cuewise.serve.auth import Gate, Keys
from cuewise.serve.errors import ApiError, as_error
from cuewise.serve.limits import LimitsMiddleware
from cuewise.serve.media.fetch import Fetcher
from cuewise.serve.media.files import FileStore
from cuewise.serve.metrics import Metrics
from cuewise.serve.routes import analyze, chat, files, system, timeline
from cuewise.serve.service import Backend, Service
from cuewise.serve.settings import Settings
from cuewise.serve.state import NOTICE, State

_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large", 415: "unsupported_media_type"}


def create_app(
    settings: Settings, backend: Backend | None = None, metrics: Metrics | None = None, *,
    on_broken: Callable[[BaseException], None] | None = None,
) -> FastAPI:  # fmt: skip
    """The application.

    Args:
        backend: who answers; by default a `Service` in this process, which is loaded when the app starts.
        on_broken: the model is then loaded while the app already answers (with 503 until it is ready), and this is
            told why when that fails.
    """
    metrics = metrics or Metrics()
    own = Service(settings, metrics) if backend is None else None
    state = State(
        settings=settings, backend=backend or own, metrics=metrics, files=FileStore(settings.files),
        fetcher=Fetcher(settings.urls), keys=Keys(settings.keys), gate=Gate(settings.limits.in_flight),
        created=int(time.time()),
    )  # fmt: skip
    metrics.watch(own.stats if own is not None else dict, lambda: state.gate.in_flight)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = None
        if own is not None:
            loading = asyncio.ensure_future(own.start())
            if on_broken is None:
                await loading
            else:
                loading.add_done_callback(lambda done: _told(done, on_broken))
        yield
        if loading is not None:
            loading.cancel()
        if own is not None:
            await own.close()
        state.files.close()

    app = FastAPI(
        title="cuewise", version=_version(), description=f"Reads emotion from short clips, with evidence. {NOTICE}",
        lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/openapi.json",
    )  # fmt: skip
    app.state.cuewise = state
    add_errors(app)
    for routes in (analyze, chat, timeline, files, system):
        routes.add(app)
    app.add_middleware(LimitsMiddleware, settings=settings, metrics=metrics)
    web.add(app)
    return app


def _told(done: asyncio.Future[None], on_broken: Callable[[BaseException], None]) -> None:
    if not done.cancelled() and done.exception() is not None:
        on_broken(done.exception())


def add_errors(app: FastAPI) -> None:
    """Every failure leaves in the OpenAI shape."""

    @app.exception_handler(ApiError)
    async def refused(request: Request, error: ApiError) -> Response:
        request.state.error_code = error.code
        return JSONResponse(error.body(), error.status, error.headers())

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        code = _BY_STATUS.get(error.status_code, "invalid_request" if error.status_code < 500 else "internal")
        request.state.error_code = code
        message = f"{request.method} {request.url.path[:200]}: {error.detail}"
        return JSONResponse(ApiError(code, message).body(), error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ApiError("invalid_request", f"{where}: {first['msg']}", param=where)
        request.state.error_code = known.code
        return JSONResponse(known.body(), known.status)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        known = as_error(error, request)
        request.state.error_code = known.code
        return JSONResponse(known.body(), known.status, known.headers())


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cuewise")
    except PackageNotFoundError:
        return "0"
