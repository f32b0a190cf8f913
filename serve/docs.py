"""Pieces of the OpenAPI description: bodies that the routes read themselves, and errors."""

from typing import Any

from pydantic import BaseModel

from cuewise.serve.errors import CODES

_ERROR = {
    "type": "object", "required": ["error"],
    "properties": {"error": {
        "type": "object", "required": ["message", "type", "param", "code"],
        "properties": {
            "message": {"type": "string"}, "type": {"type": "string"},
            "param": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "code": {"type": "string"},
        },
    }},
}  # fmt: skip
ALWAYS = (500, 503)


def body(model: type[BaseModel], *, multipart: bool = False, required: bool = True) -> dict[str, Any]:
    """`openapi_extra` of a route that takes `model` as JSON, and as a form with files."""
    schema = inlined(model)
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if multipart:
        fields = {name: value for name, value in schema["properties"].items() if name not in ("media", "audio")}
        binary = {"type": "string", "format": "binary"}
        properties = {"file": binary, "audio": binary} | fields
        content["multipart/form-data"] = {"schema": {"type": "object", "properties": properties}}
    return {"requestBody": {"required": required, "content": content}}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that may refuse with these statuses."""
    return {
        status: {
            "description": "; ".join(f"`{name}`: "
            f"{code.meaning}" for name, code in CODES.items() if code.status == status),
            "content": {"application/json": {"schema": _ERROR}},
        }
        for status in (*statuses, *ALWAYS)
    }  # fmt: skip


def inlined(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model with its references replaced by what they name."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return resolve(definitions[node["$ref"].rsplit("/", 1)[-1]])
            return {
                key: resolve(value)
                for key, value in node.items()
                if not (key == "discriminator" and "mapping" in value)
            }
        return [resolve(item) for item in node] if isinstance(node, list) else node

    return resolve(schema)
