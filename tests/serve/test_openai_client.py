"""The official client, unchanged: every answer validates with its own response models."""

import base64

import openai
import pytest
from openai.types import FileDeleted, FileObject, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, ConfigDict

from cuewise.mllm.report import EmotionReport


@pytest.fixture(scope="module")
def sdk(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0, timeout=300) as sdk:
        yield sdk


@pytest.fixture(scope="module")
def messages(video):
    url = f"data:video/mp4;base64,{base64.b64encode(video.read_bytes()).decode()}"
    return [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": url}}]}]


def test_chat(sdk, messages):
    answer = sdk.chat.completions.create(
        model="tiny", messages=messages, max_tokens=32, extra_body={"emotion": {"form": "direct"}}
    )
    ChatCompletion.model_validate(answer.model_dump())
    report = EmotionReport.model_validate(answer.choices[0].message.model_extra["emotion"])
    assert answer.choices[0].message.content == report.text and answer.usage.total_tokens > 0


def test_stream(sdk, messages):
    stream = sdk.chat.completions.create(
        model="tiny", messages=messages, max_tokens=32, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.model_dump())
    last = next(chunk for chunk in reversed(chunks) if chunk.choices)
    EmotionReport.model_validate(last.model_extra["emotion"])
    assert last.choices[0].finish_reason == "length" and chunks[-1].usage.completion_tokens == 32


class Mood(BaseModel):
    """What is asked for: every kind of field, none of them with a limit."""

    model_config = ConfigDict(extra="forbid")

    calm: bool
    people: int
    level: float
    why: str | None
    labels: list[str]


def test_the_stream_helper_of_the_client(sdk, messages):
    with sdk.chat.completions.stream(model="tiny", messages=messages, response_format=Mood) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Mood) and "content.delta" in kinds


def test_parse_with_a_pydantic_class(sdk, messages):
    answer = sdk.chat.completions.parse(model="tiny", messages=messages, response_format=Mood)
    assert isinstance(answer.choices[0].message.parsed, Mood)


def test_files(sdk, video):
    stored = sdk.files.create(file=("clip.mp4", video.read_bytes()), purpose="user_data")
    FileObject.model_validate(stored.model_dump(exclude_none=True))
    assert sdk.files.retrieve(stored.id).filename == "clip.mp4"
    assert stored.id in [file.id for file in sdk.files.list()]
    assert sdk.files.content(stored.id).read() == video.read_bytes()
    parts = [{"type": "file", "file": {"file_id": stored.id}}]
    answer = sdk.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": parts}],
        max_tokens=8,
        extra_body={"emotion": {"form": "direct"}},
    )
    assert answer.choices[0].message.model_extra["emotion"]["clip"] == "clip.mp4"
    gone = sdk.files.delete(stored.id)
    FileDeleted.model_validate(gone.model_dump())
    with pytest.raises(openai.NotFoundError):
        sdk.files.retrieve(stored.id)


def test_models(sdk):
    models = list(sdk.models.list())
    assert [model.id for model in models] == ["tiny"]
    Model.model_validate(sdk.models.retrieve("tiny").model_dump())
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("gpt")


@pytest.mark.parametrize(
    ("change", "kind"),
    [({"model": "gpt"}, openai.NotFoundError), ({"temperature": 7}, openai.BadRequestError)],
)
def test_refusals_are_the_client_s_own_errors(sdk, messages, change, kind):
    with pytest.raises(kind) as caught:
        sdk.chat.completions.create(**{"model": "tiny", "messages": messages} | change)
    assert caught.value.code and caught.value.type == "invalid_request_error" and caught.value.request_id
