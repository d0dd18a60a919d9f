"""Images in messages: identified by a hash of their bytes, encoded only while they are sent."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Iterable

from vasari.core.errors import ImageError
from vasari.core.records import ImageRef
from vasari.data.images import read_image_bytes
from vasari.endpoint.request import Image

base64_of: Callable[[bytes], bytes]
"""Function that encodes bytes in base64."""
try:
    import pybase64

    # The same bytes in less time, of which images cost most: benchmarks/endpoint_speed.py measures
    # the client with both.
    base64_of = pybase64.b64encode
except ImportError:  # not built for this machine, or an older environment
    base64_of = base64.b64encode

_MAGIC: tuple[tuple[bytes, int, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"WEBP", 8, "image/webp"),
    (b"GIF8", 0, "image/gif"),
)


def image_part(ref: ImageRef, *, detail: str | None = None, where: str = "image") -> Image:
    """Return an image as part of a message: its hash and media type, without its bytes.

    Raises:
        ImageError: Missing, empty, too large, or of a kind that servers do not take.
    """
    data = read_image_bytes(ref, where=where)
    return Image(
        digest=hashlib.sha256(data).hexdigest(),
        media_type=media_type(data, where=where),
        detail=detail,
        ref=ref,
    )


def media_type(data: bytes, *, where: str = "image") -> str:
    """Return the media type of an image, e.g. `image/png`, from its first bytes.

    Raises:
        ImageError: None of them.
    """
    for magic, offset, name in _MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return name
    raise ImageError(
        f"{where}: neither PNG, JPEG, WebP nor GIF, which are what servers take; it begins with"
        f" {data[:8]!r}"
    )


async def encode_images(images: Iterable[Image]) -> list[bytes]:
    """Return the bytes of each image in base64; reads files in a thread, as a disk may be slow.

    Raises:
        ImageError: An image is missing or has changed since it was hashed.
    """
    return [
        encode_image(image)
        if image.ref is None or image.ref.data is not None
        else await asyncio.to_thread(encode_image, image)
        for image in images
    ]


def encode_image(image: Image) -> bytes:
    """Return the bytes of an image in base64.

    Raises:
        ImageError: It is missing or has changed since it was hashed.
    """
    name = f"image {image.digest[:12]}"
    if image.ref is None:
        raise ImageError(f"{name}: the request does not say where its bytes are")
    data = read_image_bytes(image.ref, where=name)
    if image.ref.data is None and hashlib.sha256(data).hexdigest() != image.digest:
        raise ImageError(f"{name}: its bytes have changed since the request was made")
    return base64_of(data)
