"""Indexes the images of prompts by their hashes; equal images are decoded and hashed once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ImageError
from vasari.core.records import Prompt
from vasari.curate.match.image_hash import Codes, hash_crops, hash_thumbnails, thumbnail
from vasari.curate.stage import Dropped
from vasari.data.images import open_image, read_image_bytes

_PENDING = 256  # thumbnails of 16 KB that wait to be hashed together


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageIndex:
    """Hashes of distinct images, and which prompt has which.

    Memory: 32 bytes a distinct image (800 with crops), 8 an image of a prompt, 8 a prompt; no
    pixels are kept.
    """

    codes: Codes
    """[distinct images, 4], or [distinct images, 25, 4] with crops."""
    starts: NDArray[np.int64]
    """[prompts + 1] where each prompt's images start in `members`."""
    members: NDArray[np.int64]
    """Rows of `codes`, prompt after prompt, in the order of each prompt's images."""
    dropped: tuple[Dropped, ...]
    """Prompts with an image that cannot be read, reason "image_unreadable"; they have no
    members."""

    def of(self, prompt: int) -> NDArray[np.int64]:
        """Rows of `codes` of one prompt's images."""
        return self.members[self.starts[prompt] : self.starts[prompt + 1]]


def index_images(
    prompts: Iterable[Prompt], *, root: Path | None = None, crops: bool = False
) -> ImageIndex:
    """Read, decode and hash the images of prompts, equal bytes once.

    An image that cannot be read costs its prompt only.

    Args:
        prompts: Read once, so a stream will do.
        root: Folder that image paths are relative to and may not leave; None: paths as they stand.
        crops: Give 25 hashes an image instead of one, as the reference side of a search for cut
            copies needs.
    """
    hasher = hash_crops if crops else hash_thumbnails
    parts: list[Codes] = [hasher([])]
    pending: list[NDArray[np.uint8]] = []
    known: dict[bytes, int] = {}
    starts, members, dropped = [0], [], []
    for index, prompt in enumerate(prompts):
        rows = []
        try:
            for place, ref in enumerate(prompt.images):
                where = f"prompt {prompt.id!r}, image {place}"
                digest = hashlib.blake2b(
                    read_image_bytes(ref, where=where, root=root), digest_size=16
                ).digest()
                if digest not in known:
                    pending.append(thumbnail(open_image(ref, where=where, root=root)))
                    known[digest] = len(known)
                rows.append(known[digest])
        except ImageError as error:
            dropped.append(
                Dropped(index=index, id=prompt.id, reason="image_unreadable", detail=str(error))
            )
            rows = []
        members += rows
        starts.append(len(members))
        if len(pending) >= _PENDING:
            parts.append(hasher(pending))
            pending = []
    parts.append(hasher(pending))
    return ImageIndex(
        codes=np.concatenate(parts),
        starts=np.array(starts, dtype=np.int64),
        members=np.array(members, dtype=np.int64),
        dropped=tuple(dropped),
    )
