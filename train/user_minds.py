"""How a simulated user takes a reply: by its words, offline and exact, or as a language model says.

    mind = user_mind("words")                  # or a system that writes what it is asked to: openai:MODEL@URL
    reaction = mind(scenario, turns, reply, emotion, rng)
"""

import json
import re
from collections.abc import Sequence
from itertools import count

import numpy as np

from cuewise.mllm.systems.base import Ask, System, load_system
from cuewise.mllm.taxonomy import listed, same_core
from cuewise.train.simulated_user import Analyse, Reaction, Said, Scenario

LEAVES_AT = 100.0
"""Emotion at which a user who is judged by words says goodbye: earlier, a worse start could end higher."""

UNREADABLE = "unreadable"
"""Reason of a reaction that no one could read."""

READERS = ("cuewise", "words", "ensemble")
"""Kinds of systems that answer every prompt with an emotion: nano is one of them."""

_WORD = re.compile(r"[^\W\d_]{3,}")
_JSON = re.compile(r"\{.*\}", re.DOTALL)
_DISMISSIVE = re.compile(r"\b(?:calm down|so what|get over|not a big deal|whatever|you should just|stop complain\w*)\b",
                         re.IGNORECASE)  # fmt: skip
_AGAIN = ("It still feels like that: {background}", "What I want is {goal}.", "I do not know what to do.",
          "Can you understand that?")  # fmt: skip

PROMPT = """\
You play a user who talks about a feeling. Say how the last reply changes your feeling, and what you say next.
Who you are: {persona}
What happened: {background}
What you want from the talk: {goal}
What you do not say but hope for: {hidden_intention}
Your feeling now, from 0 (worst) to 100 (best): {emotion:.0f}
The talk so far:
{talk}
Answer with one JSON object: {{"change": a number from -10 to 10, "words": "what you say next",
"goodbye": true when you want to end the talk, "reason": "why, in a few words"}}"""


class UserMindError(ValueError):
    """The system that should play the user cannot."""


def user_mind(spec: str) -> Analyse:
    """`words`, or a system that plays the user. Raises SystemLoadError, and UserMindError for one that cannot play."""
    if spec == "words":
        return by_words
    system = load_system(spec)
    if system.describe().get("kind") in READERS:
        system.close()
        raise UserMindError(f"user {spec!r} reads emotions and writes nothing else, so it cannot play a person; set "
                            "user to `words`, an endpoint (openai:MODEL@URL) or a multimodal model of transformers")
    return SystemMind(system)


def by_words(
    scenario: Scenario, turns: Sequence[Said], reply: str, emotion: float, rng: np.random.Generator
) -> Reaction:
    """A user who wants to be heard.

    Naming a feeling that was voiced, and words of the hidden hope, each raise the emotion by at most 5; nothing of the
    kind costs 3, a dismissal or the same reply again 8.
    """
    voiced = [scenario.opening, scenario.background, *(turn.user for turn in turns)]
    felt = [word for text in voiced for word in _words(text) if listed(word)]
    named = any(same_core(word, other) for word in _words(reply) if listed(word) for other in felt)
    hoped = {word for word in _words(scenario.hidden_intention) if len(word) > 4}
    met = min(1.0, len(hoped & set(_words(reply))) / 2)
    again = any(_words(reply) == _words(turn.reply) for turn in turns[:-1])
    if again or not reply.strip() or _DISMISSIVE.search(reply):
        change, why = -8.0, "not listened to"
    elif named or met:
        change, why = 5.0 * named + 5.0 * met, "heard"
    else:
        change, why = -3.0, "passed over"
    words = _AGAIN[(len(turns) - 1) % len(_AGAIN)].format(background=scenario.background, goal=scenario.goal)
    return Reaction(change, words, goodbye=emotion + change >= LEAVES_AT, reason=why)


class SystemMind:
    """A language model plays the user. An answer that cannot be read changes nothing and asks to go on; a system that
    fails raises UserMindError, since dialogues without a user teach nothing."""

    def __init__(self, system: System, max_tokens: int = 256):
        self.system, self.max_tokens, self._number = system, max_tokens, count()

    def __call__(
        self, scenario: Scenario, turns: Sequence[Said], reply: str, emotion: float, rng: np.random.Generator
    ) -> Reaction:
        talk = "\n".join(f"You: {turn.user}\nReply: {turn.reply}" for turn in turns)
        prompt = PROMPT.format(
            persona=scenario.persona, background=scenario.background, goal=scenario.goal,
            hidden_intention=scenario.hidden_intention, emotion=emotion, talk=talk,
        )  # fmt: skip
        ask = Ask(id=f"user{next(self._number)}", clip=None, prompt=prompt, max_tokens=self.max_tokens,
                  seed=int(rng.integers(2**31)))  # fmt: skip
        said = next(iter(self.system.answer([ask])))
        if said.error is not None:
            raise UserMindError(f"the system that plays the user failed ({said.error.code}): {said.error.message}; "
                                "start it again, or set user to another one; training goes on from its last checkpoint")
        return read_reaction(said.text)

    def close(self) -> None:
        self.system.close()


def read_reaction(text: str) -> Reaction:
    """The reaction that a model wrote.

    >>> read_reaction('Well: {"change": 4, "words": "Thank you.", "goodbye": false}').change
    4.0
    """
    found = _JSON.search(text)
    try:
        values = json.loads(found.group()) if found else {}
        words = str(values.get("words") or "Go on.")
        return Reaction(float(values["change"]), words, values.get("goodbye") is True, str(values.get("reason", "")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Reaction(0.0, "Go on.", reason=UNREADABLE)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
