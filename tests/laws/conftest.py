"""Laws have no deadline per example: on a busy machine a pause would look like a broken law."""

from hypothesis import settings

settings.register_profile("laws", deadline=None)
settings.load_profile("laws")
