"""Judges: models or rules that read answers for a metric. See docs/judges.md."""
