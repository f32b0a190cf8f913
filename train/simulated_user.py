"""A simulated user with a bounded emotion, whose last state is the reward of a whole dialogue (RLVER).

    result = converse(scenario, policy, analyse, seed=0)
    result.reward                       # max(0, last emotion) / 100

Each turn the policy thinks, then speaks; the user hears what was said, never the thought. An analyser (a language
model, or a function) says how the user's emotion changes, at most 10 points; the dialogue ends on a goodbye, when the
emotion falls to 0, or after 8 turns. The reward belongs to the last token of the last reply.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

START_TRAINING, START_BENCHMARK = 30.0, 40.0
MAX_CHANGE = 10.0
HIGHEST = 100.0
MAX_TURNS = 8
STATES = ((100.0, "best"), (70.0, "good"), (40.0, "even"), (10.0, "low"))
"""Least emotion of each state; below the last the dialogue has failed."""

_THINK = re.compile(r"<\s*think\s*>.*?(?:<\s*/\s*think\s*>|$)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<\s*/?\s*(?:think|answer|say)\s*>", re.IGNORECASE)

Ending = Literal["goodbye", "gave up", "turns"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who the user is and what they want, the last of which the policy never sees."""

    persona: str
    background: str
    goal: str
    hidden_intention: str
    opening: str


@dataclass(frozen=True, slots=True)
class Said:
    """One turn as both sides know it; the thought is kept for the log only."""

    user: str
    reply: str
    thought: str = ""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What the user feels about a reply: a signed change of emotion, the next words, and whether they leave."""

    change: float
    words: str
    goodbye: bool = False
    reason: str = ""


Policy = Callable[[Sequence[Said], str], str]
"""(turns so far, what the user says) -> reply, thought included."""

Analyse = Callable[[Scenario, Sequence[Said], str, float, np.random.Generator], Reaction]
"""(scenario, turns without thoughts up to this reply, the reply, emotion, random numbers) -> reaction."""


@dataclass(slots=True)
class Dialogue:
    """A finished dialogue."""

    turns: list[Said] = field(default_factory=list)
    emotions: list[float] = field(default_factory=list)
    """Emotion before the first turn and after each."""

    reasons: list[str] = field(default_factory=list)
    ending: Ending = "turns"

    @property
    def reward(self) -> float:
        """Last emotion over 100, in [0, 1]."""
        return max(0.0, self.emotions[-1]) / HIGHEST

    @property
    def state(self) -> str:
        return state_of(self.emotions[-1])


def state_of(emotion: float) -> str:
    """Name of the state of an emotion.

    >>> [state_of(x) for x in (100, 70, 69.9, 10, 9.9)]
    ['best', 'good', 'even', 'low', 'failed']
    """
    return next((name for least, name in STATES if emotion >= least), "failed")


def split_thought(text: str) -> tuple[str, str]:
    """(what is thought, what is said) of a reply; an unclosed thought is all thought.

    >>> split_thought("<think>she is sad</think>I am sorry to hear that.")
    ('she is sad', 'I am sorry to hear that.')
    """
    thought = " ".join(_TAG.sub("", found).strip() for found in _THINK.findall(text))
    return thought.strip(), _TAG.sub("", _THINK.sub("", text)).strip()


class Conversation:
    """A dialogue on its way: `words` is what the user says next, None once it has ended."""

    def __init__(
        self, scenario: Scenario, analyse: Analyse, *, seed: int = 0, start: float = START_TRAINING,
        max_turns: int = MAX_TURNS,
    ):  # fmt: skip
        if not 0 < start <= HIGHEST:
            raise ValueError(f"start must lie in (0, {HIGHEST:g}], got {start}: at 0 the user has left already")
        if max_turns < 1:
            raise ValueError(f"max_turns must be >= 1, got {max_turns}")
        self.scenario, self.analyse, self.max_turns = scenario, analyse, max_turns
        self.rng = np.random.default_rng([seed, 0x5EA])
        self.done = Dialogue(emotions=[start])
        self.words: str | None = scenario.opening

    def reply(self, text: str) -> None:
        """What the policy says to `words`, thought included. The user hears only what is said."""
        done = self.done
        thought, said = split_thought(text)
        heard = (*(Said(turn.user, turn.reply) for turn in done.turns), Said(self.words, said))
        reaction = self.analyse(self.scenario, heard, said, done.emotions[-1], self.rng)
        done.turns.append(Said(self.words, said, thought))
        done.reasons.append(reaction.reason)
        done.emotions.append(next_emotion(done.emotions[-1], reaction.change))
        ended = "gave up" if done.emotions[-1] <= 0 else "goodbye" if reaction.goodbye else None
        done.ending = ended or "turns"
        self.words = None if ended or len(done.turns) >= self.max_turns else reaction.words


def converse(
    scenario: Scenario, policy: Policy, analyse: Analyse, *, seed: int = 0, start: float = START_TRAINING,
    max_turns: int = MAX_TURNS,
) -> Dialogue:  # fmt: skip
    """One dialogue; the same seed and functions give the same one."""
    talk = Conversation(scenario, analyse, seed=seed, start=start, max_turns=max_turns)
    while talk.words is not None:
        talk.reply(policy(tuple(talk.done.turns), talk.words))
    return talk.done


def next_emotion(emotion: float, change: float) -> float:
    """Emotion after a change, cut to 10 points either way; never above 100. Not a number counts as no change."""
    if not np.isfinite(change):
        change = 0.0
    return min(HIGHEST, emotion + max(-MAX_CHANGE, min(MAX_CHANGE, change)))


def benchmark(dialogues: Sequence[Dialogue]) -> dict[str, float]:
    """Mean last emotion (0-100), and how many dialogues ended at their best and in failure."""
    if not dialogues:
        raise ValueError("the benchmark needs at least one dialogue")
    last = [100 * one.reward for one in dialogues]
    return {
        "n": len(last), "score": sum(last) / len(last),
        "best": sum(one.state == "best" for one in dialogues),
        "failed": sum(one.state == "failed" for one in dialogues),
    }  # fmt: skip


def last_token_reward(length: int, reward: float) -> np.ndarray:
    """Rewards per response token [length]: all of it on the last one."""
    if length < 1:
        raise ValueError("a reply without tokens cannot be rewarded")
    values = np.zeros(length)
    values[-1] = reward
    return values
