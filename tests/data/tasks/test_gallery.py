"""The gallery page: complete, self-contained, escaped, readable."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vasari.core.errors import ConfigError, StorageError
from vasari.data.tasks.families import FAMILIES
from vasari.data.tasks.gallery import write_gallery
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Scene, Text
from vasari.data.tasks.styles import HELD_OUT_STYLE, STYLES
from vasari.data.tasks.thinker import Thinker


class Hostile:
    """A family whose texts are markup."""

    name = "hostile"
    levels = ("1", "2")

    def sample(self, rng: np.random.Generator, level: str) -> Problem:
        def think(thinker: Thinker) -> str:
            thinker.say("<i>so</i>")
            return "A"

        return Problem(
            scene=Scene((Text((0.5, 0.5), level),)),
            scene_key=level,
            question="<script>alert(1)</script>",
            kind="choice",
            think=think,
            answer="A",
            choices=("<b>x</b>", "y & z"),
            facts=(Fact("a < b?", "yes"),),
        )


class Tags(HTMLParser):
    """Collects tags and checks that they close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(path: Path, families: dict[str, object], **options: int) -> tuple[str, Tags]:
    write_gallery(path, families, **options)
    text = path.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    return text, tags


def test_every_family_level_and_style_is_shown(tmp_path):
    families = {"clocks": FAMILIES["clocks"], "hostile": Hostile()}
    text, tags = page(tmp_path / "g.html", families, per_level=1)
    shown = [attrs["alt"] for tag, attrs in tags.seen if tag == "img"]
    assert shown == [
        f"{name}, level {level}, drawn in style {style}"
        for name, family in families.items()
        for level in family.levels
        for style in (*STYLES, HELD_OUT_STYLE)
    ]
    assert text.count("<dt>Reasoning</dt>") == sum(
        len(family.levels) for family in families.values()
    )


def test_images_are_inside_the_page_and_nothing_is_loaded_from_elsewhere(tmp_path):
    text, tags = page(tmp_path / "g.html", {"hostile": Hostile()}, per_level=2)
    sources = [attrs["src"] for tag, attrs in tags.seen if tag == "img"]
    sizes = {
        Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,")))).size
        for source in sources
    }
    assert (len(sources), sizes) == (20, {(112, 112)})
    assert not re.search(r"https?://|<link|<script|@import|url\(", text)


def test_texts_are_escaped(tmp_path):
    text, _ = page(tmp_path / "g.html", {"hostile": Hostile()})
    for expected in (
        "&lt;script&gt;alert(1)",
        "&lt;b&gt;x&lt;/b&gt;",
        "y &amp; z",
        "&lt;i&gt;so&lt;/i&gt;.",
        "a &lt; b?",
    ):
        assert expected in text


def test_the_same_arguments_write_the_same_page_and_another_seed_another(tmp_path):
    families = {"bars": FAMILIES["bars"]}
    pages = [page(tmp_path / "g.html", families, per_level=1, seed=seed)[0] for seed in (0, 0, 1)]
    assert (pages[0] == pages[1], pages[0] == pages[2]) == (True, False)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_text_colour_has_the_contrast_that_wcag_asks_for(mode, tmp_path):
    text, _ = page(tmp_path / "g.html", {"hostile": Hostile()}, per_level=1)
    roots = re.findall(r":root \{([^}]*)\}", text)
    colours = dict(re.findall(r"--(\w+): (#\w{6})", roots[mode == "dark"]))

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for name in ("text", "quiet", "accent", "right"):
        for ground in ("page", "card"):
            dark, light = sorted([luminance(colours[name]), luminance(colours[ground])])
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ground)


@pytest.mark.parametrize(
    ("families", "options"),
    [({}, {}), ({"h": Hostile()}, {"per_level": 0}), ({"h": Hostile()}, {"seed": -1})],
)
def test_nothing_to_show_is_refused(families, options, tmp_path):
    with pytest.raises(ConfigError, match="a gallery needs families, per_level >= 1 and seed >= 0"):
        write_gallery(tmp_path / "g.html", families, **options)


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"g\.html: could not be written"):
        write_gallery(tmp_path / "file" / "g.html", {"hostile": Hostile()}, per_level=1)
