"""Prompts: from files, from public data sets, and generated; with their images."""
