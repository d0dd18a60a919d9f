"""Finds copies: near-duplicates in a set, benchmark prompts in a training set."""
