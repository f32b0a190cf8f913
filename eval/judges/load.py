"""Names -> judges."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cuewise.eval.judges.base import Judge, JudgeError
from cuewise.eval.judges.cache import ReplyCache

KINDS = ("stub", "local:FOLDER", "openai:MODEL@http://host:port/v1", "system:FOLDER")


def load_judge(spec: str, *, cache: str | Path | None = None, **options: Any) -> Judge:
    """The judge behind a name.

    Args:
        spec: ``stub`` (rules), ``local:FOLDER`` (a language model through our engine),
            ``openai:MODEL@http://host:port/v1``, or ``system:FOLDER`` (a multimodal model of transformers, which is
            shown the clips).
        cache: folder for replies; without it nothing is kept on disk.
        options: of that kind of judge, e.g. `device`, `api_key_env`, `concurrency`.

    Raises JudgeError.
    """
    return Judge(_writer(spec, options), ReplyCache(cache) if cache is not None else None)


def _writer(spec: str, options: dict[str, Any]) -> Any:
    kind, _, rest = spec.partition(":")
    if spec == "stub":
        from cuewise.eval.judges.stub import StubWriter

        if options:
            raise JudgeError(f"judge stub takes no options, got {', '.join(options)}")
        return StubWriter()
    if kind == "local" and rest:
        from cuewise.eval.judges.local import LocalWriter

        return LocalWriter(rest, **options)
    if kind in ("openai", "system") and rest:
        from cuewise.eval.judges.asked import SystemWriter
        from cuewise.mllm.systems.base import SystemLoadError, load_system

        try:
            return SystemWriter(load_system(spec if kind == "openai" else rest, **options))
        except SystemLoadError as error:
            raise JudgeError(f"judge {spec}: {error}") from error
    near = get_close_matches(kind, [known.partition(":")[0] for known in KINDS], n=1)
    hint = f"did you mean `{near[0]}`?" if near and near[0] != kind else f"judges are {', '.join(KINDS)}"
    raise JudgeError(f"unknown judge {spec!r}; {hint}")
