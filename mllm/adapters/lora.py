"""LoRA on chosen towers: what learns is named by scope, never by a pattern that could reach another tower.

Each scope of the model (`llm`, `voice.encoder`, ...) is `full` (trained), adapted (LoRA) or frozen. An adapter is made
of peft's LoRA layers; it can be switched off exactly, merged, stored and loaded. Together with the low-rank weights go
the scopes that were trained in full beside them (projectors, fusion, heads) with their running statistics, since one is
of no use without the other.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

NAME = "default"
ATTENTION_AND_MLP = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
Replaced = dict[str, tuple[Tensor, Tensor]]
"""Parameter or running statistic -> (value of the base model, value with the adapter)."""


@dataclass(kw_only=True, slots=True)
class LoraScope:
    """LoRA on the linear layers of one scope."""

    r: int = 16
    """Rank."""

    alpha: float = 32.0
    """The product of both factors is scaled by alpha / r."""

    dropout: float = 0.05
    """Dropout on the input of the low-rank path while training."""

    targets: list[str] = field(default_factory=list)
    """Last part of the names of the layers to adapt, e.g. q_proj; empty takes every linear layer of the scope."""

    def __post_init__(self) -> None:
        if self.r < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise ValueError(f"LoRA needs r >= 1, alpha > 0 and dropout in [0, 1), got {self.r}, {self.alpha:g}, "
                             f"{self.dropout:g}")  # fmt: skip


def layers_of(model: nn.Module, scope: str, config: LoraScope) -> list[str]:
    """Full names of the linear layers that `config` adapts in `scope`. Raises ValueError when there is none."""
    scopes = model.scopes()
    if scope not in scopes:
        raise ValueError(f"unknown scope `{scope}`; this model has {', '.join(sorted(scopes))}")
    inside = {id(module) for module in scopes[scope].modules()}
    linear = [name for name, module in model.named_modules()
              if id(module) in inside and isinstance(module, nn.Linear) and ".lora_" not in name]  # fmt: skip
    head = model.get_output_embeddings()
    linear = [name for name in linear if model.get_submodule(name) is not head]
    found = [name for name in linear if not config.targets or name.rpartition(".")[2] in config.targets]
    if not found:
        ends = sorted({name.rpartition(".")[2] for name in linear})
        raise ValueError(f"scope `{scope}` has no linear layer named {', '.join(config.targets) or 'at all'}; "
                         f"it has {', '.join(ends) or 'none'}")  # fmt: skip
    return found


def add_lora(model: nn.Module, scopes: Mapping[str, LoraScope]) -> "Adapter":
    """Put LoRA layers into these scopes; the second factor is zero, so the model answers as before.

    Raises ValueError for a scope without fitting layers, or a layer named by two scopes.
    """
    if getattr(model, "adapter", None) is not None:
        raise ValueError("this model has an adapter already; merge it or load the model anew")
    names = {scope: layers_of(model, scope, config) for scope, config in scopes.items()}
    chosen = [name for found in names.values() for name in found]
    twice = sorted({name for name in chosen if chosen.count(name) > 1})
    if twice:
        raise ValueError(f"`{twice[0]}` belongs to two of the scopes {', '.join(scopes)}; name disjoint scopes")
    learns = {id(weight) for weight in model.parameters() if weight.requires_grad}
    by_layer = {re.escape(name): scopes[scope] for scope, found in names.items() for name in found}
    inject_adapter_in_model(LoraConfig(
        r=1, bias="none", target_modules="(?:" + "|".join(by_layer) + ")",  # whole names, nothing that ends alike
        rank_pattern={name: config.r for name, config in by_layer.items()},
        alpha_pattern={name: config.alpha for name, config in by_layer.items()},
    ), model, NAME)  # fmt: skip
    for scope, found in names.items():
        for name in found:
            model.get_submodule(name).lora_dropout[NAME] = nn.Dropout(scopes[scope].dropout)
    for name, weight in model.named_parameters():  # peft froze all else, and made factors of the type of the layer
        weight.requires_grad_(".lora_" in name or id(weight) in learns)
        if ".lora_" in name:
            weight.data = weight.data.float()
    model.adapter = Adapter(model, {name: asdict(config) for name, config in scopes.items()})
    model.train(model.training)
    return model.adapter


def statistics_of(model: nn.Module, names: Iterable[str]) -> list[str]:
    """Running statistics that move while the parameters `names` are trained: stored buffers of real numbers, in modules
    that hold such a parameter (or below one that does, where they hold none themselves)."""
    owners = {name.rpartition(".")[0] for name in names}
    holders = {name.rpartition(".")[0] for name, _ in model.named_parameters()}
    stored, found = model.state_dict(), []
    for name, value in model.named_buffers():
        place = name.rpartition(".")[0]
        while place and place not in holders:
            place = place.rpartition(".")[0]
        if value.is_floating_point() and name in stored and place in owners:
            found.append(name)
    return found


def remember(model: nn.Module, replaced: Replaced, names: Iterable[str]) -> None:
    """Note the base values of these parameters, and of the running statistics that move with them, in `replaced`."""
    own = values_of(model)
    names = list(names)
    for name in dict.fromkeys([*names, *statistics_of(model, names)]):
        if name not in replaced:
            replaced[name] = (own[name].detach().clone(), own[name].detach().clone())


def values_of(model: nn.Module) -> dict[str, Tensor]:
    """Name -> parameter or buffer."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


