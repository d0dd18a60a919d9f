"""Versions of Python, of vasari and of the packages that a training depends on."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import platform
from pathlib import Path

import vasari

_PACKAGES = ("torch", "transformers", "trl", "accelerate", "peft", "datasets", "numpy", "pillow")


def installed_versions() -> dict[str, str]:
    """Return the versions of vasari, of Python and of those packages that are installed."""
    versions = {"vasari": vasari.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def code_digest() -> str:
    """Return a digest of vasari's own code, in which two checkouts of one version may differ."""
    root = Path(vasari.__file__).parent
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
