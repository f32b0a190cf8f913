"""Runs the pipeline over clips and hands each result to the outputs; what `analyze` and `demo` share."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cuewise.errors import EXIT_OK, EXIT_USER, UserError
from cuewise.mllm.clip import Clip
from cuewise.mllm.media.faces import DetectorError
from cuewise.mllm.media.transcribe import TranscriberError
from cuewise.mllm.pipeline import AnalyzeError, Analyzer, ClipError
from cuewise.mllm.report import EmotionReport
from cuewise.outputs import Outputs, Writer


def report_on(clips: Sequence[Clip], outputs: Outputs, *, form: str = "explained", **analyzer_options: Any) -> int:
    """Analyze `clips` in one run, write results in order; the exit code says whether all could be read.

    `analyzer_options` go to `Analyzer.load` (model, media, speech_to_text, device); a model that is not ours answers
    through its adapter.
    """
    quiet_transformers()
    results = []
    try:
        with Writer(outputs) as writer:
            on_text = writer.stream if outputs.stream else None
            with _progress(len(clips)) as progress:
                for result in _results(clips, form, on_text, **analyzer_options):
                    progress.clear()
                    if outputs.stream:
                        writer.stream("\n\n")
                    writer.write(result)
                    progress.update()
                    if outputs.html:
                        results.append(result)
    except (AnalyzeError, DetectorError, TranscriberError) as error:
        raise UserError(str(error)) from error
    if outputs.html:
        _write_page(results, clips, outputs)
    return EXIT_OK if writer.failed == 0 else EXIT_USER


def _results(
    clips: Sequence[Clip], form: str, on_text: Callable[[str], None] | None, model: str = "nano", **options: Any
) -> Iterator[EmotionReport | ClipError]:
    from cuewise.other_models import is_ours, reports_by

    if not is_ours(model):
        yield from reports_by(str(model), clips, form=form, stream=on_text is not None, **options)
        return
    with Analyzer.load(model, **options) as analyzer:
        yield from analyzer.analyze_many(clips, form=form, on_text=on_text)


def quiet_transformers() -> None:
    """On the command line, loading a model is no event: no bar, and what fails is raised rather than logged."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _progress(total: int) -> Any:
    """A bar on standard error, for people who watch or runs that take a while."""
    from tqdm import tqdm

    return tqdm(
        total=total, unit="clip", file=sys.stderr, disable=total < 2 and not sys.stderr.isatty(), leave=total > 1
    )


def _write_page(results: list, clips: Sequence[Clip], outputs: Outputs) -> None:
    from cuewise.page import render_page

    try:
        render_page(list(zip(results, clips, strict=True)), outputs.html)
    except OSError as error:
        raise UserError(f"--html {outputs.html}: cannot be written ({error.strerror})") from error
    print(f"page: {outputs.html}", file=sys.stderr)
