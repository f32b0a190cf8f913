"""`render_page`: reports as one self-contained HTML page, with the clips inside it and nothing loaded from elsewhere.

The page forbids by its own policy whatever is not in it: no other host is reached, and no script runs but ours, whose
hash the policy names. All text of a report is escaped on its way in.
"""

import base64
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from cuewise.mllm.clip import Clip
from cuewise.mllm.report import EmotionReport, Word
from cuewise.page.embed import Budget, player, still_frames
from cuewise.page.markup import Markup, escape, join, tag
from cuewise.page.sections import contents, error_section, report_section
from cuewise.wording import NOTICE, headline

_FOLDER = Path(__file__).parent


def render_page(results: Sequence[tuple[Any, Clip]], out: str | Path) -> None:
    """Write the page for (report or clip error, its clip) pairs. The file appears whole or not at all."""
    budget = Budget()
    sections, names = [], []
    for number, (result, clip) in enumerate(results):
        if isinstance(result, EmotionReport):
            sections.append(_section(result, clip, budget, number))
            names.append((result.clip, headline(result)))
        else:
            sections.append(error_section(result.clip, result.code, result.message, number))
            names.append((result.clip, "not read"))
    title = f"{names[0][0]}: {names[0][1]}" if len(names) == 1 else f"{len(names)} clips"
    _write_whole(Path(out), assemble(title, join(contents(names), *sections)))


def assemble(title: str, body: Markup) -> str:
    """The page around its sections."""
    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = Template((_FOLDER / "page.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(title), style=style, script=script, script_hash=digest, body=body, notice=tag("p", NOTICE)
    )


def _section(report: EmotionReport, clip: Clip, budget: Budget, number: int) -> Markup:
    has_picture = any(name in report.streams and report.streams[name].present for name in ("face", "scene"))
    if not report.words and clip.transcript:  # words without times are not in the report, but they were read
        report = report.model_copy(update={"words": [Word(text=text) for text in clip.transcript.split()]})
    element, why = player(clip, budget, has_picture)
    is_still = element is not None and "<img" in element
    posters = still_frames(clip) if has_picture and report.duration and not is_still else []
    return report_section(report, element, why, posters, number)


def _write_whole(path: Path, text: str) -> None:
    handle, part = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
