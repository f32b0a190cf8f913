"""HTML that cannot be injected into: text is escaped unless `tag` itself made it."""

import html


class Markup(str):
    """A piece of HTML made by `tag`, `join` or a template; any other string is text and gets escaped."""

    __slots__ = ()


Child = str | None
VOID = frozenset({"br", "hr", "img", "input", "source"})


def escape(text: str) -> Markup:
    """Text as HTML; control characters that no page may hold are dropped."""
    return Markup(html.escape("".join(c for c in text if c >= " " or c in "\t\n")))


def tag(name: str, *children: Child, **attributes: str | int | float | bool | None) -> Markup:
    """An element. `class_` is class, `data_start` is data-start; None and False leave an attribute out."""
    written = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        written += f" {key}" if value is True else f' {key}="{escape(_plain(value))}"'
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Pieces one after another; text among them is escaped."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children if c is not None))


def _plain(value: str | int | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
