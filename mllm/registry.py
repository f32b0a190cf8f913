"""Names in a config -> mechanisms in code: how a config picks an encoder, a compressor or a fusion.

A plug-in is one file that holds a config dataclass and a module and registers both under a name; a name nobody
registered is an error that tells the nearest one.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any

from torch import nn

from cuewise.mllm.config_tools import from_dict


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered mechanism: its config dataclass and the module built from it."""

    config_class: type
    module_class: type[nn.Module]


class Registry:
    """Mechanisms of one kind by name."""

    def __init__(self, kind: str, name_key: str = "name"):
        self.kind = kind
        self.name_key = name_key
        self._entries: dict[str, Entry] = {}

    def register(self, name: str, config_class: type) -> Callable[[type[nn.Module]], type[nn.Module]]:
        """Class decorator: makes the module known as `name`, configured by `config_class`."""

        def add(module_class: type[nn.Module]) -> type[nn.Module]:
            known = self._entries.get(name)
            if known is not None and known.module_class.__qualname__ != module_class.__qualname__:
                raise ValueError(f"{self.kind} `{name}` is registered twice; give the plug-in another name")
            self._entries[name] = Entry(config_class, module_class)
            return module_class

        return add

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._entries)

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            near = get_close_matches(str(name), self._entries, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(self.names())}"
            raise ValueError(f"unknown {self.kind} `{name}`; {hint}")
        return self._entries[name]

    def config(self, values: dict[str, Any], path: str = "") -> Any:
        """The config dataclass described by ``{name_key: NAME, **options}``; unknown options are errors."""
        if not isinstance(values, dict) or self.name_key not in values:
            raise ValueError(
                f"`{path or self.kind}` must be a mapping with `{self.name_key}`, got {values!r}; "
                f"known names: {', '.join(self.names())}"
            )
        options = {key: value for key, value in values.items() if key != self.name_key}
        return from_dict(self[values[self.name_key]].config_class, options, f"{path}." if path else "")

    def resolve(self, values: dict[str, Any], path: str = "") -> dict[str, Any]:
        """`values` checked and with every default written out, as plain JSON values."""
        return {self.name_key: values[self.name_key], **_plain(asdict(self.config(values, path)))}

    def build(self, values: dict[str, Any], *args: Any, path: str = "") -> nn.Module:
        """The module of ``{name_key: NAME, **options}``, built as ``Module(config, *args)``."""
        config = self.config(values, path)
        return self[values[self.name_key]].module_class(config, *args)


def _plain(value: Any) -> Any:
    """Tuples as lists, so that a resolved config equals itself after a round trip through JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


ENCODERS = Registry("encoder", "family")
COMPRESSORS = Registry("compressor")
FUSIONS = Registry("fusion")
