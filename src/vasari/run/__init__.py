"""A recipe and its run: checked settings, the folder on disk, and the stages in order."""
