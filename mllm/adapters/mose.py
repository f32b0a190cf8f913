"""Modality-specific LoRA experts (`mose`): one shared A, several B per modality, a gate that picks among them.

After MoSEAR (ACM MM 2025, arXiv:2508.01181), whose exact formulas are not public; those below are our own:

    z = A x                                    A in R^{r x d}, shared by all tokens
    pi_m = softmax(W_m mean of x over the tokens of modality m)    over K experts; the largest is taken
    y = W x + (alpha / r) omega_m B_{m,k} z    omega = M softmax(u), so its mean over the modalities is 1

Text has one expert, so that a token that is written later never changes the choice of an earlier one. Since the weights
depend on the token, such an adapter cannot be merged; the engines run it as it is.

Shapes: B clips, L tokens, K experts, M modalities, r rank, d input width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cuewise.mllm.adapters.lora import LoraScope, Replaced, exchange, layers_of, remember
from cuewise.mllm.adapters.spans import MODALITIES, SpanHooks, SpanState, span_ids


@dataclass(kw_only=True, slots=True)
class MoseConfig:
    """Experts in the linear layers of the language model."""

    r: int = 16
    alpha: float = 32.0
    experts: int = 2
    """Experts of the visual and of the audio modality each; text has one."""

    targets: list[str] = field(default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj"])
    balance: float = 0.01
    """Weight of the regulariser that keeps experts in use."""

    modality: float = 0.1
    """Weight of the squared log ratio of the visual and the audio weight."""

    def __post_init__(self) -> None:
        if self.r < 1 or self.experts < 1 or self.alpha <= 0:
            raise ValueError(f"mose needs r >= 1, experts >= 1 and alpha > 0, got {self.r}, {self.experts}, "
                             f"{self.alpha:g}")  # fmt: skip


class MoseLinear(nn.Module):
    """A linear layer with modality experts beside it. All B are zero at first."""

    def __init__(self, base: nn.Linear, config: MoseConfig, state: SpanState, weight: nn.Parameter):
        super().__init__()
        self.base_layer, self.config, self.state, self.enabled = base, config, state, True
        place = {"device": base.weight.device, "dtype": base.weight.dtype}
        self.mose_a = nn.Parameter(torch.empty(config.r, base.in_features, **place))
        nn.init.kaiming_uniform_(self.mose_a, a=5**0.5)
        self.mose_b = nn.ParameterList([
            nn.Parameter(torch.zeros(1 if name == "text" else config.experts, base.out_features, config.r, **place))
            for name in MODALITIES
        ])  # fmt: skip
        self.mose_gate = nn.ParameterList([
            nn.Parameter(torch.empty(0 if name == "text" else config.experts, base.in_features, **place))
            for name in MODALITIES
        ])  # fmt: skip
        for gate in self.mose_gate:
            if len(gate):
                nn.init.normal_(gate, std=base.in_features**-0.5)
        self.mose_u = weight
        self.balance: Tensor | None = None
        """K sum of (share of clips x mean probability) of the last pass, mean over modalities; 1 is even."""

    def forward(self, x: Tensor) -> Tensor:
        """x [B, L, d]; the spans of the prompts must be known (`MoseAdapter.of`)."""
        base = self.base_layer(x)
        if not self.enabled:
            return base
        spans = self.state.window(x.shape[1], x.shape[0])
        if spans is None:
            raise ValueError("modality experts need to know which tokens are media: give input_ids to the model, or "
                             "wrap the call in `model.adapter.of(input_ids)`")  # fmt: skip
        low = x @ self.mose_a.T
        omega = len(MODALITIES) * self.mose_u.softmax(0)
        balances = []
        for index in range(len(MODALITIES)):
            mask = (spans == index).to(x.dtype)
            choice = self._choice(index, x, mask, balances)
            change = torch.einsum("blr,kor,bk->blo", low, self.mose_b[index], choice)
            base = base + (self.config.alpha / self.config.r) * omega[index] * mask.unsqueeze(-1) * change
        self.balance = torch.stack(balances).mean() if balances else None
        return base

    def _choice(self, index: int, x: Tensor, mask: Tensor, balances: list[Tensor]) -> Tensor:
        """One-hot choice of an expert per clip [B, K], with the gradient of the gate's softmax."""
        gate, present = self.mose_gate[index], mask.sum(1, keepdim=True)
        if len(gate) < 2:
            return x.new_ones(len(x), 1)
        mean = (x * mask.unsqueeze(-1)).sum(1) / present.clamp(min=1)
        shares = (mean @ gate.T).float().softmax(-1).to(x.dtype)
        hard = torch.nn.functional.one_hot(shares.argmax(-1), len(gate)).to(x.dtype)
        there = (present > 0).to(x.dtype)
        if there.any():
            used, likely = (hard * there).sum(0) / there.sum(), (shares * there).sum(0) / there.sum()
            balances.append(len(gate) * (used.detach() * likely).sum())
        return hard + shares - shares.detach()


