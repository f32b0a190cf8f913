"""Any `System` as a judge: OpenAI-compatible endpoints, and multimodal models that can look at the clip."""

from collections.abc import Sequence
from typing import Any

from cuewise.eval.judges.base import JudgeAsk, Written
from cuewise.eval.judges.tasks import JudgeTask
from cuewise.mllm.systems.base import Ask, System


class SystemWriter:
    """Asks a system the judge's questions, with the clip where there is one."""

    looks = True

    def __init__(self, system: System):
        self.system, self.name = system, system.name
        facts = system.describe()
        kept = ("kind", "model", "base_url", "weights_sha256", "frames", "frame_size", "max_tokens", "extra")
        self.identity = ":".join(str(facts.get(key)) for key in kept)

    def write(self, asks: Sequence[JudgeAsk], prompts: Sequence[str], tasks: Sequence[JudgeTask]) -> list[Written]:
        questions = [
            Ask(id=str(number), clip=ask.clip, prompt=prompt, temperature=ask.temperature, seed=ask.seed,
                max_tokens=task.max_tokens)
            for number, (ask, prompt, task) in enumerate(zip(asks, prompts, tasks))
        ]  # fmt: skip
        return [
            Written(error=f"{reply.error.code}: {reply.error.message}") if reply.error else Written(reply.text)
            for reply in self.system.answer(questions)
        ]

    def describe(self) -> dict[str, Any]:
        return self.system.describe()

    def close(self) -> None:
        self.system.close()
