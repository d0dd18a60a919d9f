"""Prompts from files, from public data sets and from generators, with their images."""
