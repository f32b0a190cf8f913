"""HTML that cannot be injected into: text is escaped unless `tag` itself made it. Models write whatever they like."""

import html
import re


class Markup(str):
    """HTML made by `tag` or `join`; any other string is text and gets escaped."""

    __slots__ = ()


Child = str | None
VOID = frozenset({"br", "hr", "wbr"})


def escape(text: str) -> Markup:
    """Text as HTML, without control characters and halves of surrogate pairs, which no page may hold.

    Marks that turn the direction of writing are dropped too, so that an answer cannot reorder the page around it.
    """
    kept = (c for c in text if (c >= " " or c in "\t\n") and not _unwritable(ord(c)))
    return Markup(html.escape("".join(kept)))


def tag(name: str, *children: Child, **attributes: str | int | float | bool | None) -> Markup:
    """An element. `class_` is class, `data_label` is data-label; None and False leave an attribute out."""
    written = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        written += f" {key}" if value is True else f' {key}="{escape(_plain(value))}"'
    return Markup(f"<{name}{written}>" if name in VOID else f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Pieces one after another; text among them is escaped."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children if c is not None))


def breakable(name: str) -> Markup:
    """A name that may be broken after its underscores, slashes and dots, and nowhere else if it can be helped."""
    pieces = re.split(r"(?<=[_/.])(?=\w)", name)
    return Markup(tag("wbr").join(map(escape, pieces)))


def _plain(value: str | int | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _unwritable(point: int) -> bool:
    surrogate, override = 0xD800 <= point <= 0xDFFF, 0x202A <= point <= 0x202E or 0x2066 <= point <= 0x2069
    return surrogate or override or 0x7F <= point <= 0x9F or point in (0xFFFE, 0xFFFF)
