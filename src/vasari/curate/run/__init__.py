"""Runs a curation: stages over shards on disk, resumable, with a forecast of requests."""
