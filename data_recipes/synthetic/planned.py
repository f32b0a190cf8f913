"""What is known of a synthetic clip before it is drawn and spoken: enough to score and to corrupt answers about it."""

from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.synthetic.conflict import final, reasoning
from cuewise.data_recipes.synthetic.plan import ClipPlan, stream
from cuewise.mllm.evidence.claims import phrase
from cuewise.mllm.report import Claim, Cue


def planned_row(plan: ClipPlan) -> Row:
    """The row of a plan: labels, votes, cues; word times, scene cues and action units need the clip itself."""
    winner = final(plan.carried)
    quote = next((sentence.phrase for sentence in plan.script if sentence.phrase), None)
    words = next((one for one in plan.carried if one.channel == "words"), None)
    cues = [cue.cue() for cue in plan.cues]
    if quote and words is not None and words.strength:
        claim = Claim(attribute="quote", direction="present")
        text = phrase("words", claim, quote=quote)
        cues.append(Cue(channel="words", observation=text, supports=[words.label], claim=claim))
    return Row(
        id=f"plan_{plan.seed:07d}", corpus="synthetic", split=plan.split, labels=[winner.label], cues=cues,
        transcript=plan.transcript if words is not None else None,
        votes={**{one.channel: {one.label: 1.0} for one in plan.carried}, "all": {winner.label: 1.0}},
        reasoning=reasoning(stream(plan.seed, "row"), plan.carried, winner),
    )  # fmt: skip