def exchange(
    model: nn.Module, replaced: Replaced, calibration: dict[str, Any], on: bool
) -> dict[str, Any]:  # fmt: skip
    """Swap what was trained in full and the calibration with those of the base model; returns the other calibration."""
    own = values_of(model)
    with torch.no_grad():
        for name, (base, adapted) in replaced.items():
            weight = own[name]
            if not on:
                adapted.copy_(weight)  # it may have been trained since
            weight.copy_(adapted if on else base)
    other, model.config.calibration = dict(model.config.calibration), dict(calibration)
    return other


class Adapter:
    """What was added to a model, and what was trained in full beside it."""

    kind = "lora"

    def __init__(self, model: nn.Module, scopes: dict[str, dict[str, Any]]):
        self.model, self.scopes = model, scopes
        self.replaced: Replaced = {}
        """What is trained in full."""

        self.calibration = dict(model.config.calibration)
        """How confidence is calibrated in the state that is not active now: that of the base model, or ours."""

        self.enabled = True
        self._drop_in(self.layers())

    def layers(self) -> list[LoraLayer]:
        """The adapted layers."""
        return [module for module in self.model.modules() if isinstance(module, LoraLayer)]

    def weights(self) -> dict[str, nn.Parameter]:
        """Name -> low-rank factor."""
        return {name: weight for name, weight in self.model.named_parameters() if ".lora_" in name}

    def learn(self, *scopes: str) -> None:
        """Let the low-rank factors of these scopes train and keep the others.

        Call it after `model.train_only`, which freezes whole scopes.
        """
        unknown = sorted(set(scopes) - set(self.scopes))
        if unknown:
            raise ValueError(f"scope `{unknown[0]}` has no adapter; adapted are {', '.join(self.scopes)}")
        chosen = {id(weight) for scope in scopes for weight in self.model.scopes()[scope].parameters()}
        for weight in self.weights().values():
            weight.requires_grad_(id(weight) in chosen)
        self._drop_in([layer for layer in self.layers() if any(id(weight) in chosen for weight in layer.parameters())])

    def _drop_in(self, learning: Sequence[LoraLayer]) -> None:
        """Let the dropout of these layers follow the model into training, also in frozen scopes, and of no others."""
        chosen = {id(layer) for layer in learning}
        self.model._adapter_parts = [(part, id(layer) in chosen) for layer in self.layers()
                                     for part in layer.lora_dropout.values()]  # fmt: skip
        self.model.train(self.model.training)

    def switch(self, on: bool) -> None:
        """With the adapter, or exactly the base model."""
        if on == self.enabled:
            return
        learns = {name: weight.requires_grad for name, weight in self.weights().items()}
        for layer in self.layers():
            layer.enable_adapters(on)
        for name, weight in self.weights().items():  # peft's switch changes what trains; ours does not
            weight.requires_grad_(learns[name])
        self.calibration = exchange(self.model, self.replaced, self.calibration, on)
        self.enabled = on

    @contextmanager
    def off(self) -> Iterator[None]:
        """The base model inside the block, e.g. as the reference of a preference loss."""
        was = self.enabled
        self.switch(False)
        try:
            yield
        finally:
            self.switch(was)

    def remember_base(self, names: list[str]) -> None:
        """Note the base values of parameters that are about to be trained in full, so that they can be switched off."""
        remember(self.model, self.replaced, names)

    def merge(self) -> None:
        """Work the adapter into the weights and take the extra layers away: same answers, no cost, no way back."""
        self.switch(True)
        for name, module in list(self.model.named_modules()):
            if isinstance(module, LoraLayer):
                module.merge()
                parent = self.model.get_submodule(name.rpartition(".")[0])
                setattr(parent, name.rpartition(".")[2], module.get_base_layer())
        self.model._adapter_parts = []
        self.model.adapter = None
        if hasattr(self.model, "peft_config"):
            del self.model.peft_config
