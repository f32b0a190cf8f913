"""A planned row says what the drawn clip's row says."""

import pytest

from cuewise.data_recipes.synthetic.config import SynthConfig
from cuewise.data_recipes.synthetic.corpus import make_clip
from cuewise.data_recipes.synthetic.plan import plan_clip
from cuewise.data_recipes.synthetic.planned import planned_row


@pytest.mark.parametrize("seed", [1, 5, 1_000_004])
def test_a_planned_row_agrees_with_the_row_of_the_drawn_clip(seed):
    config = SynthConfig(size=96, fps=8)
    planned, drawn = planned_row(plan_clip(seed, config)), make_clip(seed, config).row
    assert planned.labels == drawn.labels[:1] and planned.votes == drawn.votes and planned.split == drawn.split
    assert planned.transcript == drawn.transcript

    def said(row):
        return {(cue.channel, cue.observation, tuple(cue.supports)) for cue in row.cues if cue.channel != "scene"}

    assert said(planned) == said(drawn)
