"""What the routes take: pydantic models, strict in what they know, with limits on every text and list."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cuewise.mllm.report import Channel, Word

Text = Annotated[str, Field(max_length=20_000)]
Short = Annotated[str, Field(max_length=256)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Base64 = str


class Strict(BaseModel):
    """Unknown fields are errors; numbers are finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class MediaRef(Strict):
    """One piece of media: exactly one of `url`, `data`, `file_id`."""

    url: str | None = Field(None, description="A data URL; an http(s) address only where the operator allows it.")
    data: Base64 | None = Field(None, description="The bytes of the file in base64.")
    file_id: Short | None = Field(None, description="Id of a file sent to /v1/files.")
    filename: Short | None = Field(None, description="Name of the clip in the report.")

    @model_validator(mode="after")
    def _one(self) -> "MediaRef":
        if sum(value is not None for value in (self.url, self.data, self.file_id)) != 1:
            raise ValueError("give exactly one of url, data and file_id")
        return self


class EmotionOptions(Strict):
    """What is known about the clip, and how the answer shall look."""

    name: Short | None = Field(None, description="Name of the clip in the report; by default its file name.")
    start: Seconds | None = Field(None, description="Begin of the span to read, in seconds.")
    end: Seconds | None = Field(None, description="End of the span to read, in seconds.")
    person: Literal["largest", "central", "active"] | Annotated[int, Field(strict=True, ge=0, le=100)] = "largest"
    transcript: Text | None = Field(None, description="What is said.")
    words: list[Word] = Field(default_factory=list, max_length=5000, description="What is said, with times.")
    language: Annotated[str, Field(max_length=35)] | None = None
    context: Text | None = Field(None, description="What the model should know besides.")
    retrieve: bool = Field(False, description="Of a long context show the parts that speak of the question or words.")
    form: Literal["explained", "direct"] = Field("explained", description="With cues and reasoning, or labels only.")
    channels: list[Channel] | None = Field(None, min_length=1, max_length=4, description="Use these channels only.")
    guided: bool = Field(False, description="Let a grammar forbid answers that are not of the form.")
    tries: Annotated[int, Field(ge=1, le=100)] = Field(
        1, description="Attempts at most while an answer is malformed or contradicted by the clip; "
                       "the limit of the server holds as well."
    )  # fmt: skip
    hints: bool = Field(False, description="Put what the small heads say at the head of the prompt.")
    question: Text | None = Field(None, description="Replaces the standard question.")
    candidates: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(default_factory=list, max_length=64)
    statement: Text | None = Field(None, description="A statement about the clip to be judged.")
    deadline_s: Annotated[float, Field(gt=0, le=3600)] | None = Field(
        None, description="Longest time in seconds; the limit of the server holds as well."
    )


class Sampling(Strict):
    """How the answer is drawn; the defaults take the most likely tokens."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = None


class AnalyzeBody(EmotionOptions, Sampling):
    """One clip to analyze, as JSON."""

    model: Short | None = None
    media: MediaRef | None = Field(None, description="Video, picture or sound.")
    audio: MediaRef | None = Field(None, description="Sound from another place than the picture.")


class TimelineBody(AnalyzeBody):
    """A long clip, analyzed window by window."""

    window_s: Annotated[float, Field(ge=1, le=120)] | None = None
    hop_s: Annotated[float, Field(ge=0.5, le=120)] | None = None
    format: Literal["sse", "ndjson"] | None = Field(None, description="By default what the Accept header asks for.")


# Chat completions


class ImageUrl(Strict):
    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class MediaUrl(Strict):
    url: str


class InputAudio(Strict):
    data: Base64
    format: Annotated[str, Field(max_length=16)] = "wav"


class FilePart(Strict):
    file_id: Short | None = None
    file_data: Base64 | None = None
    filename: Short | None = None

    @model_validator(mode="after")
    def _one(self) -> "FilePart":
        if (self.file_id is None) == (self.file_data is None):
            raise ValueError("give either file_id or file_data")
        return self


class TextContent(Strict):
    type: Literal["text"]
    text: Text


class ImageContent(Strict):
    type: Literal["image_url"]
    image_url: ImageUrl


class VideoContent(Strict):
    type: Literal["video_url"]
    video_url: MediaUrl


class AudioUrlContent(Strict):
    type: Literal["audio_url"]
    audio_url: MediaUrl


class AudioContent(Strict):
    type: Literal["input_audio"]
    input_audio: InputAudio


class FileContent(Strict):
    type: Literal["file"]
    file: FilePart


Part = Annotated[
    TextContent | ImageContent | VideoContent | AudioUrlContent | AudioContent | FileContent,
    Field(discriminator="type"),
]


class Message(BaseModel):
    """One message. Fields that clients add to messages of earlier answers are let pass."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[Part], Field(max_length=64)] | None = None


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class JsonSchema(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: Short = "answer"
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None
    description: Text | None = None


class ResponseFormat(Strict):
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _schema(self) -> "ResponseFormat":
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema belongs to type `json_schema`, and to no other")
        return self


class ChatBody(BaseModel):
    """A chat completion request. Options of OpenAI that mean nothing here (`user`, `metadata`, …) are let pass."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    model: Short | None = None
    messages: list[Message] = Field(min_length=1, max_length=64)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = None
    stop: Annotated[str, Field(min_length=1, max_length=64)] | Annotated[
        list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=4)
    ] | None = None  # fmt: skip
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    n: Literal[1] | None = 1
    logprobs: Literal[False] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    response_format: ResponseFormat | None = None
    emotion: EmotionOptions = Field(default_factory=EmotionOptions)
