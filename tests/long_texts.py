"""A long text in which one sentence tells."""

FILLER = [f"The committee met on day {i} and read the minutes of the meeting before. Chairs were moved to room {i}."
          for i in range(40)]  # fmt: skip
EVIDENCE = "That night Mira wept because the letter from her brother never came."


def long_text(place: int = 23) -> str:
    """The text with `EVIDENCE` in front of that part of the filler."""
    return " ".join([*FILLER[:place], EVIDENCE, *FILLER[place:]])
