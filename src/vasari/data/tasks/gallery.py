"""HTML page that shows example problems of the task families (makers of problems)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from vasari.core.errors import ConfigError
from vasari.core.files import write_bytes
from vasari.data.tasks.draw import draw
from vasari.data.tasks.problem import Family, Problem
from vasari.data.tasks.styles import HELD_OUT_STYLE, STYLES
from vasari.data.tasks.thinker import Thinker

_SIZE = 112
_SLIP_RATE = 0.3
"""Chance of a deliberate mistake per step, so high that most solutions shown have one."""


def write_gallery(
    path: Path, families: Mapping[str, Family], *, per_level: int = 2, seed: int = 0
) -> None:
    """Write an HTML page of example problems of each task family and level, in all drawing styles.

    The same arguments write the same bytes. The page loads nothing from elsewhere.

    Args:
        path: The HTML file; its folder exists.
        families: Families by name.
        per_level: Problems shown for each level, at least 1.
        seed: Of the problems, not negative.

    Raises:
        ConfigError: No families, or a count out of range.
        StorageError: The disk refused.
    """
    if not families or per_level < 1 or seed < 0:
        raise ConfigError(
            f"a gallery needs families, per_level >= 1 and seed >= 0, got {len(families)},"
            f" {per_level}, {seed}"
        )
    shown = [
        {
            "name": name,
            "levels": [
                _level(family, level, per_level=per_level, seed=seed) for level in family.levels
            ],
        }
        for name, family in families.items()
    ]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        Path(__file__).with_name("gallery.html.j2").read_text(encoding="utf-8")
    )
    page = template.render(
        families=shown, per_level=per_level, seed=seed, size=_SIZE, held_out=HELD_OUT_STYLE
    )
    write_bytes(path, page.encode())


def _level(family: Family, level: str, *, per_level: int, seed: int) -> dict[str, Any]:
    place = hashlib.blake2b(f"{family.name}/{level}".encode(), digest_size=8).digest()
    rng = np.random.default_rng([seed, int.from_bytes(place, "little")])
    return {
        "name": level,
        "cards": [_card(family.sample(rng, level), rng) for _ in range(per_level)],
    }


def _card(problem: Problem, rng: np.random.Generator) -> dict[str, Any]:
    exact, slipping = Thinker(rng=rng), Thinker(rng=rng, slip_rate=_SLIP_RATE)
    problem.think(exact)
    problem.think(slipping)
    looks = [
        {
            "style": style,
            "png": base64.b64encode(draw(problem.scene, style=style, size=_SIZE)).decode(),
        }
        for style in (*STYLES, HELD_OUT_STYLE)
    ]
    return {
        "looks": looks,
        "question": problem.question,
        "choices": problem.choices,
        "reasoning": exact.text(),
        "slipped": slipping.text(),
        "answer": problem.answer,
        "kind": problem.kind,
        "facts": problem.facts,
    }
