"""Small sets of prompts."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image

from vasari.records import ImageRef, Prompt


def picture(shade: int) -> ImageRef:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (shade % 256, 0, 0)).save(buffer, "PNG")
    return ImageRef(data=buffer.getvalue())


@pytest.fixture
def make_prompts() -> Callable[..., list[Prompt]]:
    def make(
        count: int,
        *,
        answer: Callable[[int], str] = str,
        images: Callable[[int], int] = lambda i: 1,
        **fields,
    ) -> list[Prompt]:
        return [
            Prompt(
                id=f"p{i}",
                question=f"Question {i}?",
                answer=answer(i),
                images=tuple(picture(i + j) for j in range(images(i))),
                category=fields.get("category", "bars"),
                difficulty=fields.get("difficulty", "1"),
                kind=fields.get("kind", "number"),
                choices=fields.get("choices"),
            )
            for i in range(count)
        ]

    return make
