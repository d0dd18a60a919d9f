"""Draw scenes with matplotlib, in the held-out style."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patches import Polygon as PolygonPatch
from matplotlib.patches import Wedge as WedgePatch
from matplotlib.text import Text as Label
from matplotlib.transforms import Affine2D
from PIL import Image

from vasari.data.tasks.scene import Colour, Disc, Line, Mark, Polygon, Scene, Text
from vasari.data.tasks.styles import Rgb, rgb_of

_POINTS = 72
"""Points an inch: a figure of one inch with `size` dots an inch is `size` pixels wide whatever the
size."""

_LEAST_POINTS = 4.6
"""A pixel at the smallest image; FreeType refuses letters below a pixel."""

_LETTERING = 0.95
"""Factor on text size: DejaVu Sans runs wider than most fonts."""

_HALF_CAP = 0.365
"""Half the height of a capital of DejaVu Sans, in ems: a text is centred on its capitals and
digits."""


def render(scene: Scene, *, size: int, colours: Mapping[Colour, Rgb]) -> Image.Image:
    """Return a scene as an RGB image of `size` x `size` pixels, drawn by matplotlib's Agg canvas.

    The font is DejaVu Sans.

    Raises:
        DataError: A mark has a colour that `colours` lacks.
    """
    figure = Figure(figsize=(1, 1), dpi=size, facecolor=_unit("paper", colours))
    canvas = FigureCanvasAgg(figure)
    flip = Affine2D().scale(1, -1).translate(0, 1)
    for order, mark in enumerate(scene.marks):
        artist = _artist(mark, colours)
        artist.set_zorder(order)
        artist.set_transform(flip + figure.transFigure)
        figure.add_artist(artist)
    canvas.draw()
    width, height = canvas.get_width_height()
    return Image.frombuffer("RGBA", (width, height), bytes(canvas.buffer_rgba())).convert("RGB")


def _unit(colour: Colour, colours: Mapping[Colour, Rgb]) -> tuple[float, float, float]:
    red, green, blue = rgb_of(colour, colours)
    return red / 255, green / 255, blue / 255


def _artist(mark: Mark, colours: Mapping[Colour, Rgb]) -> Any:
    if isinstance(mark, Line):
        across, down = zip(mark.start, mark.end, strict=True)
        return Line2D(
            across,
            down,
            color=_unit(mark.colour, colours),
            linewidth=mark.width * _POINTS,
            solid_capstyle="butt",
        )
    if isinstance(mark, Text):
        size = mark.size * _LETTERING
        return Label(
            mark.at[0],
            mark.at[1] + _HALF_CAP * size,
            mark.text,
            color=_unit(mark.colour, colours),
            fontfamily="DejaVu Sans",
            fontsize=max(size * _POINTS, _LEAST_POINTS),
            ha={"middle": "center", "left": "left", "right": "right"}[mark.anchor],
            va="baseline",
            usetex=False,
            parse_math=False,
        )
    paint: dict[str, Any] = {
        "facecolor": "none" if mark.fill is None else _unit(mark.fill, colours),
        "edgecolor": "none" if mark.outline is None else _unit(mark.outline, colours),
        "linewidth": mark.width * _POINTS if mark.outline is not None else 0,
    }
    if isinstance(mark, Polygon):
        return PolygonPatch(mark.points, closed=True, joinstyle="round", **paint)
    if isinstance(mark, Disc) or mark.end - mark.start >= 360:
        return Circle(mark.centre, mark.radius, **paint)
    # With y pointing down matplotlib's angles run clockwise from three o'clock.
    return WedgePatch(mark.centre, mark.radius, mark.start - 90, mark.end - 90, **paint)
