"""A picture as data: marks in unit coordinates, which any drawing style can draw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Colour = str
"""A name from `PALETTE`, or "ink" (lines and text of the style) or "paper" (its background)."""

PALETTE: dict[Colour, tuple[int, int, int]] = {
    "red": (214, 39, 40),
    "blue": (31, 90, 200),
    "green": (30, 150, 60),
    "yellow": (240, 200, 20),
    "purple": (140, 60, 190),
    "orange": (255, 127, 14),
    "black": (20, 20, 20),
    "gray": (140, 140, 140),
    "cyan": (20, 190, 207),
    "pink": (245, 130, 190),
}

Point = tuple[float, float]
"""(x, y) in [0, 1], origin at the top left."""


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line of a drawing."""

    start: Point
    end: Point
    colour: Colour = "ink"
    width: float = 0.012


@dataclass(frozen=True, slots=True)
class Polygon:
    """A polygon of a drawing; with `fill` None, only its outline is drawn."""

    points: tuple[Point, ...]
    fill: Colour | None = None
    outline: Colour | None = None
    width: float = 0.012


@dataclass(frozen=True, slots=True)
class Disc:
    """A circle of a drawing; with `fill` None, only its outline is drawn."""

    centre: Point
    radius: float
    fill: Colour | None = None
    outline: Colour | None = None
    width: float = 0.012


@dataclass(frozen=True, slots=True)
class Wedge:
    """A sector of a circle, from `start` to `end` in degrees clockwise from twelve o'clock."""

    centre: Point
    radius: float
    start: float
    end: float
    fill: Colour | None = None
    outline: Colour | None = None
    width: float = 0.012


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text in a drawing; `size` is the font size as a share of the image's side."""

    at: Point
    text: str
    size: float = 0.09
    colour: Colour = "ink"
    anchor: Literal["middle", "left", "right"] = "middle"


Mark = Line | Polygon | Disc | Wedge | Text


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture: its marks (lines, shapes and texts) in drawing order."""

    marks: tuple[Mark, ...]


def rectangle(
    left: float,
    top: float,
    right: float,
    bottom: float,
    *,
    fill: Colour | None = None,
    outline: Colour | None = None,
    width: float = 0.012,
) -> Polygon:
    """Return an axis-aligned rectangle as a polygon."""
    return Polygon(
        ((left, top), (right, top), (right, bottom), (left, bottom)),
        fill=fill,
        outline=outline,
        width=width,
    )


def around(centre: Point, radius: float, degrees: float) -> Point:
    """Return the point at `radius` from `centre`, at `degrees` clockwise from twelve o'clock."""
    turn = math.radians(degrees)
    return centre[0] + radius * math.sin(turn), centre[1] - radius * math.cos(turn)
