"""Configs: nested dataclasses, built from plain values, where an unknown option is an error that names the nearest."""

import re
import types
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

CLOSED = (["stages"],)
"""Groups to which an assignment seldom adds one: a name near an existing one is a slip. Sources and others grow."""

_PLAIN_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
"""1e-4 is a number to people; to YAML it is a word, and 1.0e-4 a number."""


def from_dict(cls: type, values: dict[str, Any], path: str = "") -> Any:
    """Build the dataclass `cls`, nested ones included, from plain values.

    A class with an attribute `SHORT` may be written as the value of that option alone. Raises ValueError for an option
    that does not exist (with the nearest one) or a value of the wrong kind.
    """
    if not isinstance(values, dict) and hasattr(cls, "SHORT"):
        values = {cls.SHORT: values}
    if not isinstance(values, dict):
        raise ValueError(f"{path.rstrip('.') or cls.__name__} must be a mapping of options, got {values!r}")
    hints = get_type_hints(cls)
    known = {field.name for field in fields(cls) if field.init}
    built = {}
    for key, value in values.items():
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean `{path}{near[0]}`?" if near else f"; known options: {', '.join(sorted(known))}"
            raise ValueError(f"unknown option `{path}{key}`{hint}")
        built[key] = coerce(hints[key], value, f"{path}{key}")
    lacking = [field.name for field in fields(cls) if field.init and field.name not in built
               and field.default is MISSING and field.default_factory is MISSING]  # fmt: skip
    if lacking:
        raise ValueError(f"`{path.rstrip('.') or cls.__name__}` needs `{lacking[0]}`")
    return cls(**built)


def override(values: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """`values` with each ``key.sub=value`` applied; the value is read as YAML."""
    for assignment in assignments:
        key, sign, text = assignment.partition("=")
        if not sign or not key:
            raise ValueError(f"`{assignment}` is not of the form key=value")
        target = values
        *parents, last = key.split(".")
        for depth, parent in enumerate(parents):
            if parents[:depth] in CLOSED and parent not in target:
                near = get_close_matches(parent, target, n=1, cutoff=0.75)
                if near:
                    raise ValueError(f"`{key}`: there is no `{parent}`; did you mean `{near[0]}`?")
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise ValueError(f"`{key}`: `{parent}` is a value, not a group of options")
        try:
            target[last] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ValueError(f"`{assignment}`: the value is not valid YAML") from None
    return values


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping; errors name the file."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML ({error})") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: a mapping of options is needed at the top level")
    return values


def coerce(hint: Any, value: Any, path: str) -> Any:
    """`value` as the annotation `hint` wants it. Raises ValueError that names `path` for one of the wrong kind."""
    if is_dataclass(hint):
        return value if isinstance(value, hint) else from_dict(hint, value, path + ".")
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        for option in args:
            if is_dataclass(option) and isinstance(value, dict):
                return from_dict(option, value, path + ".")
        return value
    if origin is Literal and isinstance(value, bool) and value not in args:
        value = next((word for word in (("yes", "on") if value else ("no", "off")) if word in args), value)  # YAML's no
    if origin is Literal and value not in args:
        raise ValueError(f"`{path}` must be one of {', '.join(map(str, args))}, got {value!r:.80}")
    if origin is list and args:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"`{path}` must be a list, got {value!r:.80}")
        return [coerce(args[0], item, f"{path}[{index}]") for index, item in enumerate(value)]
    if origin is dict and len(args) == 2:
        if not isinstance(value, dict):
            raise ValueError(f"`{path}` must be a mapping, got {value!r:.80}")
        return {coerce(args[0], key, f"{path}: key"): coerce(args[1], item, f"{path}.{key}")
                for key, item in value.items()}  # fmt: skip
    if origin in (tuple, Sequence) and isinstance(value, str):
        raise ValueError(f"`{path}` must be a list, got {value!r:.80}")
    if origin is tuple and isinstance(value, list):
        kinds = args if len(args) == len(value) and ... not in args else args[:1] * len(value)
        return tuple(coerce(kind, item, f"{path}[{index}]") for index, (kind, item) in enumerate(zip(kinds, value)))
    if hint is float and isinstance(value, str) and _PLAIN_EXPONENT.fullmatch(value):
        return float(value)
    wanted = {int: (int,), float: (int, float), str: (str,), bool: (bool,)}.get(hint)
    if wanted and (not isinstance(value, wanted) or (hint is not bool and isinstance(value, bool))):
        raise ValueError(f"`{path}` must be {hint.__name__}, got {value!r}")
    return float(value) if hint is float else value
