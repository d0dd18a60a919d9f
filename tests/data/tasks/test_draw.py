"""Drawing styles: deterministic, of the right size, and true to the scene."""

from __future__ import annotations

import colorsys
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vasari.core.errors import ConfigError, DataError
from vasari.data.tasks.draw import draw
from vasari.data.tasks.scene import PALETTE, Disc, Line, Polygon, Scene, Text, Wedge, rectangle
from vasari.data.tasks.styles import HELD_OUT_STYLE, STYLES

ALL_STYLES = (*STYLES, HELD_OUT_STYLE)

units = st.floats(-0.2, 1.2)
points = st.tuples(units, units)
colours = st.sampled_from([*PALETTE, "ink", "paper"])
fills = st.none() | colours
widths = st.floats(0.0, 0.1)
labels = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
marks = st.one_of(
    st.builds(Line, points, points, colours, widths),
    st.builds(Polygon, st.lists(points, min_size=2, max_size=6).map(tuple), fills, fills, widths),
    st.builds(Disc, points, st.floats(0.0, 0.6), fills, fills, widths),
    st.builds(
        Wedge,
        points,
        st.floats(0.0, 0.6),
        st.floats(0, 360),
        st.floats(0, 720),
        fills,
        fills,
        widths,
    ),
    st.builds(
        Text,
        points,
        labels,
        st.floats(0.0, 0.3),
        colours,
        st.sampled_from(["middle", "left", "right"]),
    ),
)
scenes = st.lists(marks, max_size=6).map(lambda found: Scene(tuple(found)))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def hue(rgb: np.ndarray) -> float:
    return colorsys.rgb_to_hsv(*(rgb / 255))[0]


@given(scenes, st.sampled_from(STYLES), st.integers(16, 160))
@settings(max_examples=60, deadline=None)
def test_any_scene_gives_a_complete_png_of_the_size_asked_for_and_the_same_bytes_again(
    scene, style, size
):
    png = draw(scene, style=style, size=size)
    with Image.open(io.BytesIO(png)) as image:
        image.load()
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (size, size))
    assert draw(scene, style=style, size=size) == png


@given(scenes, st.integers(16, 160))
@settings(max_examples=15, deadline=None)
def test_the_held_out_style_draws_any_scene_too(scene, size):
    png = draw(scene, style=HELD_OUT_STYLE, size=size)
    assert pixels(png).shape == (size, size, 3)
    assert draw(scene, style=HELD_OUT_STYLE, size=size) == png


@pytest.mark.parametrize("style", ALL_STYLES)
@pytest.mark.parametrize("colour", [name for name in PALETTE if name not in ("black", "gray")])
def test_a_colour_keeps_its_hue_in_every_style(style, colour):
    png = draw(Scene((rectangle(0.1, 0.1, 0.9, 0.9, fill=colour),)), style=style)
    expected = hue(np.array(PALETTE[colour]))
    difference = abs(hue(pixels(png)[56, 56]) - expected)
    assert min(difference, 1 - difference) < 0.03


@pytest.mark.parametrize("style", ALL_STYLES)
def test_colours_stay_far_apart_and_apart_from_the_paper(style):
    marks = tuple(
        rectangle(i / 11, 0.2, (i + 1) / 11, 0.8, fill=name) for i, name in enumerate(PALETTE)
    )
    image = pixels(draw(Scene(marks), style=style, size=220)).astype(float)
    found = np.stack([image[110, 10 + 20 * i] for i in range(len(PALETTE))] + [image[10, 110]])
    distances = np.linalg.norm(found[:, None] - found[None], axis=-1) + 999 * np.eye(len(found))
    assert distances.min() > 45


@pytest.mark.parametrize("style", ALL_STYLES)
def test_a_mark_lies_where_the_scene_puts_it(style):
    scene = Scene((rectangle(0.25, 0.5, 0.5, 0.75, fill="red"),))
    blank, image = (pixels(draw(s, style=style, size=100)).astype(int) for s in (Scene(()), scene))
    rows, columns = np.nonzero(np.abs(image - blank).sum(axis=-1) > 60)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == pytest.approx(
        (50, 75, 25, 50), abs=1
    )


@pytest.mark.parametrize("style", ALL_STYLES)
def test_a_wedge_runs_clockwise_from_twelve_o_clock(style):
    scene = Scene((Wedge((0.5, 0.5), 0.4, 0, 90, fill="blue"),))
    blank, image = (pixels(draw(s, style=style, size=100)).astype(int) for s in (Scene(()), scene))
    changed = np.abs(image - blank).sum(axis=-1) > 60
    assert (changed[35, 65], changed[35, 35], changed[65, 35], changed[65, 65]) == (
        True,
        False,
        False,
        False,
    )


@pytest.mark.parametrize("style", ALL_STYLES)
def test_text_is_centred_on_its_capitals(style):
    blank, image = (
        pixels(draw(s, style=style, size=200)).astype(int)
        for s in (Scene(()), Scene((Text((0.5, 0.5), "H", size=0.4),)))
    )
    rows, columns = np.nonzero(np.abs(image - blank).sum(axis=-1) > 150)
    assert ((rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2) == pytest.approx(
        (100, 100), abs=5
    )


def test_a_dollar_sign_is_text_in_the_held_out_style():
    assert draw(Scene((Text((0.5, 0.5), "$\\frac"),)), style=HELD_OUT_STYLE) != draw(
        Scene(()), style=HELD_OUT_STYLE
    )


def test_styles_differ_from_each_other():
    scene = Scene((rectangle(0.2, 0.2, 0.8, 0.8, fill="green"), Text((0.5, 0.9), "7")))
    assert len({draw(scene, style=style) for style in ALL_STYLES}) == len(ALL_STYLES)


def test_an_unknown_style_is_refused():
    with pytest.raises(ConfigError, match=r"drawing style must be one of .*'plain'.*got 'sketch'"):
        draw(Scene(()), style="sketch")


@pytest.mark.parametrize("size", [15, 4097])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(ConfigError, match=f"between 16 and 4096 pixels, got {size}"):
        draw(Scene(()), size=size)


@pytest.mark.parametrize("style", ["plain", HELD_OUT_STYLE])
def test_an_unknown_colour_is_refused(style):
    with pytest.raises(DataError, match="colour 'mauve'; the palette has ink, paper, red"):
        draw(Scene((Line((0, 0), (1, 1), colour="mauve"),)), style=style)
