"""A curation as a run: stages over shards on disk, resumable, with a forecast."""
