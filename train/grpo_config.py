"""Options of a GRPO recipe."""

from dataclasses import dataclass, field
from typing import Literal

from cuewise.mllm.adapters.lora import LoraScope
from cuewise.mllm.engine.base import SamplingParams
from cuewise.mllm.question import MAX_TOKENS
from cuewise.train.advantages import ADVANTAGES
from cuewise.train.examples import SourceConfig
from cuewise.train.loop import LoopConfig
from cuewise.train.recipe_config import RecipeConfig
from cuewise.train.rewards import RewardConfig
from cuewise.train.rewards.base import Entry
from cuewise.train.rewards.readers import check_readers


@dataclass(kw_only=True, slots=True)
class RolloutConfig:
    group: int = 8
    """Answers to each prompt."""

    form: Literal["explained", "direct"] = "explained"
    """Form of the answers that are asked for."""

    temperature: float = 1.0
    """Answers are drawn, and the loss is taken, at this temperature."""

    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 0
    """Longest answer; 0 is the length of the form."""

    engine: Literal["shared_prefix", "slot", "sequential"] = "shared_prefix"
    """What writes the answers: groups decoded together from one copy of each prompt, or an engine that also serves."""

    no_spread: Literal["skip", "resample", "keep"] = "skip"
    """Groups whose answers all earn the same: left out, replaced by other prompts, or kept (they teach nothing)."""

    tries: int = 3
    """Times that `resample` draws other prompts in one step."""

    stream_dropout: float = 0.0
    """Chance that one or more streams of a prompt are left out on purpose."""

    def __post_init__(self) -> None:
        if self.group < 2:
            raise ValueError(f"rollout.group must be >= 2, got {self.group}; answers are compared with each other")
        if self.temperature <= 0:
            raise ValueError(f"rollout.temperature must be > 0, got {self.temperature:g}; equal answers teach nothing")

    @property
    def limit(self) -> int:
        """Longest answer in tokens."""
        return self.max_tokens or MAX_TOKENS[self.form]

    @property
    def sampling(self) -> SamplingParams:
        """As the engines want it."""
        return SamplingParams(
            temperature=self.temperature, top_p=self.top_p, top_k=self.top_k, max_tokens=self.limit
        )


