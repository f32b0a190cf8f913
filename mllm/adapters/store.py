"""Adapters on disk: a folder with a config, the low-rank weights, and what was trained in full beside them, running
statistics included.

A folder belongs to one base model, which is recognised by a hash of its weights: on another one it is refused.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from cuewise.mllm.adapters.lora import Adapter, LoraScope, add_lora, values_of
from cuewise.mllm.adapters.mose import MoseAdapter, MoseConfig, add_mose
from cuewise.mllm.config_tools import from_dict

CONFIG, LOW_RANK, TRAINED = "adapter_config.json", "adapter_model.safetensors", "trained.safetensors"
FORMAT = "cuewise-adapter-1"


class AdapterError(ValueError):
    """An adapter that cannot be loaded; the message says why."""


def base_hash(model: nn.Module) -> str:
    """A hash of the weights without any adapter, over at most 64 values of each: it tells checkpoints apart."""
    total = hashlib.sha256()
    adapter = getattr(model, "adapter", None)
    replaced = adapter.replaced if adapter is not None else {}
    named = {name.replace(".base_layer", ""): replaced[name][0] if name in replaced else weight
             for name, weight in model.named_parameters() if ".lora_" not in name and ".mose_" not in name}  # fmt: skip
    for name in sorted(named):
        value = named[name].detach().flatten()
        some = value[:: max(1, len(value) // 64)][:64].float().cpu()
        total.update(name.encode() + some.numpy().tobytes())
    return total.hexdigest()[:16]


def save_adapter(model: nn.Module, folder: str | Path, base: str = "", **facts: Any) -> Path:
    """Write the model's adapter; the folder is whole or not there.

    Args:
        base: name of the base model, for people.
        facts: anything else to note in the config, e.g. the recipe.
    """
    adapter = getattr(model, "adapter", None)
    if adapter is None:
        raise AdapterError("this model has no adapter to save")
    folder = Path(folder)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    low_rank = {name: weight.detach().cpu().contiguous() for name, weight in adapter.weights().items()}
    own = values_of(model)
    trained = {name: own[name].detach().cpu().contiguous().clone() for name in adapter.replaced}
    save_file(low_rank, part / LOW_RANK)
    save_file(trained, part / TRAINED)
    config = {"format": FORMAT, "kind": adapter.kind, "base": base, "base_hash": base_hash(model),
              "scopes": adapter.scopes, "calibration": model.config.calibration, **facts}  # fmt: skip
    (part / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
    return folder


def load_adapter(model: nn.Module, name: str | Path) -> Adapter | MoseAdapter:
    """Put a stored adapter into its base model. Raises AdapterError."""
    folder = adapter_folder(name)
    config = read_config(folder)
    if config["base_hash"] != base_hash(model):
        raise AdapterError(
            f"adapter {str(name)!r} was trained on {config['base'] or 'another model'} with the weights "
            f"{config['base_hash']}, but this model has {base_hash(model)}; load it on its base"
        )
    try:
        if config["kind"] == "mose":
            adapter = add_mose(model, from_dict(MoseConfig, config["scopes"]))
        else:
            scopes = {scope: from_dict(LoraScope, values) for scope, values in config["scopes"].items()}
            adapter = add_lora(model, scopes)
        trained, own = load_file(folder / TRAINED), values_of(model)
        unknown = sorted(set(trained) - set(own))
        if unknown:
            raise AdapterError(f"{folder} does not fit this model, which has no `{unknown[0]}`; load it on its base")
        adapter.remember_base(list(trained))  # folders of before have no running statistics: those of the base stay
        _fill(adapter.weights(), load_file(folder / LOW_RANK), folder)
        _fill({key: own[key] for key in trained}, trained, folder)
    except (OSError, AttributeError) as error:
        raise AdapterError(f"adapter {str(name)!r} cannot be loaded: {error}") from error
    model.config.calibration = dict(config["calibration"])
    for weight in adapter.weights().values():
        weight.requires_grad_(False)
    return adapter


def load_for_answers(model: nn.Module, name: str | Path) -> str:
    """Load an adapter for an engine; returns its name. Raises AdapterError."""
    folder = adapter_folder(name)
    load_adapter(model, folder)
    model.eval()
    return folder.parent.name if folder.name == "adapter" else folder.name


def read_config(folder: Path) -> dict[str, Any]:
    """The config of an adapter folder. Raises AdapterError."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(f"{folder / CONFIG} cannot be read: {error}") from error
    if config.get("format") != FORMAT:
        raise AdapterError(f"{folder / CONFIG} is not of the format {FORMAT}; adapters are written by `cuewise train`")
    return config


def adapter_folder(name: str | Path) -> Path:
    """Folder of an adapter: a path, the folder of a training run, or the name of a run below `runs/`."""
    for folder in (Path(name), Path(name) / "adapter", Path("runs") / str(name) / "adapter"):
        if (folder / CONFIG).is_file():
            return folder
    known = sorted(path.parent.parent.name for path in Path("runs").glob(f"*/adapter/{CONFIG}"))
    raise AdapterError(f"adapter {str(name)!r} is neither a folder with {CONFIG} nor the name of a training run below "
                       f"runs/ ({', '.join(known) or 'there is none with an adapter'})")  # fmt: skip


def _fill(weights: dict[str, torch.Tensor], values: dict[str, torch.Tensor], folder: Path) -> None:
    wrong = sorted(set(weights).symmetric_difference(values))
    if wrong:
        raise AdapterError(f"{folder} does not fit this model: {len(wrong)} weights differ, e.g. {wrong[0]}")
    with torch.no_grad():
        for name, value in values.items():
            weights[name].copy_(value)