def add_mose(model: nn.Module, config: MoseConfig) -> "MoseAdapter":
    """Put modality experts into the language model; it answers as before until they are trained."""
    if getattr(model, "adapter", None) is not None:
        raise ValueError("this model has an adapter already; load the model anew")
    names = layers_of(model, "llm", LoraScope(targets=config.targets))
    state = SpanState()
    weight = nn.Parameter(torch.zeros(len(MODALITIES), device=next(model.parameters()).device))
    for name in names:
        parent, last = model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
        setattr(parent, last, MoseLinear(model.get_submodule(name), config, state, weight))
    model.row_kinds.append(state)
    model.adapter = MoseAdapter(model, config, state)
    return model.adapter


class MoseAdapter:
    """The experts of one model. Reads the spans from `input_ids` by itself; from rows only inside `of`."""

    kind = "mose"

    def __init__(self, model: nn.Module, config: MoseConfig, state: SpanState):
        self.model, self.config, self.state = model, config, state
        self.scopes: dict[str, Any] = asdict(config)
        self.replaced: Replaced = {}
        self.calibration = dict(model.config.calibration)
        self.hooks = SpanHooks(model, state)

    def layers(self) -> list[MoseLinear]:
        return [module for module in self.model.modules() if isinstance(module, MoseLinear)]

    def weights(self) -> dict[str, nn.Parameter]:
        """Name -> expert, gate or modality weight."""
        return {name: weight for name, weight in self.model.named_parameters() if ".mose_" in name}

    def learn(self, *scopes: str) -> None:
        """Let the experts train (`llm`), or keep them (nothing named)."""
        for weight in self.weights().values():
            weight.requires_grad_("llm" in scopes)

    def remember_base(self, names: list[str]) -> None:
        """As for LoRA: note the base values of what is trained in full beside."""
        remember(self.model, self.replaced, names)

    def switch(self, on: bool) -> None:
        """With the experts, or exactly the base model."""
        layers = self.layers()
        if layers[0].enabled == on:
            return
        for layer in layers:
            layer.enabled = on
        self.calibration = exchange(self.model, self.replaced, self.calibration, on)

    @contextmanager
    def off(self) -> Iterator[None]:
        """The base model inside the block."""
        was = self.layers()[0].enabled
        self.switch(False)
        try:
            yield
        finally:
            self.switch(was)

    def merge(self) -> None:
        raise ValueError("modality experts cannot be merged, since they depend on the token; keep the adapter loaded")

    @contextmanager
    def of(self, input_ids: Tensor) -> Iterator[None]:
        """Let the model know the prompts [B, L] whose rows are computed inside the block, e.g. to generate."""
        with self.state.of(span_ids(torch.as_tensor(input_ids), self.hooks.placeholders)):
            yield

    def loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The regularisers of the last pass, and `balance_loss` before its weight."""
        layers = self.layers()
        found = [layer.balance for layer in layers if layer.balance is not None]
        logs = layers[0].mose_u.log_softmax(0)
        apart = (logs[MODALITIES.index("visual")] - logs[MODALITIES.index("audio")]).square()
        balance = torch.stack(found).mean() if found else torch.zeros((), device=apart.device)
        return self.config.balance * balance + self.config.modality * apart, {"balance_loss": balance.detach()}
