"""vLLM in this process, in an environment of its own: prompts go in as embedding rows.

    engine = VllmLocalEngine.load("path/of/the/text/backbone", embed, tokenizer, end_ids)

The folder holds the text-only backbone with one-dimensional positions; media is embedded by us.
"""

from typing import Any

from torch import Tensor

from cuewise.mllm.engine.base import FinishReason
from cuewise.mllm.engine.remote import RemoteEngine
from cuewise.mllm.engine.sample import Sample

_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "abort": "cancelled"}


class VllmLocalEngine(RemoteEngine):
    """Adapter to vLLM's engine; see `RemoteEngine` for the arguments, and `load`."""

    kind = "vllm"

    def __init__(self, engine: Any, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._engine = engine

    @classmethod
    def load(cls, folder: str, *args: Any, engine_options: dict[str, Any] | None = None, **options: Any):
        """Start vLLM on a folder. Raises ImportError with the fix where vLLM is not installed."""
        try:
            from vllm import EngineArgs, LLMEngine
        except ImportError as error:
            raise ImportError("the engine `vllm` needs vLLM, which pins its own torch: install it into an environment "
                              "of its own, or use `vllm-http`") from error  # fmt: skip
        given = EngineArgs(model=folder, enable_prompt_embeds=True, skip_tokenizer_init=True, **(engine_options or {}))
        return cls(LLMEngine.from_engine_args(given), *args, **options)

    def _send(self, name: str, rows: Tensor, sample: Sample) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        request = sample.ticket.request
        asked, schema = request.sampling, self.schema(request)
        self._engine.add_request(name, {"prompt_embeds": rows}, SamplingParams(
            temperature=asked.temperature, top_p=asked.top_p, top_k=asked.top_k or -1,
            seed=asked.seed + sample.number, max_tokens=sample.room, stop_token_ids=sorted(self.end_ids),
            presence_penalty=asked.presence_penalty, frequency_penalty=asked.frequency_penalty,
            logprobs=0 if asked.logprobs else None, detokenize=False, ignore_eos=True,
            output_kind=RequestOutputKind.DELTA,
            structured_outputs=None if schema is None else StructuredOutputsParams(
                json=schema, disable_any_whitespace=True),
        ))  # fmt: skip

    def _drop(self, name: str) -> None:
        self._engine.abort_request([name])

    def _receive(self) -> list[tuple[str, list[tuple[int, float | None]], FinishReason | None, str | None]]:
        received = []
        for output in self._engine.step():
            new = output.outputs[0]
            scores = [found[token].logprob for token, found in zip(new.token_ids, new.logprobs or [])]
            tokens = list(zip(new.token_ids, scores or [None] * len(new.token_ids)))
            reason = _REASONS.get(new.finish_reason, "error") if output.finished else None
            received.append((output.request_id, tokens, reason, new.finish_reason if reason == "error" else None))
        return received
