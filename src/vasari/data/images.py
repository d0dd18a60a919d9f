"""Images opened safely: complete, of a known format and of bounded size.

Where a data set's folder is given, nothing outside it is opened.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from PIL import Image, ImageOps, UnidentifiedImageError

from vasari.core.errors import ImageError
from vasari.core.records import ImageRef

FORMATS: tuple[str, ...] = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""Image formats that are read; of an animation, only the first frame."""

MAX_BYTES = 64 * 2**20
"""Largest encoded image that is read, in bytes."""

MAX_PIXELS = 16_777_216
"""Most pixels of an image, 4,096 x 4,096: a few kilobytes of PNG can decode to gigabytes."""

_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""Exceptions that Pillow's decoders raise on damaged files."""


def read_image_bytes(
    ref: ImageRef, *, where: str = "image", root: Path | None = None, max_bytes: int = MAX_BYTES
) -> bytes:
    """Return the encoded bytes of an image, from memory or from its file.

    Args:
        ref: The image; its bytes are used when it has them, else its path.
        where: What image of what prompt, for the error message.
        root: When given, a path is relative to this folder and may not leave it; else it is used as
            it stands.
        max_bytes: Larger images are refused without being read.

    Raises:
        ImageError: The file is missing, unreadable, empty, too large, or outside `root`.
    """
    with _opened(ref, where=where, root=root, max_bytes=max_bytes) as file:
        return file.read()


def open_image(
    ref: ImageRef,
    *,
    where: str = "image",
    max_pixels: int = MAX_PIXELS,
    root: Path | None = None,
) -> Image.Image:
    """Return an image decoded to RGB: turned upright by EXIF data, transparency put on white.

    Args:
        ref: The image.
        where: What image of what prompt, for the error message.
        max_pixels: Larger images are refused by their header, before a pixel is decoded.
        root: As in `read_image_bytes`.

    Raises:
        ImageError: Missing, truncated, damaged, not an image of `FORMATS`, too large, or outside
            `root`.
    """
    file = io.BytesIO(read_image_bytes(ref, where=where, root=root))
    image = _identify(file, ref, where=where, max_pixels=max_pixels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Odd but harmless metadata: Pillow warns and goes on.
            image.seek(0)
            image.load()
            upright = ImageOps.exif_transpose(image)
            return _on_white(upright if upright is not None else image)
    except _DAMAGED as error:
        raise ImageError(f"{where}: {_name(ref)} is truncated or damaged: {error}") from error


def check_header(ref: ImageRef, *, where: str = "image") -> tuple[int, int]:
    """Return an image's (width, height) from its header, without decoding the pixels.

    Only the first bytes of a file are read.

    Raises:
        ImageError: As `open_image`, but for damage behind the header.
    """
    with _opened(ref, where=where) as file:
        return _identify(file, ref, where=where, max_pixels=MAX_PIXELS).size


@contextmanager
def _opened(
    ref: ImageRef, *, where: str, root: Path | None = None, max_bytes: int = MAX_BYTES
) -> Iterator[IO[bytes]]:
    """Open an image of bounded size, in memory or on disk."""
    try:
        if ref.data is not None:
            size, file = len(ref.data), cast("IO[bytes]", io.BytesIO(ref.data))
        else:
            path = resolve_path(str(ref.path), where=where, root=root)
            file = path.open("rb")
            size = os.fstat(file.fileno()).st_size
        with file:
            if size > max_bytes:
                raise ImageError(
                    f"{where}: {_name(ref)} has {size:,} bytes, the limit is {max_bytes:,}"
                )
            if size == 0:
                raise ImageError(f"{where}: {_name(ref)} is empty")
            yield file
    except OSError as error:
        raise ImageError(f"{where}: cannot read {_name(ref)}: {error.strerror or error}") from error


def _identify(file: IO[bytes], ref: ImageRef, *, where: str, max_pixels: int) -> Image.Image:
    """Open the image with its header read and its size checked, not yet decoded."""
    try:
        with warnings.catch_warnings():
            # Our own limit is below the one at which Pillow warns of a decompression bomb, and says
            # where.
            warnings.simplefilter("ignore")
            image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{where}: {_name(ref)} has too many pixels, the limit is {max_pixels:,}"
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{where}: {_name(ref)} is not an image ({', '.join(FORMATS)} are read)"
        ) from error
    except _DAMAGED as error:
        raise ImageError(f"{where}: {_name(ref)} is truncated or damaged: {error}") from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{where}: {_name(ref)} is {width} x {height}, {width * height:,} pixels; the limit is"
            f" {max_pixels:,}"
        )
    return image


def resolve_path(path: str, *, where: str, root: Path | None) -> Path:
    """Check that the file at `path` exists, inside `root` if given, and return its path.

    Raises:
        ImageError: Nothing is there, it is not a regular file, or it lies outside `root`.
    """
    if "\0" in path:
        raise ImageError(f"{where}: the path {_shortened(path)} holds a null character")
    found = path
    if root is not None:
        if os.path.isabs(path):  # noqa: PTH117  (text, not `Path`: a million times)
            raise ImageError(
                f"{where}: the path {_shortened(path)} is absolute; it must be relative to {root}"
            )
        base = os.path.realpath(root)
        found = os.path.realpath(os.path.join(base, path))  # noqa: PTH118
        if not f"{found}{os.sep}".startswith(os.path.join(base, "")):  # noqa: PTH118
            raise ImageError(f"{where}: the path {_shortened(path)} leaves the folder {root}")
    # A name too long for the file system, or a folder that may not be entered, is an OSError.
    try:
        regular = stat.S_ISREG(os.stat(found).st_mode)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(f"{where}: the file {_shortened(path)} is missing") from error
    except OSError as error:
        shown, why = _shortened(path), error.strerror or error
        if error.errno == errno.ELOOP:
            raise ImageError(
                f"{where}: the path {shown} is a link that leads in a circle"
            ) from error
        raise ImageError(f"{where}: cannot read {shown}: {why}") from error
    if not regular:
        # A pipe or a device would block or never end.
        raise ImageError(f"{where}: {_shortened(path)} is not a regular file")
    return Path(found)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits a pixel; a plain conversion would clip instead of scale.
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        page = Image.new("RGBA", image.size, "white")
        page.alpha_composite(image.convert("RGBA"))
        return page.convert("RGB")
    return image.convert("RGB")


def _name(ref: ImageRef) -> str:
    return (
        _shortened(ref.path) if ref.path is not None else f"image of {len(ref.data or b''):,} bytes"
    )


def _shortened(path: str) -> str:
    return repr(path if len(path) <= 160 else f"{path[:157]}...")
