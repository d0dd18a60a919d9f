"""Errors that a user can cause or must act on."""

from __future__ import annotations


class VasariError(Exception):
    """Base of all errors that Vasari raises on purpose; the command line prints one line for it."""


class ConfigError(VasariError, ValueError):
    """A setting is unknown, out of range, or contradicts another one."""


class DataError(VasariError, ValueError):
    """A prompt, an answer or a data file is not what it must be."""


class ImageError(DataError):
    """An image is missing, damaged, or larger than the limits allow."""


class MissingExtraError(VasariError, ImportError):
    """A command needs an optional dependency that is not installed."""


class StateError(VasariError, RuntimeError):
    """Saved state does not fit: another pool, another schema, or a damaged file."""


class StorageError(VasariError, OSError):
    """The disk refused: full, read-only, or gone. What was saved before stays intact."""
