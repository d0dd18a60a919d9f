"""Draw Matplotlib figures as inline SVG in the page's colours, for light and dark mode."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, QUIET, RULE, CARD = "#010101", "#020202", "#030303", "#040404"
"""Stand-ins in a figure for the page's colours of the same names."""

SERIES: tuple[str, ...] = tuple(f"#0501{place:02d}" for place in range(6))
"""Stand-ins for the colours of arms, in the order of the legend."""

DASHES: tuple[str, ...] = ("-", "--", "-.", ":", "-", "--")
"""Line styles of arms in the order of the legend, so that colour is never the only difference."""

_VARIABLES = {INK: "ink", QUIET: "quiet", RULE: "rule", CARD: "card"} | {
    code: f"s{place}" for place, code in enumerate(SERIES)
}

_STYLE = {
    "svg.hashsalt": "vasari",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.edgecolor": RULE,
    "axes.labelcolor": QUIET,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
}


@contextmanager
def drawing(width: float = 4.0, height: float = 2.5) -> Iterator[tuple[Figure, Axes]]:
    """Context manager that yields an empty figure and its axes in the page's style.

    Call `to_svg` inside the block.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.add_subplot()


def to_svg(figure: Figure, *, name: str, alt: str) -> Markup:
    """Return the figure as an `<svg>` element for an HTML page; equal figures give equal text.

    Args:
        figure: Made in `drawing`.
        name: Letters, digits and dashes, unique on the page: it begins the ids inside.
        alt: What the picture shows, in words, for readers who do not see it.
    """
    sink = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing"
        )  # the reader's fonts draw the text, not ours
        figure.savefig(
            sink, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    text = sink.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]*)"', text)
    opening = (
        f'<svg class="plot" role="img" aria-label="{html.escape(alt)}"'
        f' viewBox="{box.group(1) if box else ""}">'
    )
    text = opening + text[text.index(">") + 1 :]
    text = _own_ids(text, name).replace("xlink:href", "href")
    for code, variable in _VARIABLES.items():
        text = text.replace(code, f"var(--{variable})")
    text = re.sub(r"(font: [\d.]+px) [^;\"]*", r"\1 var(--sans)", text)
    text = re.sub(r' d="[^"]*"', _rounded, text)
    return Markup(re.sub(r"\s*\n\s*", "\n", text).strip())  # noqa: S704 - matplotlib escaped every label


def _own_ids(text: str, name: str) -> str:
    """Prefix the SVG's referenced ids with the figure's name, so that ids are unique on the page.

    Other ids are removed.
    """
    used = set(re.findall(r"#([\w-]+)", text))

    def replaced(match: re.Match[str]) -> str:
        return f' id="{name}-{match.group(1)}"' if match.group(1) in used else ""

    text = re.sub(r' id="([\w.-]+)"', replaced, text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)


def _rounded(match: re.Match[str]) -> str:
    return re.sub(r"\d+\.\d{2,}", lambda found: f"{float(found.group()):.1f}", match.group())
