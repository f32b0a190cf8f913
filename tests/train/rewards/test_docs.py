"""The page about rewards names every reward with its options, and every hack."""

from pathlib import Path

from cuewise.train.rewards import rewards
from cuewise.train.rewards.hacks import HACKS

PAGE = (Path(__file__).parents[3] / "docs" / "rewards.md").read_text(encoding="utf-8")


def test_every_reward_is_documented_with_its_options_and_resources():
    for name, known in rewards().items():
        row = next((line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")), None)
        assert row is not None, name
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[2] == ", ".join(f"`{option}`" for option in known.options), name
        assert cells[3] == ", ".join(f"`{need}`" for need in known.needs), name


def test_every_hack_is_in_the_table():
    table = PAGE.partition("## Audit")[2]
    assert all(name in table for name in HACKS) and "seventeen" in table and len(HACKS) == 17
