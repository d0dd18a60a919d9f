"""Errors that a user can cause or must act on."""

from __future__ import annotations


class VasariError(Exception):
    """Base class of all errors that Vasari raises on purpose; users see one line, no traceback."""


class ConfigError(VasariError, ValueError):
    """Raised when a setting is unknown, out of range, or contradicts another setting."""


class DataError(VasariError, ValueError):
    """Raised when a prompt, an answer or a data file is missing, malformed or inconsistent."""


class ImageError(DataError):
    """Raised when an image is missing, damaged, or larger than the limits allow."""


class MissingExtraError(VasariError, ImportError):
    """Raised when a command needs an optional dependency that is not installed."""


class StateError(VasariError, RuntimeError):
    """Raised when a run's saved state is unusable, e.g. damaged or of another prompt pool."""


class StorageError(VasariError, OSError):
    """Raised when the disk is full, read-only or gone; files saved before stay intact."""
