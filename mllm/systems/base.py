"""`System`: whatever can be asked about a clip, behind one interface.

Our own models, off-the-shelf multimodal models of transformers and remote endpoints all take `Ask` and give `Reply`.
A system keeps the order of the asks, works in batches of its own choice, and turns a broken clip or a failed request
into `Reply.error`, never into an exception.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Literal, Protocol

from cuewise.mllm.clip import Clip
from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.report import EmotionReport

Form = Literal["explained", "direct"]


WAYS = ("hints", "tries", "tone", "token_budget", "staged")
"""Options that go around a system."""

SHOWN_MEDIA = MediaConfig(num_frames=8, frame_size=448, detector="none")
"""How clips are read for systems that look at whole frames: eight of them, as MER-UniBench does."""


class SystemLoadError(ValueError):
    """No such system, or it cannot be loaded; the message says what to change."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Ask:
    """One question about one clip."""

    id: str
    """Name of the sample, unique within a run."""

    clip: Clip | None
    """None: text only."""

    prompt: str | None = None
    """The question; None is the standard question of `form`."""

    form: Form = "explained"
    """How our own answers are written: with cues and reasoning, or labels only."""

    candidates: tuple[str, ...] = ()
    """Closed label set that is shown in the prompt; open vocabulary without."""

    statement: str | None = None
    """A statement about the clip to be judged."""

    hints: str | None = None
    """What small readers say, put first; see `cuewise.mllm.hints`."""

    addition: str | None = None
    """Text put last: what was wrong with an answer before (`cuewise.mllm.retry`), or what a prompt variant adds."""

    max_tokens: int | None = None
    """Longest answer in tokens; None is the default of the system."""

    temperature: float = 0.0
    """0 is greedy."""

    seed: int = 0
    """Seed of this ask alone: neither batch nor order changes a sampled answer."""

    def __post_init__(self) -> None:
        if self.form not in ("explained", "direct"):
            raise ValueError(f"ask {self.id!r}: form must be explained or direct, got {self.form!r}")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"ask {self.id!r}: max_tokens must be >= 1, got {self.max_tokens}")
        if not self.temperature >= 0:
            raise ValueError(f"ask {self.id!r}: temperature must be >= 0, got {self.temperature}; 0 is greedy")
        if self.clip is None and not self.prompt:
            raise ValueError(f"ask {self.id!r} has neither a clip nor a prompt; give one of them")


@dataclass(slots=True, frozen=True)
class ReplyError:
    """Why there is no answer. `code` is stable, `message` is one line for people."""

    code: str
    message: str


@dataclass(kw_only=True, slots=True)
class Reply:
    """The answer to one `Ask`."""

    id: str
    text: str = ""
    """What the system wrote, unchanged."""

    prompt: str = ""
    """The prompt as shown, media as ``[face]``, ``[8 frames]`` and the like; for people and logs."""

    report: EmotionReport | None = None
    """The whole report, from our own models."""

    error: ReplyError | None = None
    usage: dict[str, int] = field(default_factory=dict)
    """`prompt_tokens`, `completion_tokens` and, where known, `media_tokens`."""

    timing_ms: dict[str, float] = field(default_factory=dict)
    """Time of each part where a system knows it, in milliseconds."""

    finish_reason: str | None = None
    """`stop` or `length`, or what the system says."""


class System(Protocol):
    """Anything that answers asks. Close it when done."""

    name: str

    def describe(self) -> dict[str, Any]:
        """Kind, model, weights hash, dtype, attention, versions: all that a table of results must name."""

    def answer(self, asks: Iterable[Ask]) -> Iterator[Reply]:
        """One reply per ask, in order."""

    def close(self) -> None:
        """Free processes, connections and memory."""


def load_system(spec: str | Path, **options: Any) -> System:
    """The system behind a name.

    Args:
        spec: a shipped model (``nano``), a folder of one of our models, a folder of a multimodal model of transformers
            (chosen by `model_type` in its config.json), ``openai:MODEL@http://host:port/v1``, ``words[:LEXICON]``, the
            words alone by tables, or a YAML file that mixes several of these (`cuewise.mllm.systems.ensemble`).
        options: go to the system: `media` (a `MediaConfig`, or a mapping with the fields that differ from the default
            of this kind of system), `device`, and what the kind of system takes besides. `hints` and the other `WAYS`
            go around every system, see `cuewise.mllm.systems.ways`.

    Raises SystemLoadError.
    """
    ways = {name: options.pop(name) for name in WAYS if name in options}
    if ways:
        return import_module("cuewise.mllm.systems.ways").wrapped(load_system(spec, **options), ways)
    text = str(spec)
    if text.startswith("openai:"):
        made = import_module("cuewise.mllm.systems.openai_endpoint").OpenAISystem
        return made.from_spec(text, **checked(options, SHOWN_MEDIA, made.__init__))
    if text.partition(":")[0] == "words" and not Path(text).exists():
        checked(options, SHOWN_MEDIA)
        return import_module("cuewise.mllm.systems.words").WordsSystem.from_spec(text)
    if text.endswith((".yaml", ".yml")):
        return import_module("cuewise.mllm.systems.ensemble").EnsembleSystem.load(text, **options)
    if model_kind(text) == "cuewise":
        made = import_module("cuewise.mllm.systems.cuewise").CuewiseSystem
        pipeline = import_module("cuewise.mllm.pipeline")
        return made.load(text, **checked(options, MediaConfig(), pipeline.Analyzer.load))
    adapters = import_module("cuewise.mllm.systems.adapters")
    made = adapters.adapter_class(text)
    return made.load(Path(text), **checked(options, SHOWN_MEDIA, made.load, made.__init__))


_NO_OPTIONS = {"self", "options", "name", "folder", "model", "processor", "base_url"}


def checked(options: dict[str, Any], default: Any, *takers: Callable[..., Any]) -> dict[str, Any]:
    """Options with `media` over the `default` config. Raises SystemLoadError for one that none of `takers` has."""
    known = {name for taker in takers for name in signature(taker).parameters} - _NO_OPTIONS
    for name in options:
        if name not in known:
            near = get_close_matches(name, known | {*WAYS}, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(sorted(known | {*WAYS}))}"
            raise SystemLoadError(f"unknown option `{name}` of this system; {hint}")
    media = options.get("media")
    if not isinstance(media, dict):
        return options
    try:
        return {**options, "media": replace(default, **media)}
    except (TypeError, ValueError) as error:
        raise SystemLoadError(f"option `media`: {error}") from error


def model_kind(spec: str | Path) -> Literal["cuewise", "transformers"]:
    """Whether a name or folder is one of our models or an off-the-shelf one. Raises SystemLoadError."""
    import json

    from cuewise.mllm.folders import ModelNotFoundError, model_folder

    try:
        folder = model_folder(spec)
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ModelNotFoundError as error:
        raise SystemLoadError(f"{error}, nor an endpoint (openai:MODEL@http://host:port/v1)") from error
    except (OSError, ValueError) as error:
        raise SystemLoadError(f"model {str(spec)!r}: its config.json cannot be read ({error})") from error
    return "cuewise" if isinstance(found, dict) and found.get("model_type") == "cuewise" else "transformers"
