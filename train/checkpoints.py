"""Checkpoints of a stage: written whole or not at all, the last ones and the best one kept.

`STAGE.pt` is the newest; `STAGE.step-N.pt` older ones; `STAGE.best.pt` the best by the validation metric. Since every
random choice follows from (run seed, stage, step), weights, optimizer and step number are a whole checkpoint. With them
lies what decided the weights (`cuewise.train.basis`); a run that was changed since is refused, not given the old ones.
"""

import logging
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from cuewise.train.basis import Basis, ChangedRunError, changes

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """How far a stage is, and how its validation went."""

    step: int = 0
    """Optimizer steps done."""

    stopped: bool = False
    """The stage ended early, because validation stopped improving."""

    best: float | None = None
    best_step: int = 0
    misses: int = 0
    """Evaluations since the best one."""


class Checkpoints:
    """The checkpoint files of one stage.

    Args:
        folder: where the files lie.
        name: of the stage.
        keep_last: how many of the newest stay.
        save: `all` weights, or only those that the stage trains (and buffers), for large frozen models.
        basis: what decides the weights; a checkpoint with another one is refused.
    """

    def __init__(
        self, folder: Path, name: str, keep_last: int = 1, save: Literal["all", "trained"] = "all",
        basis: Basis | None = None,
    ):  # fmt: skip
        self.folder, self.name, self.keep_last, self.what, self.basis = folder, name, keep_last, save, basis or {}

    @property
    def path(self) -> Path:
        """The newest checkpoint."""
        return self.folder / f"{self.name}.pt"

    @property
    def best_path(self) -> Path:
        return self.folder / f"{self.name}.best.pt"

    def save(self, progress: Progress, model: nn.Module, optimizer: Any, writes: bool = True, **more: Any) -> None:
        """Write the newest checkpoint. Every process calls it; only the one that `writes` touches files."""
        content = {"step": progress.step, "progress": asdict(progress), "model": self._weights(model),
                   "optimizer": optimizer_state(model, optimizer), "basis": self.basis, **more}  # fmt: skip
        if not writes:
            return
        old = self.folder / f"{self.name}.step-{progress.step}.pt"
        if self.keep_last > 1:
            write_whole(content, old)
            part = self.folder / f".{self.name}.link"
            part.unlink(missing_ok=True)
            os.link(old, part)
            part.replace(self.path)
            for path in self.older()[: -self.keep_last]:
                path.unlink(missing_ok=True)
        else:
            write_whole(content, self.path)

    def save_best(self, progress: Progress, model: nn.Module, writes: bool = True) -> None:
        """Keep these weights as the best ones."""
        content = {"step": progress.step, "progress": asdict(progress), "model": self._weights(model)}
        if writes:
            write_whole(content, self.best_path)

    def older(self) -> list[Path]:
        """Numbered checkpoints, oldest first."""
        found = {path: re.fullmatch(rf"{re.escape(self.name)}\.step-(\d+)\.pt", path.name)
                 for path in self.folder.glob("*.pt")}  # fmt: skip
        return sorted((path for path, match in found.items() if match), key=lambda path: int(found[path][1]))

    def resume(self, model: nn.Module, optimizer: Any) -> tuple[Progress, dict[str, Any]]:
        """Load the newest checkpoint into model and optimizer; where there is none, a fresh `Progress`.

        Raises ChangedRunError for a checkpoint of other data or options.
        """
        if not self.path.exists():
            return Progress(), {}
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, UnpicklingError) as error:
            others = [file for file in self.older() if not file.samefile(self.path)]  # the newest is a link to it
            kept = f", or put {others[-1].name} in its place" if others else ""
            raise ValueError(f"the checkpoint {self.path} is damaged and cannot be read ({str(error)[:80]}); remove it "
                             f"to begin the stage anew{kept}") from error  # fmt: skip
        self._check(state.get("basis"))
        self._fill(model, state["model"], self.path)
        load_optimizer(model, optimizer, state["optimizer"])
        progress = Progress(**state["progress"]) if "progress" in state else Progress(step=state["step"])
        return progress, state

    def _check(self, basis: Basis | None) -> None:
        if basis is None:
            _LOG.warning("%s does not say what it was trained on (it was written by an older version): whether data "
                         "and options are still the same was not checked", self.path)  # fmt: skip
        elif changed := changes(basis, self.basis):
            raise ChangedRunError(f"stage {self.name!r}: this run was trained on other data or options ({changed}); "
                                  f"use another name, or remove {self.folder}")  # fmt: skip

    def load_best(self, model: nn.Module) -> None:
        """Put the best weights into the model; nothing happens when no best was kept."""
        if self.best_path.exists():
            self._fill(model, torch.load(self.best_path, map_location="cpu", weights_only=True)["model"],
                       self.best_path)  # fmt: skip

    def _weights(self, model: nn.Module) -> dict[str, Tensor]:
        state = model.state_dict()
        if self.what == "trained":
            frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
            state = {name: value for name, value in state.items() if name not in frozen}
        return {name: whole(value) for name, value in state.items()}

    def _fill(self, model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
        own = model.state_dict()
        needed = set(self._names(model))
        wrong = sorted(needed.symmetric_difference(weights))
        if wrong:
            raise ValueError(f"{path} does not fit this model: {len(wrong)} weights differ, e.g. {wrong[0]}; "
                             "use another `out` folder or `name` for a changed recipe")  # fmt: skip
        with torch.no_grad():
            for name, value in weights.items():
                copy_into(own[name], value)

    def _names(self, model: nn.Module) -> list[str]:
        names = list(model.state_dict())
        if self.what == "trained":
            frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
            names = [name for name in names if name not in frozen]
        return names


def whole(value: Tensor) -> Tensor:
    """The full tensor on the CPU; every process must call it for a sharded one."""
    return (value.full_tensor() if isinstance(value, DTensor) else value).detach().cpu()


def copy_into(target: Tensor, value: Tensor) -> None:
    """Write a full tensor into a plain or a sharded one."""
    if isinstance(target, DTensor):
        from torch.distributed.tensor import distribute_tensor

        value = distribute_tensor(value.to(target.device), target.device_mesh, target.placements)
    target.copy_(value)


def optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimizer's state with whole tensors on the CPU."""
    state = optimizer.state_dict()
    return {"state": {index: {key: whole(value) if isinstance(value, Tensor) else value for key, value in item.items()}
                      for index, item in state["state"].items()}, "param_groups": state["param_groups"]}  # fmt: skip


def load_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Fill the optimizer; state of sharded weights is sharded alike."""
    from torch.distributed.tensor import distribute_tensor

    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    filled = {}
    for index, item in state["state"].items():
        weight = weights[index]
        filled[index] = {
            key: distribute_tensor(value.to(weight.device), weight.device_mesh, weight.placements)
            if isinstance(weight, DTensor) and isinstance(value, Tensor) and value.shape == weight.shape else value
            for key, value in item.items()
        }  # fmt: skip
    optimizer.load_state_dict({"state": filled, "param_groups": state["param_groups"]})


def write_whole(content: dict[str, Any], path: Path) -> None:
    """Write so that a kill at any moment leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as out:
        torch.save(content, out)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
