"""Drawn figures for tests of curation."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vasari.records import ImageRef, Prompt


def figure(seed: int, *, label: str = "") -> Image.Image:
    """A line drawing of random segments and a circle on white, 320 x 240."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (320, 240), "white")
    draw = ImageDraw.Draw(image)
    points = rng.integers([10, 10], [310, 230], size=(7, 2))
    draw.line([tuple(map(int, p)) for p in points], fill="black", width=3)
    x, y = (int(v) for v in rng.integers(40, 180, size=2))
    draw.ellipse([x, y, x + 60, y + 50], outline="blue", width=3)
    draw.text((150, 110), label, fill="black")
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options) -> ImageRef:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return ImageRef(data=buffer.getvalue())


def copied(image: Image.Image, *, scale: float = 1.0, quality: int = 70, cut=(0.0, 0.0, 0.0, 0.0)) -> ImageRef:
    """A leak of an image: cut at left, top, right and bottom by shares of the side, resized, saved as JPEG."""
    w, h = image.size
    left, top, right, bottom = cut
    part = image.crop((round(left * w), round(top * h), round(w - right * w), round(h - bottom * h)))
    part = part.resize((round(part.width * scale), round(part.height * scale)), Image.Resampling.BICUBIC)
    return encoded(part, "JPEG", quality=quality)


@pytest.fixture
def make_prompt():
    def make(id_, question="Find x.", answer="5", image=None, **fields):
        images = () if image is None else (image if isinstance(image, ImageRef) else encoded(image),)
        return Prompt(id=id_, question=question, answer=answer, images=images, **fields)

    return make


@pytest.fixture
def draw_figure():
    return figure


@pytest.fixture
def copy_image():
    return copied
