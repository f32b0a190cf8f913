"""Corpora to `Row`: readers for published corpora, the synthetic corpus, and target builders."""
