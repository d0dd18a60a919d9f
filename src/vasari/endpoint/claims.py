"""Claims on requests, by which processes that share a store send each request once.

A claim is a lock on one byte of an empty file: the system ends it with the process that holds it,
however that process ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from pathlib import Path

from vasari.core.errors import StorageError

_PLACE_BITS = 62  # what a file's offset can be, with room for the byte behind it


class Claims:
    """The claims of this process on requests of a store.

    Raises:
        StorageError: The disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"{path}: cannot be opened: {error.strerror or error}") from error

    def take(self, slot: bytes) -> bool:
        """Claim a request and answer number; return False while another process has claimed it."""
        try:
            self._lock(fcntl.F_WRLCK, slot)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            why = error.strerror or error
            raise StorageError(
                f"{self._path}: cannot be locked: {why}; choose a local disk"
            ) from error
        return True

    def give_back(self, slot: bytes) -> None:
        """End a claim."""
        self._lock(fcntl.F_UNLCK, slot)

    def close(self) -> None:
        """End all claims."""
        os.close(self._file)

    def _lock(self, kind: int, slot: bytes) -> None:
        place = int.from_bytes(hashlib.blake2b(slot, digest_size=8).digest()) >> (64 - _PLACE_BITS)
        if hasattr(fcntl, "F_OFD_SETLK"):
            # Linux: a lock of this open file, not of the process, so that two stores of one
            # process exclude each other as well, and closing one ends no claim of the other.
            lock = struct.pack("hhqqi", kind, os.SEEK_SET, place, 1, 0)
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, lock)
        else:
            fcntl.lockf(
                self._file,
                fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB,
                1,
                place,
            )
