"""Suites: small declarative files (YAML) beside the code that reads them. docs/evaluation.md lists them all."""
