"""What a server says of itself: models, health, metrics."""

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cuewise.serve import docs
from cuewise.serve.metrics import CONTENT_TYPE
from cuewise.serve.state import NOTICE, State, check_model, client_of, state_of


def add(app: FastAPI) -> None:
    """Add the routes."""

    @app.get("/v1/models", summary="The model that is served", tags=["models"], responses=docs.errors(401))
    async def models(request: Request) -> Any:
        client_of(request)
        return JSONResponse({"object": "list", "data": [await described(state_of(request))]})

    @app.get("/v1/models/{model}", summary="One model", tags=["models"], responses=docs.errors(401, 404))
    async def one(request: Request, model: str) -> Any:
        client_of(request)
        check_model(request, model)
        return JSONResponse(await described(state_of(request)))

    @app.get("/healthz", summary="The process is alive", tags=["health"])
    async def alive() -> Any:
        return JSONResponse({"status": "alive"})

    @app.get("/readyz", summary="Requests can be answered", tags=["health"], responses=docs.errors())
    async def ready(request: Request) -> Any:
        state = state_of(request)
        with state.gate.looking():
            await state.backend.ready()
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", summary="Prometheus metrics", tags=["health"], responses=docs.errors(401))
    async def metrics(request: Request) -> Any:
        state = state_of(request)
        client_of(request)
        attention = (await state.backend.info()).get("attention")
        if attention:
            state.metrics.attention.labels(attention).set(1)
        return Response(state.metrics.text(), headers={"content-type": CONTENT_TYPE})


async def described(state: State) -> dict[str, Any]:
    """The OpenAI model object, with what is worth knowing about it here."""
    info, limits, media = await state.backend.info(), state.settings.limits, state.settings.media
    return {
        "id": state.settings.model.rstrip("/").rsplit("/", 1)[-1], "object": "model", "created": state.created,
        "owned_by": "cuewise", "notice": NOTICE,
        "limits": {
            "body_mb": limits.body_mb, "max_seconds": media.max_seconds, "max_tokens": limits.max_tokens,
            "deadline_s": limits.deadline_s, "timeline_s": limits.timeline_s, "media_items": limits.media_items,
        },
        **{name: value for name, value in info.items() if name != "model"},
    }  # fmt: skip
