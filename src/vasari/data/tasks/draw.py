"""Draw scenes as PNG images: by Pillow, and in the held-out style by matplotlib.

A style changes the paper, the ink, the strokes and the lettering, and never what is to be seen:
colours keep their names and marks their places. The same scene, style and size give the same bytes
on one installation.
"""

from __future__ import annotations

import functools
import math
import struct
import zlib
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from vasari.core.errors import ConfigError
from vasari.data.tasks.scene import Colour, Disc, Line, Mark, Point, Polygon, Scene, Text, Wedge
from vasari.data.tasks.styles import HELD_OUT_STYLE, Rgb, Style, find_style, paint, rgb_of

SUPERSAMPLE = 2
"""Pillow draws without smoothing, so a scene is drawn this much larger and then averaged down."""


def draw(scene: Scene, *, style: str = "plain", size: int = 112) -> bytes:
    """Draw a scene (lines, shapes and texts) and return a PNG of `size` x `size` pixels.

    Args:
        scene: Marks in unit coordinates.
        style: One of `STYLES`, or `HELD_OUT_STYLE`.
        size: Pixels a side, at least 16.

    Raises:
        ConfigError: The style is unknown or the size out of range.
        DataError: A mark has a colour that is not in the palette.
    """
    how = find_style(style)
    if not 16 <= size <= 4096:
        raise ConfigError(f"image size must be between 16 and 4096 pixels, got {size}")
    colours = paint(scene, style)
    if style == HELD_OUT_STYLE:
        # Imported here: matplotlib takes longer to load than a thousand images take to draw.
        from vasari.data.tasks.draw_matplotlib import render  # noqa: PLC0415

        image = render(scene, size=size, colours=colours)
    else:
        image = _render(scene, how, size=size, colours=colours)
    return _png(image)


def _png(image: Image.Image) -> bytes:
    """Return the PNG file of an RGB image with unfiltered rows.

    Flat drawings compress best so, and Pillow's encoder does not try it.
    """
    pixels, stride = image.tobytes(), 3 * image.width
    rows = b"".join(
        b"\0" + pixels[start : start + stride] for start in range(0, len(pixels), stride)
    )
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 3)), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
        for tag, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@functools.lru_cache(maxsize=256)
def _font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(pixels)


@functools.lru_cache(maxsize=8192)
def _stamp(text: str, pixels: int, bold: int, anchor: str) -> tuple[Image.Image, int, int]:
    """Return a text as an image mask, and the offset of its top left corner from the anchor.

    Kept, because charts repeat the same few numbers.
    """
    font = _font(pixels)
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).textbbox(
        (0, 0), text, font=font, anchor=anchor, stroke_width=bold
    )
    x, y = math.floor(left), math.floor(top)
    mask = Image.new("L", (max(1, math.ceil(right) - x), max(1, math.ceil(bottom) - y)))
    ImageDraw.Draw(mask).text((-x, -y), text, fill=255, font=font, anchor=anchor, stroke_width=bold)
    return mask, x, y


def _render(scene: Scene, how: Style, *, size: int, colours: Mapping[Colour, Rgb]) -> Image.Image:
    canvas = Image.new("RGB", (size * SUPERSAMPLE, size * SUPERSAMPLE), how.paper)
    pen = _Pen(ImageDraw.Draw(canvas), how, size * SUPERSAMPLE, colours)
    for mark in scene.marks:
        pen.draw(mark)
    return canvas.reduce(SUPERSAMPLE)


class _Pen:
    """Draws marks of one scene on one canvas."""

    def __init__(
        self, canvas: ImageDraw.ImageDraw, how: Style, scale: int, colours: Mapping[Colour, Rgb]
    ) -> None:
        self._canvas = canvas
        self._how = how
        self._scale = scale
        self._colours = colours

    def draw(self, mark: Mark) -> None:
        if isinstance(mark, Line):
            ends = [self._at(mark.start), self._at(mark.end)]
            self._canvas.line(ends, fill=self._rgb(mark.colour), width=self._pixels(mark.width))
        elif isinstance(mark, Polygon):
            self._polygon(mark)
        elif isinstance(mark, Text):
            self._text(mark)
        else:
            self._round(mark)

    def _at(self, point: Point) -> Point:
        return point[0] * self._scale, point[1] * self._scale

    def _rgb(self, colour: Colour) -> Rgb:
        return rgb_of(colour, self._colours)

    def _pixels(self, width: float) -> int:
        return max(1, round(width * self._how.stroke * self._scale))

    def _edge(self, mark: Polygon | Disc | Wedge) -> tuple[Colour | None, int]:
        """Return an outline's colour and width: the mark's own, or the ink edge of the style."""
        if mark.outline is not None:
            return mark.outline, self._pixels(mark.width)
        if self._how.edge and mark.fill not in (None, "paper", "ink"):
            return "ink", max(1, round(self._how.edge * self._scale))
        return None, 0

    def _polygon(self, mark: Polygon) -> None:
        points = [self._at(point) for point in mark.points]
        if mark.fill is not None:
            self._canvas.polygon(points, fill=self._rgb(mark.fill))
        outline, width = self._edge(mark)
        if outline is not None:
            # Once around and one side more, so that every corner is joined.
            self._canvas.line(
                [*points, *points[:2]],
                fill=self._rgb(outline),
                width=width,
                joint="curve" if width > 2 else None,
            )

    def _round(self, mark: Disc | Wedge) -> None:
        outline, width = self._edge(mark)
        (x, y), reach = self._at(mark.centre), mark.radius * self._scale + width / 2
        box = (x - reach, y - reach, x + reach, y + reach)
        fill = None if mark.fill is None else self._rgb(mark.fill)
        edge = None if outline is None else self._rgb(outline)
        if isinstance(mark, Wedge) and mark.end - mark.start < 360:
            # Pillow counts degrees clockwise from three o'clock.
            self._canvas.pieslice(
                box, mark.start - 90, mark.end - 90, fill=fill, outline=edge, width=width
            )
        else:
            self._canvas.ellipse(box, fill=fill, outline=edge, width=width)

    def _text(self, mark: Text) -> None:
        pixels = max(6, round(mark.size * self._how.lettering * self._scale))
        anchor = {"middle": "mm", "left": "lm", "right": "rm"}[mark.anchor]
        bold = round(self._how.bold * self._scale / (112 * SUPERSAMPLE))
        mask, left, top = _stamp(mark.text, pixels, bold, anchor)
        x, y = self._at(mark.at)
        self._canvas.bitmap((round(x) + left, round(y) + top), mask, fill=self._rgb(mark.colour))
