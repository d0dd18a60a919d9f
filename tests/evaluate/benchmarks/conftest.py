"""Miniature benchmarks in their published layouts, and recipes that evaluate a model on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

MATHVISION = [
    {
        "id": "1",
        "question": "What is 2 + 3?\n<image1>",
        "options": [],
        "answer": "5",
        "level": 1,
        "subject": "arithmetic",
    },
    {
        "id": "2",
        "question": "Which?\n<image1>",
        "options": ["4", "7", "9", "2", "1"],
        "answer": "B",
        "level": 2,
        "subject": "logic",
    },
    {
        "id": "3",
        "question": "Which one?\n<image1>",
        "options": list("ABCDE"),
        "answer": "C",
        "level": 2,
        "subject": "logic",
    },
    {
        "id": "4",
        "question": "How many?\n<image1>",
        "options": [],
        "answer": "12",
        "level": 3,
        "subject": "logic",
    },
]

MATHVISTA = {
    "1": {"question": "How far?", "choices": None, "unit": "m", "precision": 1, "answer": "1.2", "question_type": "free_form",
          "answer_type": "float", "metadata": {"task": "word", "grade": "college", "skills": ["algebra", "geometry"]}},
    "2": {"question": "Which sign?", "choices": ["Alpha", "Beta"], "unit": None, "precision": None, "answer": "Beta",
          "question_type": "multi_choice", "answer_type": "text",
          "metadata": {"task": "figure", "grade": "none", "skills": ["algebra"]}},
}  # fmt: skip

VERSIONS = ("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")


def mathverse_rows(num_problems: int) -> list[dict[str, Any]]:
    """Five versions of each problem; problem n has the answer n."""
    return [
        {
            "sample_index": str(5 * problem + place + 1),
            "problem_index": str(problem + 1),
            "problem_version": version,
            "question": (
                "" if version == "Vision Only" else f"Problem {problem + 1}: find x ({version})."
            ),
            "image": f"images_version_1-4/image_{problem + 1}.png",
            "answer": str(problem + 1),
            "question_type": "free-form",
            "metadata": {
                "subject": "Plane Geometry",
                "subfield": "Length",
                "source": "x",
                "split": "testmini",
            },
            "query_wo": f"Please directly answer. {version}",
            "query_cot": f"Please first conduct reasoning. {version}",
        }
        for problem in range(num_problems)
        for place, version in enumerate(VERSIONS)
    ]


def draw(path: Path, colour: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 16), (colour % 256, colour // 256 % 256, 90)).save(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with miniatures of MathVision, MathVista and MathVerse."""
    folder = tmp_path / "data"
    for number, row in enumerate(MATHVISION):
        draw(folder / f"mathvision/images/{row['id']}.jpg", 40 * number)
    rows = [{**row, "image": f"images/{row['id']}.jpg", "solution": None} for row in MATHVISION]
    (folder / "mathvision/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for identity in MATHVISTA:
        draw(folder / f"mathvista/images/{identity}.jpg", 7)  # the same picture twice
    vista = {
        name: {**row, "image": f"images/{name}.jpg", "pid": name} for name, row in MATHVISTA.items()
    }
    (folder / "mathvista/testmini.json").write_text(json.dumps(vista))
    verse = mathverse_rows(4)
    for row in verse:
        draw(folder / "mathverse/images" / row["image"], 11 * int(row["problem_index"]))
    (folder / "mathverse/testmini.json").write_text(json.dumps(verse))
    return folder


@pytest.fixture
def write_recipe(data: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a recipe for the server at a URL; changes go into its `benchmarks`."""

    def write(url: str, *, endpoint: dict[str, Any] | None = None, **changes: Any) -> Path:
        settings: dict[str, Any] = {
            "sets": {
                name: {"folder": f"data/{name}"}
                for name in ("mathvision", "mathvista", "mathverse")
            },
            "max_tokens": 64,
            # `paper` starts a process for Math-Verify, which takes a second.
            "protocols": ["vasari", "official"],
        }
        server = {
            "model": "small",
            "base_url": url,
            "backoff_seconds": 0.01,
            "max_backoff_seconds": 0.05,
            "max_attempts": 2,
        }
        path = tmp_path / "recipe.yaml"
        recipe = {
            "name": "small",
            "endpoint": server | (endpoint or {}),
            "benchmarks": settings | changes,
        }
        path.write_text(yaml.safe_dump(recipe))
        return path

    return write
