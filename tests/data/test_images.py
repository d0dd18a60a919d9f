"""Images opened safely: every way in which one can be wrong."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vasari.core.errors import ImageError
from vasari.data.images import MAX_PIXELS, check_header, open_image, read_image_bytes
from vasari.records import ImageRef


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 40, 3), dtype=np.uint8))
FILES = {kind: encoded(NOISE, kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP")}


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims any size."""

    def chunk(tag: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def outcome(data: bytes) -> str:
    """The mode of the opened image, or what the image error says; any other error is a failure."""
    try:
        return open_image(ImageRef(data=data), where="image 1 of prompt 'p'").mode
    except ImageError as error:
        return str(error)


@given(st.sampled_from(sorted(FILES)), st.floats(0, 1, exclude_max=True))
@settings(max_examples=150, deadline=None)
def test_a_file_that_was_cut_off_raises_unless_every_pixel_is_there(kind, share):
    whole = np.asarray(open_image(ImageRef(data=FILES[kind])))
    cut = FILES[kind][: int(share * len(FILES[kind]))]
    try:
        image = np.asarray(open_image(ImageRef(data=cut)))
    except ImageError:
        return
    np.testing.assert_array_equal(image, whole)


@given(st.sampled_from(sorted(FILES)), st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_gives_an_image_or_an_image_error(kind, data):
    damaged = bytearray(FILES[kind])
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=6)):
        damaged[place] = data.draw(st.integers(0, 255))
    assert outcome(bytes(damaged)).startswith(("RGB", "image 1 of prompt 'p': "))


@given(st.binary(max_size=200))
def test_any_bytes_give_an_image_or_an_image_error(data):
    assert outcome(data).startswith(("RGB", "image 1 of prompt 'p': "))


@pytest.mark.parametrize("kind", sorted(FILES))
def test_every_allowed_format_opens_as_rgb(kind, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(FILES[kind])
    for ref in (ImageRef(data=FILES[kind]), ImageRef(path=str(path))):
        assert (open_image(ref).mode, open_image(ref).size, check_header(ref)) == (
            "RGB",
            (40, 24),
            (40, 24),
        )


def test_lossless_pixels_come_back_as_they_were():
    np.testing.assert_array_equal(
        np.asarray(open_image(ImageRef(data=FILES["PNG"]))), np.asarray(NOISE)
    )


def test_another_format_is_refused():
    with pytest.raises(
        ImageError,
        match=r"p: image of [\d,]+ bytes is not an image \(PNG, JPEG, WEBP, GIF, BMP are read\)",
    ):
        open_image(ImageRef(data=encoded(NOISE, "TIFF")), where="p")


def test_a_photo_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # The camera was turned: rotate a quarter clockwise to view.
    image = Image.new("RGB", (40, 20), "blue")
    image.paste("red", (0, 0, 10, 20))
    upright = open_image(ImageRef(data=encoded(image, "PNG", exif=exif)))
    assert (upright.size, upright.getpixel((10, 2)), upright.getpixel((10, 30))) == (
        (20, 40),
        (255, 0, 0),
        (0, 0, 255),
    )


def test_transparency_is_laid_on_white():
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((0, 0), (10, 20, 30, 255))
    opened = open_image(ImageRef(data=encoded(image, "PNG")))
    assert (opened.getpixel((0, 0)), opened.getpixel((1, 1))) == ((10, 20, 30), (255, 255, 255))


def test_sixteen_bits_are_scaled_and_not_clipped():
    image = Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16))
    opened = open_image(ImageRef(data=encoded(image, "PNG")))
    assert [opened.getpixel((x, 0))[0] for x in range(3)] == pytest.approx([0, 128, 255], abs=1)


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert open_image(ImageRef(data=data)).getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.parametrize("opening", [open_image, check_header])
def test_too_many_pixels_are_refused_before_decoding(opening):
    with pytest.raises(
        ImageError, match=r"p: .* is 4097 x 4096, 16,781,312 pixels; the limit is 16,777,216"
    ):
        opening(ImageRef(data=bomb(4097, 4096)), where="p")


@pytest.mark.parametrize("opening", [open_image, check_header])
def test_a_decompression_bomb_is_refused(opening):
    with pytest.raises(ImageError, match=r"p: .* has too many pixels, the limit is 16,777,216"):
        opening(ImageRef(data=bomb(30_000, 30_000)), where="p")


def test_the_limit_itself_is_allowed():
    assert check_header(ImageRef(data=bomb(4096, 4096))) == (4096, 4096)
    assert MAX_PIXELS == 4096 * 4096


@pytest.mark.parametrize("opening", [open_image, check_header, read_image_bytes])
def test_too_many_bytes_are_refused(opening, tmp_path):
    path = tmp_path / "big.png"
    with path.open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    with pytest.raises(
        ImageError, match=r"p: '.*big.png' has 67,108,865 bytes, the limit is 67,108,864"
    ):
        opening(ImageRef(path=str(path)), where="p")


@pytest.mark.parametrize("opening", [open_image, check_header, read_image_bytes])
def test_a_missing_file_is_named(opening, tmp_path):
    with pytest.raises(ImageError, match=r"prompt 'q7', image 2: the file '.*none.png' is missing"):
        opening(ImageRef(path=str(tmp_path / "none.png")), where="prompt 'q7', image 2")


@pytest.mark.parametrize("opening", [open_image, check_header, read_image_bytes])
def test_an_empty_file_is_refused(opening, tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"empty.png' is empty"):
        opening(ImageRef(path=str(tmp_path / "empty.png")))


def test_a_folder_or_a_pipe_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path, tmp_path / "pipe.png"):
        with pytest.raises(ImageError, match="is not a regular file"):
            open_image(ImageRef(path=str(path)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    inside = tmp_path / "set"
    inside.mkdir()
    (inside / "a.png").write_bytes(FILES["PNG"])
    (tmp_path / "secret.png").write_bytes(FILES["PNG"])
    return inside


def test_a_path_inside_the_root_opens_wherever_its_links_lead_inside(root):
    (root / "link.png").symlink_to(root / "a.png")
    for path in ("a.png", "./a.png", "link.png"):
        assert open_image(ImageRef(path=path), root=root).size == (40, 24)


def test_dots_may_not_leave_the_root(root):
    with pytest.raises(ImageError, match=r"the path '../secret.png' leaves the folder"):
        open_image(ImageRef(path="../secret.png"), root=root)


def test_a_link_may_not_leave_the_root(root):
    (root / "link.png").symlink_to(root.parent / "secret.png")
    with pytest.raises(ImageError, match=r"the path 'link.png' leaves the folder"):
        open_image(ImageRef(path="link.png"), root=root)


def test_an_absolute_path_is_refused_under_a_root(root):
    with pytest.raises(ImageError, match="is absolute; it must be relative to"):
        open_image(ImageRef(path=str(root / "a.png")), root=root)


@pytest.mark.parametrize(
    ("path", "message"),
    [("a\0b", "null character"), ("x" * 5000, "x\\.\\.\\.': File name too long")],
)
def test_a_path_that_no_file_can_have_is_refused(path, message, root):
    with pytest.raises(ImageError, match=message):
        open_image(ImageRef(path=path), root=root)


def test_bytes_win_over_the_name_they_had(root):
    assert read_image_bytes(ImageRef(data=b"abc", path="../elsewhere.png"), root=root) == b"abc"
