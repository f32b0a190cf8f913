"""Scores: metrics as pure functions, suites, runner and reports."""
