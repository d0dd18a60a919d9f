"""Every mapped source reads a miniature of its documented layout."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from vasari.data.sources import SOURCES, describe_source, read_source
from vasari.records import Prompt

CASES = yaml.safe_load(Path(__file__).with_name("mapped_cases.yaml").read_text(encoding="utf-8"))


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (5, 5), "blue").save(out, "PNG")
    return out.getvalue()


def with_images(value: Any) -> Any:
    """The value with a small image in each place that says IMAGE."""
    if isinstance(value, dict):
        return {name: with_images(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_images(inner) for inner in value]
    return {"bytes": png(), "path": "x.png"} if value == "IMAGE" else value


def test_every_mapped_source_has_a_miniature():
    assert {name for name in SOURCES if describe_source(name).tier == "mapped"} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_mapped_source_reads_its_documented_layout(name, plant):
    case = CASES[name]
    (prompt,) = read_source(name, plant(with_images(case["files"])), allow_test=True)
    assert isinstance(prompt, Prompt), prompt
    assert (prompt.metadata["native_id"], prompt.question, prompt.answer, len(prompt.images)) == (
        case["id"],
        case["question"],
        case["answer"],
        case["num_images"],
    )


def test_a_mapped_source_says_that_it_was_not_seen():
    assert describe_source("chartqa").tier_note == "mapped, not seen on real files"
