"""`/v1/files`: send a clip once, ask about it several times."""

import asyncio
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse

from cuewise.serve import docs
from cuewise.serve.errors import ApiError
from cuewise.serve.reading import aclosing_form, content_type, read_form, save_upload
from cuewise.serve.state import client_of, state_of, visit

PURPOSES = ("user_data", "assistants", "batch", "fine-tune", "vision", "evals")
_FORM = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {
    "type": "object", "required": ["file"], "properties": {
        "file": {"type": "string", "format": "binary"}, "purpose": {"enum": list(PURPOSES)},
    },
}}}}}  # fmt: skip


def add(app: FastAPI) -> None:
    """Add the routes."""

    @app.post("/v1/files", summary="Store a file for an hour", tags=["files"], openapi_extra=_FORM,
              responses=docs.errors(400, 401, 413, 415, 429))  # fmt: skip
    async def upload(request: Request) -> Any:
        state = state_of(request)
        async with visit(request) as admitted:
            if content_type(request) != "multipart/form-data":
                raise ApiError(
                    "unsupported_media_type", "send the file as multipart/form-data, in a part called `file`"
                )
            async with aclosing_form(await read_form(request)) as form:
                file, purpose = form.get("file"), form.get("purpose", "user_data")
                if not isinstance(file, UploadFile):
                    raise ApiError("invalid_request", "the body has no file part called `file`", param="file")
                if purpose not in PURPOSES:
                    raise ApiError("invalid_request", f"purpose must be one of {', '.join(PURPOSES)}", param="purpose")
                found = await save_upload(file, admitted.sources, "file")
            kept = _seconds(form.get("expires_after[seconds]"))
            stored = await asyncio.to_thread(
                state.files.add, found.path, found.name or "clip", purpose, admitted.client.name, kept
            )
            return JSONResponse(stored.public())

    @app.get("/v1/files", summary="List your files", tags=["files"], responses=docs.errors(401))
    async def listed(request: Request) -> Any:
        client = client_of(request)
        files = [file.public() for file in state_of(request).files.list(client.name)]
        ends = (
            {"first_id": files[0]["id"], "last_id": files[-1]["id"]} if files else {"first_id": None, "last_id": None}
        )
        return JSONResponse({"object": "list", "data": files, "has_more": False, **ends})

    @app.get("/v1/files/{file_id}", summary="Look a file up", tags=["files"], responses=docs.errors(401, 404))
    async def looked_up(request: Request, file_id: str) -> Any:
        client = client_of(request)
        return JSONResponse(state_of(request).files.get(file_id, client.name).public())

    @app.get("/v1/files/{file_id}/content", summary="The bytes of a file", tags=["files"],
             response_class=FileResponse, responses=docs.errors(401, 404))  # fmt: skip
    async def content(request: Request, file_id: str) -> Any:
        client = client_of(request)
        file = state_of(request).files.get(file_id, client.name)
        return FileResponse(file.path, filename=file.name, media_type="application/octet-stream")

    @app.delete("/v1/files/{file_id}", summary="Delete a file", tags=["files"], responses=docs.errors(401, 404))
    async def deleted(request: Request, file_id: str) -> Any:
        client = client_of(request)
        state_of(request).files.delete(file_id, client.name)
        return JSONResponse({"id": file_id, "object": "file", "deleted": True})


def _seconds(value: Any) -> float | None:
    """OpenAI's `expires_after[seconds]`. Raises ApiError."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.isdigit() or not 1 <= int(value[:12]) <= 10**9:
        raise ApiError(
            "invalid_request", "expires_after[seconds] must be a whole number of seconds from 1", param="expires_after"
        )
    return float(int(value[:12]))
