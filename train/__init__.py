"""Curriculum fine-tuning: one loop, pure losses, recipes in YAML."""
