"""Drawing styles: paper, ink, strokes and lettering, and the shade that a style gives a colour."""

from __future__ import annotations

import colorsys
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from vasari.core.errors import ConfigError, DataError
from vasari.data.tasks.scene import PALETTE, Colour, Scene

Rgb = tuple[int, int, int]

STYLES: tuple[str, ...] = ("plain", "outline", "chalk", "print")
"""Styles for training, drawn with Pillow."""

HELD_OUT_STYLE = "matplotlib"
"""A style that no model should train on: another rasteriser and another font."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """Settings of one drawing style: its paper, ink, strokes, lettering and colours."""

    paper: Rgb = (255, 255, 255)
    ink: Rgb = (20, 20, 20)
    stroke: float = 1.0
    """Factor on stroke widths."""
    lettering: float = 1.0
    """Factor on text size."""
    bold: int = 0
    """Extra stroke around letters, in supersampled pixels at size 112."""
    edge: float = 0.0
    """Width of an ink edge around filled marks that have no outline, in units of the image."""
    saturation: float = 1.0
    repaint: Mapping[Colour, Rgb] = field(default_factory=dict)
    """Other RGB values for the colours that would not stand out on this paper."""


_STYLES: dict[str, Style] = {
    "plain": Style(),
    "outline": Style(
        paper=(250, 250, 252), ink=(30, 30, 60), stroke=0.75, lettering=0.96, edge=0.009
    ),
    "chalk": Style(
        paper=(74, 94, 88),
        ink=(244, 244, 236),
        stroke=1.25,
        lettering=1.0,
        bold=1,
        edge=0.006,
        repaint={
            "red": (240, 70, 66),
            "blue": (80, 135, 250),
            "green": (40, 190, 70),
            "purple": (170, 95, 220),
            "gray": (168, 168, 168),
            "black": (10, 10, 10),
        },
    ),
    "print": Style(
        paper=(247, 240, 224), ink=(58, 40, 30), stroke=1.3, lettering=1.06, saturation=0.95
    ),
    HELD_OUT_STYLE: Style(),
}


def find_style(name: str) -> Style:
    """Return the settings of the drawing style called `name`, such as "chalk".

    Raises:
        ConfigError: There is none.
    """
    if name not in _STYLES:
        raise ConfigError(f"drawing style must be one of {(*STYLES, HELD_OUT_STYLE)}, got {name!r}")
    return _STYLES[name]


def paint(scene: Scene, style: str) -> dict[Colour, Rgb]:
    """Return the RGB value of each colour name ("red", "ink", ...) for one scene in one style.

    Hue, saturation and brightness shift by a few per cent, decided by a digest of the scene, so
    that a model cannot know a colour by one value, while every colour keeps its name.
    """
    digest = hashlib.blake2b(f"{style}{scene}".encode(), digest_size=3 * len(PALETTE)).digest()
    how = _STYLES[style]
    colours: dict[Colour, Rgb] = {"ink": how.ink, "paper": how.paper}
    for place, (name, rgb) in enumerate(PALETTE.items()):
        # Four bits each: 4,096 shades of a colour, few enough to remember.
        shifts = (digest[3 * place] >> 4, digest[3 * place + 1] >> 4, digest[3 * place + 2] >> 4)
        colours[name] = _shade(how.repaint.get(name, rgb), shifts, how.saturation)
    return colours


@functools.lru_cache(maxsize=65_536)
def _shade(rgb: Rgb, shifts: tuple[int, int, int], saturation: float) -> Rgb:
    """Return a colour with hue, saturation and brightness shifted by steps from 0 to 15.

    A step of 7.5 shifts nothing.
    """
    by_hue, by_chroma, by_value = (shift / 7.5 - 1.0 for shift in shifts)
    hue, chroma, value = colorsys.rgb_to_hsv(rgb[0] / 255, rgb[1] / 255, rgb[2] / 255)
    chroma = min(1.0, chroma * saturation * (1.0 + 0.06 * by_chroma))
    value = min(1.0, value * (1.0 + 0.05 * by_value))
    red, green, blue = colorsys.hsv_to_rgb((hue + 0.008 * by_hue) % 1.0, chroma, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def rgb_of(colour: Colour, colours: Mapping[Colour, Rgb]) -> Rgb:
    """Return the RGB value that `colours` holds for a colour's name.

    Raises:
        DataError: The palette has no such colour.
    """
    if colour not in colours:
        raise DataError(f"a mark has the colour {colour!r}; the palette has {', '.join(colours)}")
    return colours[colour]
