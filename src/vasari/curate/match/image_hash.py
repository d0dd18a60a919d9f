"""Perceptual image hashes of 256 bits: few bits differ between images that look the same.

The hash is the DCT hash ("pHash") at four times its usual length: grey, 128 x 128 by area averages,
64 x 64, the 16 x 16 lowest frequencies of its DCT-II, each compared with their median. 64 bits
cannot tell line drawings apart; 256 can. Cutting an edge off moves about a third of the bits, so a
reference image gets 25 hashes, one for each way in which up to 5% may be cut. Resampling, cutting
and DCT are one matrix from each side, so all hashes of an image cost two small products.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vasari.core.errors import ImageError
from vasari.core.records import Prompt
from vasari.curate.stage import Dropped
from vasari.data.images import open_image, read_image_bytes

Codes = NDArray[np.uint64]
"""[..., 4] hashes of 256 bits, each as four uint64."""

THUMBNAIL = 128
"""Side of the grey image that is hashed."""

NUM_CROPS = 25
"""Hashes of a reference image: 5 cuts of the width times 5 of the height; the first is the whole
image."""

COPY_RADIUS = 32
"""Bits by which resized and recompressed copies differ at most (of 256)."""

CROP_RADIUS = 46
"""Bits by which a copy, also cut by up to 5%, differs at most from the nearest of the 25 hashes."""

_NODES, _FREQUENCIES = 64, 16
_ROUNDING = 0.25
"""Smaller coefficients are sums' rounding (0.03 at most), and a flat image has no others; one grey
level makes 1,000."""
# Shares of the width (or height) cut off at the lower and the upper end.
_CUTS = ((0.0, 0.0), (0.025, 0.025), (0.05, 0.05), (0.0, 0.05), (0.05, 0.0))
_PENDING = 256  # thumbnails of 16 KB that wait to be hashed together


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """Convert an image to grey and resize it by area averages: uint8 [128, 128]."""
    return np.asarray(
        image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), dtype=np.uint8
    )


def hash_thumbnails(
    thumbnails: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], *, chunk: int = 256
) -> Codes:
    """Perceptual hashes of images, uint64 [images, 4]; 64 KB of memory per image of a chunk."""
    return _hashes(thumbnails, _AXIS[:_FREQUENCIES], chunk)[:, 0]


def hash_crops(
    thumbnails: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], *, chunk: int = 64
) -> Codes:
    """25 hashes of each image, whole and with edges of up to 5% cut off: uint64 [images, 25, 4]."""
    return _hashes(thumbnails, _AXIS, chunk)


def hamming(left: Codes, right: Codes) -> NDArray[np.int64]:
    """Number of bits (of 256) that differ between image hashes, broadcast up to the last axis."""
    return np.asarray(np.bitwise_count(left ^ right).sum(axis=-1, dtype=np.int64))


def _hashes(
    thumbnails: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    axis: NDArray[np.float32],
    chunk: int,
) -> Codes:
    cuts = len(axis) // _FREQUENCIES
    parts = [np.zeros((0, cuts * cuts, 4), dtype=np.uint64)]
    for start in range(0, len(thumbnails), chunk):
        pixels = np.asarray(thumbnails[start : start + chunk], dtype=np.float32)
        waves = (axis @ pixels @ axis.T).reshape(-1, cuts, _FREQUENCIES, cuts, _FREQUENCIES)
        waves = waves.transpose(0, 1, 3, 2, 4).reshape(-1, cuts * cuts, _FREQUENCIES**2)
        # Half of the 256 coefficients lie above the 128th: a partition finds it faster than a
        # median.
        middle = np.partition(waves, _FREQUENCIES**2 // 2 - 1, axis=2)[
            :, :, _FREQUENCIES**2 // 2 - 1
        ]
        parts.append(np.packbits(waves > middle[:, :, None] + _ROUNDING, axis=2).view(np.uint64))
    return np.concatenate(parts)


def _cosines() -> NDArray[np.float64]:
    """The DCT-II matrix: [16 frequencies, 64 nodes]."""
    places = (np.arange(_NODES) + 0.5) / _NODES
    return np.cos(np.pi * np.arange(_FREQUENCIES)[:, None] * places)


def _area_average(low: float, high: float) -> NDArray[np.float64]:
    """Matrix that averages pixels in 64 equal cells between two shares of the side: [64, 128].

    Rows sum to 1.
    """
    edges = np.linspace(low * THUMBNAIL, high * THUMBNAIL, _NODES + 1)
    pixels = np.arange(THUMBNAIL)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.clip(overlap, 0.0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


_AXIS = np.concatenate([_cosines() @ _area_average(low, 1.0 - high) for low, high in _CUTS]).astype(
    np.float32
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageIndex:
    """Perceptual hashes of distinct images, and the indices of each prompt's images among them.

    Memory: 32 bytes a distinct image (800 with crops), 8 an image of a prompt, 8 a prompt; no
    pixels are kept.
    """

    codes: Codes
    """[distinct images, 4], or [distinct images, 25, 4] with crops."""
    starts: NDArray[np.int64]
    """[prompts + 1] where each prompt's images start in `members`."""
    members: NDArray[np.int64]
    """Indices in `codes`, prompt after prompt, in the order of each prompt's images."""
    dropped: tuple[Dropped, ...]
    """Prompts with an image that cannot be read, reason "image_unreadable"; they have no
    members."""

    def of(self, prompt: int) -> NDArray[np.int64]:
        """Indices of one prompt's images in `codes`, the array of image hashes."""
        return self.members[self.starts[prompt] : self.starts[prompt + 1]]


def index_images(
    prompts: Iterable[Prompt], *, root: Path | None = None, crops: bool = False
) -> ImageIndex:
    """Read and hash the images of prompts; images of equal bytes are hashed only once.

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
