"""`POST /v1/emotion/analyze`: a clip as multipart or JSON, its `EmotionReport` back."""

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from cuewise.mllm.report import EmotionReport
from cuewise.serve import docs, policy
from cuewise.serve.errors import ApiError
from cuewise.serve.job import Job
from cuewise.serve.reading import (
    content_type,
    find,
    make_clip,
    make_job,
    make_question,
    read_json,
    read_multipart,
)
from cuewise.serve.schema import AnalyzeBody
from cuewise.serve.sse import until_gone
from cuewise.serve.state import Visit, check_model, state_of, visit


def add(app: FastAPI) -> None:
    """Add the route."""

    @app.post(
        "/v1/emotion/analyze", summary="Analyze one clip", tags=["emotion"], response_model=EmotionReport,
        openapi_extra=docs.body(AnalyzeBody, multipart=True), responses=docs.errors(400, 401, 404, 408, 413, 415, 429),
    )  # fmt: skip
    async def analyze(request: Request) -> Any:
        state = state_of(request)
        async with visit(request) as admitted:
            job = await read_job(request, admitted)
            answer = await until_gone(request.receive, state.backend.answer(job))
            report = policy.apply(answer.report, state.settings.show_flagged)
            return Response(report.model_dump_json(), media_type="application/json")


async def read_job(request: Request, admitted: Visit) -> Job:
    """The job that the body of a request describes. Raises ApiError."""
    settings = state_of(request).settings
    body, picture, sound = await read_clip(request, admitted, AnalyzeBody)
    check_model(request, body.model)
    clip = make_clip(body, picture, sound)
    question = make_question(
        body, settings, max_tokens=body.max_tokens, temperature=body.temperature, top_p=body.top_p, seed=body.seed
    )
    return make_job(admitted, clip, question, settings, body.deadline_s)


async def read_clip(request: Request, admitted: Visit, model: type[AnalyzeBody]) -> tuple[Any, Any, Any]:
    """(options, media, sound) of a JSON or multipart body."""
    kind = content_type(request)
    if kind == "multipart/form-data":
        body, picture, sound = await read_multipart(request, model, admitted.sources)
        if (picture is not None and body.media is not None) or (sound is not None and body.audio is not None):
            raise ApiError(
                "invalid_request", "media is given twice, as a file part and as an option; keep one", param="media"
            )
    else:
        body, picture, sound = await read_json(request, model), None, None
    picture = picture or await find(body.media, admitted.sources, "media")
    sound = sound or await find(body.audio, admitted.sources, "audio")
    return body, picture, sound