@dataclass(kw_only=True, slots=True)
class PolicyConfig:
    """What is learnt from a group; docs/grpo.md says which options make which published method."""

    advantage: Literal["none", "group", "batch", "rloo", "gdpo"] = "none"
    """How rewards become advantages: centred (Dr. GRPO), scaled by group or batch, leave-one-out, per reward."""

    cue_credit: float = 0.0
    """Above 0 the tokens of a cue line learn from what the cue and those after it pay beside the other answers
    (`cuewise.train.cue_credit`), with this weight, and no longer from the advantage of the whole answer. Shares are
    scaled over the step; clips without known cues have none, and learn from the whole answer alone."""

    objective: Literal["clip", "cispo"] = "clip"
    ratio: Literal["token", "sequence"] = "token"
    """`sequence` is GSPO."""

    clip_low: float = 0.2
    clip_high: float = 0.28
    """Upper bound 1 + clip_high of the ratio; for `cispo` the cap of the ratio itself."""

    ceiling: float | None = None
    """Also caps the ratio of answers with a negative advantage."""

    mean: Literal["tokens", "completions", "constant"] = "tokens"
    """What the sum over tokens is divided by: the tokens of the whole step, each completion's own, or a constant."""

    kl_weight: float = 0.0
    """Weight of the KL divergence from the model at the begin; above 0 every step computes its log-probabilities."""

    updates: int = 1
    """Optimizer steps on each set of answers (mu)."""

    truncated: Literal["mask", "keep"] = "mask"
    """Whether answers that hit the limit are left out of the loss."""

    overlong_buffer: int = 0
    """Tokens before the limit over which long answers lose reward."""

    overlong_weight: float = 0.0
    """Weight of that penalty among the rewards."""

    def __post_init__(self) -> None:
        if self.advantage not in (*ADVANTAGES, "gdpo"):
            known = ", ".join([*ADVANTAGES, "gdpo"])
            raise ValueError(f"policy.advantage must be one of {known}, got {self.advantage!r}")
        for name in ("cue_credit", "kl_weight", "overlong_buffer", "overlong_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"policy.{name} must be >= 0, got {getattr(self, name):g}; 0 leaves it out")
        if not self.clip_low > 0 or (self.clip_low > 1 and self.objective != "cispo") or not self.clip_high > 0:
            raise ValueError(f"policy.clip_low must lie in (0, 1] and clip_high be > 0, got {self.clip_low:g} and "
                             f"{self.clip_high:g}")  # fmt: skip
        if self.overlong_buffer and not self.overlong_weight:
            raise ValueError("policy.overlong_buffer does nothing without policy.overlong_weight; set both or neither")
        if self.updates < 1:
            raise ValueError(f"policy.updates must be >= 1, got {self.updates}")
        if self.objective == "cispo" and self.clip_high <= 1:
            raise ValueError(f"for cispo policy.clip_high is the cap of the ratio and must be > 1, got "
                             f"{self.clip_high:g}; e.g. 5")  # fmt: skip


@dataclass(kw_only=True, slots=True)
class AlarmConfig:
    """Numbers that mean trouble; each alarm names the samples of the step."""

    entropy_below: float = 0.02
    """Nats per token: the policy has collapsed onto one answer."""

    entropy_above: float = 6.0
    """Nats per token: the policy writes noise."""

    truncated_above: float = 0.5
    """Share of answers that hit the limit."""

    no_spread_above: float = 0.95
    """Share of groups whose answers all earn the same."""

    patience: int = 10
    """Steps in a row after which an alarm sounds."""

    action: Literal["warn", "stop"] = "warn"

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ValueError(f"alarms.patience must be >= 1, got {self.patience}; bounds far apart silence an alarm")


@dataclass(kw_only=True, slots=True)
class GRPOConfig(RecipeConfig):
    kind: Literal["grpo"] = "grpo"
    sources: dict[str, SourceConfig]
    weights: dict[str, float] = field(default_factory=dict)
    """Source -> share of the prompts; by default all alike."""

    requires: list[str] = field(default_factory=list)
    """Streams that every clip must have; one without is an error."""

    trains: list[str] = field(default_factory=list)
    """Scopes that learn in full."""

    adapters: dict[str, LoraScope] = field(default_factory=dict)
    """Scopes that learn through LoRA; the reference is the model with the adapter switched off."""

    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    rewards: dict[str, Entry]
    """Reward -> weight or schedule, and options; docs/rewards.md lists them."""

    readers: dict[str, str] = field(default_factory=dict)
    """What a reward needs -> the model it reads with, e.g. `follow_up: nano`, `critic: runs/nano-critic`."""

    alarms: AlarmConfig = field(default_factory=AlarmConfig)
    loop: LoopConfig
    """`batch_size` counts prompts."""

    def __post_init__(self) -> None:
        if not self.trains and not self.adapters:
            raise ValueError("a GRPO recipe must train something: name scopes in `trains` or `adapters`")
        unknown = sorted(set(self.weights) - set(self.sources))
        if unknown:
            raise ValueError(f"weights names `{unknown[0]}`, but the sources are {', '.join(self.sources)}")
        check_readers(self.scoring, self.readers)
        check_rewards(self.rewards)
        if not (self.scoring.counts or self.policy.overlong_weight or self.policy.cue_credit):
            raise ValueError("every reward weighs nothing, so there is nothing to learn; give one a weight > 0")
        if self.loop.evaluate_every:
            raise ValueError("a GRPO recipe has no validation sources; leave loop.evaluate_every out and run `cuewise "
                             "eval` on the finished model")  # fmt: skip
        updates = self.policy.updates
        if self.loop.save_every % updates or self.loop.steps % updates:
            raise ValueError(f"loop.steps {self.loop.steps} and loop.save_every {self.loop.save_every} must be "
                             f"multiples of policy.updates {updates}, so that a resumed run samples where it stopped")

    @property
    def scoring(self) -> RewardConfig:
        """The rewards as one config. Raises RewardError for one that does not exist."""
        return RewardConfig(rewards=self.rewards)


def check_rewards(rewards: dict[str, Entry]) -> None:
    """Raise ValueError for rewards that no sampled answer could earn honestly."""
    if "statement" in rewards:
        raise ValueError("rewards.statement judges an answer to a statement, which the prompts of GRPO do not show; "
                         "leave it out")  # fmt: skip
    grounding = rewards.get("cue_grounding")
    if grounding and grounding.options.get("against") == "measured":
        raise ValueError("rewards.cue_grounding.options.against is `measured`, but clips are not measured during "
                         "training; use `known`")  # fmt: skip
