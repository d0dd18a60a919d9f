"""Draw grids, panels and tables as PNG images, for data sets without pictures."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vasari.core.errors import DataError

ARC_COLOURS: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("black", (0, 0, 0)),
    ("blue", (0, 116, 217)),
    ("red", (255, 65, 54)),
    ("green", (46, 204, 64)),
    ("yellow", (255, 220, 0)),
    ("gray", (170, 170, 170)),
    ("magenta", (240, 18, 190)),
    ("orange", (255, 133, 27)),
    ("light blue", (127, 219, 255)),
    ("maroon", (135, 12, 37)),
)
"""Name and colour of each digit of a grid."""

MAX_TABLE_ROWS, MAX_TABLE_COLUMNS, MAX_CELL_CHARS = 200, 40, 60

Grid = Sequence[Sequence[int]]

_CELL, _GAP, _LINE = 14, 24, (85, 85, 85)
_PANEL_GAP = 6


def draw_pairs(pairs: Sequence[tuple[Grid, Grid | None]]) -> bytes:
    """Return a PNG of grid pairs, one pair per line: input, arrow, and output or question mark."""
    lines = [
        (_grid_image(before), None if after is None else _grid_image(after))
        for before, after in pairs
    ]
    left = max(before.width for before, _ in lines)
    right = max([after.width for _, after in lines if after is not None] + [2 * _GAP])
    heights = [max(before.height, after.height if after else 0, _GAP) for before, after in lines]
    page = Image.new(
        "RGB", (left + right + 4 * _GAP, sum(heights) + _GAP * (len(lines) + 1)), "white"
    )
    pen, top = ImageDraw.Draw(page), _GAP
    for (before, after), height in zip(lines, heights, strict=True):
        page.paste(before, (_GAP, top))
        start, middle = left + int(1.5 * _GAP), top + height // 2
        pen.line([(start, middle), (start + _GAP, middle)], fill="black", width=2)
        pen.polygon(
            [(start + _GAP, middle - 5), (start + _GAP + 8, middle), (start + _GAP, middle + 5)],
            fill="black",
        )
        if after is None:
            pen.text((left + 3 * _GAP, middle), "?", fill="black", font=_font(28), anchor="lm")
        else:
            page.paste(after, (left + 3 * _GAP, top))
        top += height + _GAP
    return _png(page)


def draw_matrix(panels: NDArray[np.uint8]) -> bytes:
    """Return a PNG of a RAVEN problem: the 3 x 3 matrix with "?" as last panel, and options A to H.

    Args:
        panels: [16, height, width] gray; the first eight are the matrix, the others the options.
    """
    count, height, width = panels.shape
    step_x, step_y = width + _PANEL_GAP, height + _PANEL_GAP
    page = Image.new("L", (4 * step_x + _PANEL_GAP, 5 * step_y + 4 * _GAP), 255)
    pen, font = ImageDraw.Draw(page), _font(18)
    start = (page.width - 3 * step_x) // 2
    for place in range(9):
        corner = (start + place % 3 * step_x, _PANEL_GAP + place // 3 * step_y)
        if place < 8:
            page.paste(Image.fromarray(panels[place]), corner)
        else:
            middle = (corner[0] + width // 2, corner[1] + height // 2)
            pen.text(middle, "?", fill=0, font=_font(max(12, height // 2)), anchor="mm")
        pen.rectangle([corner, (corner[0] + width - 1, corner[1] + height - 1)], outline=0)
    for place in range(count - 8):
        corner = (
            _PANEL_GAP + place % 4 * step_x,
            3 * step_y + 2 * _GAP + place // 4 * (step_y + _GAP),
        )
        pen.text(
            (corner[0] + width // 2, corner[1] - 2),
            "ABCDEFGH"[place],
            fill=0,
            font=font,
            anchor="mb",
        )
        page.paste(Image.fromarray(panels[8 + place]), corner)
        pen.rectangle([corner, (corner[0] + width - 1, corner[1] + height - 1)], outline=0)
    return _png(page)


def draw_table(rows: Sequence[Sequence[str]]) -> bytes:
    """Return a PNG of a table whose first row is the header; long cells are cut with "...".

    Raises:
        DataError: No rows, no columns, or more than can be read in a picture.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns or len(rows) > MAX_TABLE_ROWS or columns > MAX_TABLE_COLUMNS:
        raise DataError(
            f"a table of {len(rows)} x {columns}; drawn are 1 x 1 to {MAX_TABLE_ROWS} x"
            f" {MAX_TABLE_COLUMNS}"
        )
    font = _font(14)
    cells = [
        [_cell(row[place] if place < len(row) else "") for place in range(columns)] for row in rows
    ]
    widths = [
        max(int(font.getlength(row[place])) for row in cells) + 16 for place in range(columns)
    ]
    height = 24
    page = Image.new("RGB", (sum(widths) + 1, height * len(cells) + 1), "white")
    pen = ImageDraw.Draw(page)
    pen.rectangle([(0, 0), (page.width - 1, height)], fill=(228, 233, 240))
    for number, row in enumerate(cells):
        left = 0
        for text, width in zip(row, widths, strict=True):
            pen.rectangle(
                [(left, number * height), (left + width, (number + 1) * height)],
                outline=(150, 150, 150),
            )
            pen.text(
                (left + 8, number * height + height // 2),
                text,
                fill="black",
                font=font,
                anchor="lm",
            )
            left += width
    return _png(page)


@functools.cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _grid_image(grid: Grid) -> Image.Image:
    height, width = len(grid), len(grid[0])
    image = Image.new("RGB", (width * _CELL + 1, height * _CELL + 1), _LINE)
    pen = ImageDraw.Draw(image)
    for y, row in enumerate(grid):
        for x, digit in enumerate(row):
            corner = (x * _CELL + 1, y * _CELL + 1)
            pen.rectangle(
                [corner, (corner[0] + _CELL - 2, corner[1] + _CELL - 2)], fill=ARC_COLOURS[digit][1]
            )
    return image


def _cell(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_CELL_CHARS else text[: MAX_CELL_CHARS - 3] + "..."


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
