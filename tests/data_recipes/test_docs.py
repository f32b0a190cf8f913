"""The pages about data say what the code says."""

import ast
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

from cuewise.data_recipes.corpora import CORPORA
from cuewise.data_recipes.synthetic import config
from cuewise.data_recipes.synthetic.script import bank

DOCS = Path(__file__).parents[2] / "docs"


def option_table() -> list[str]:
    """Rows of the option table, from the fields of `SynthConfig` and the docstrings below them."""
    body = next(
        node for node in ast.parse(Path(config.__file__).read_text()).body if isinstance(node, ast.ClassDef)
    ).body
    defaults = asdict(config.SynthConfig())
    rows = []
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            name = field.target.id
            default = "all eight" if name == "labels" else str(defaults[name])
            rows.append(f"| `{name}` | {default} | {text.value.value} |")
    return rows


def test_every_option_of_the_synthetic_corpus_is_documented():
    page = (DOCS / "synthetic.md").read_text()
    rows = option_table()
    assert len(rows) == len(asdict(config.SynthConfig()))
    missing = [row for row in rows if row not in page]
    assert not missing, "docs/synthetic.md, section Options, should have:\n" + "\n".join(rows)
    assert f"({len(bank())} in English" in page


def test_every_corpus_is_documented_with_licence_and_use():
    page = (DOCS / "data.md").read_text()
    for corpus in CORPORA.values():
        licence = corpus.licence
        start = f"| `{corpus.name}` | {licence} | {'yes' if corpus.product_use else 'no'} |"
        assert start in page, f"docs/data.md has no line that starts with {start}"
