"""docs/media.md says what the code says: every option with its default and meaning, every error code.

The tables are made here; when an option changes, put the printed table into the page.
"""

import ast
import inspect
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

from cuewise.mllm.media import config as module
from cuewise.mllm.media.errors import CODES

PAGE = Path(__file__).parents[3] / "docs" / "media.md"


def option_table() -> str:
    """Markdown rows of all options, from the fields and the text below them."""
    tree = ast.parse(inspect.getsource(module))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "MediaConfig").body
    rows = []
    for option, below in pairwise(body):
        if isinstance(option, ast.AnnAssign):
            text = " ".join(below.value.value.split())
            value = getattr(module.MediaConfig(), option.target.id)
            shown = f"{value:,}" if isinstance(value, int) and value >= 10_000 else f"{value}"
            rows.append(f"| `{option.target.id}` | {shown} | {text} |")
    assert len(rows) == len(fields(module.MediaConfig))
    return "\n".join(rows)


def code_table() -> str:
    return "\n".join(f"| `{code}` | {text} |" for code, text in CODES.items())


def test_the_page_lists_every_option():
    assert option_table() in PAGE.read_text(), f"the option table of docs/media.md should be:\n{option_table()}"


def test_the_page_lists_every_error_code():
    assert code_table() in PAGE.read_text(), f"the table of codes of docs/media.md should be:\n{code_table()}"


def test_the_page_lists_every_problem_code():
    """Problem codes are written out where they arise."""
    sources = "".join(path.read_text() for path in Path(module.__file__).parent.glob("*.py"))
    codes = {piece.split('"')[0] for piece in sources.split('Problem(code="')[1:]}
    assert codes
    assert all(f"`{code}`" in PAGE.read_text() for code in codes)
