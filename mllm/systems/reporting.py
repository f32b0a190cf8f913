"""A report from the text of a system that is not ours: the same parser, the same check of cues against measurements."""

from cuewise.mllm.assemble import Answered, build_report
from cuewise.mllm.engine.base import Completion
from cuewise.mllm.evidence.check import check_cues
from cuewise.mllm.evidence.measure import measure
from cuewise.mllm.media import Media
from cuewise.mllm.report import EmotionReport, parse


def report_on_text(
    name: str, model: str, text: str, media: Media, tokens: dict[str, int], timing_ms: dict[str, float]
) -> EmotionReport:  # fmt: skip
    """Report on one clip from what a system wrote about it. Text without our tags gives form ``unparsed``.

    Args:
        tokens: media tokens per channel that the system was given.
        timing_ms: `decode` and `generate`; the rest is counted here.
    """
    measurements = measure(media)
    answer = parse(text, media.duration_s or None)
    parts = {name: timing_ms.get(name, 0.0) for name in ("queue", "decode", "measure", "encode", "prefill", "generate")}
    return build_report(
        Answered(
            name=name, model=model, media=media, measurements=measurements, answer=answer,
            completion=Completion(name, 0, text=text), pieces=[], cues=check_cues(answer.cues, measurements),
            distribution={}, channels={}, va=None, tokens=tokens,
            timing_ms={**parts, "total": round(sum(parts.values()), 2)},
        )
    )  # fmt: skip
