"""A curation that is worth spreading, and the files that it leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Ray's workers step back behind everything else (niceness 15); on a busy machine they would hardly
# start.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.fixture
def write_curation() -> Callable[..., Path]:
    """Writes a recipe with prompts of one image each, every tenth of them in a benchmark, to which
    VASARI_TEST_BENCH leads."""
    return _write_curation


@pytest.fixture
def files_of() -> Callable[[Path], dict[str, bytes]]:
    """What a run leaves, byte for byte."""
    return _files_of


def _write_curation(folder: Path, *, rows: int, shard_rows: int) -> Path:
    import numpy as np
    import yaml
    from PIL import Image

    entries = []
    for place in range(rows):
        cells = np.random.default_rng(place).integers(0, 256, size=(6, 6), dtype=np.uint8)
        name = f"images/{place}.png"
        for kind in ["data"] + ["bench"] * (place % 10 == 0):
            (folder / kind / "images").mkdir(parents=True, exist_ok=True)
            Image.fromarray(cells).resize((48, 48)).save(folder / kind / name)
        entries.append(
            {
                "id": f"q{place}",
                "question": f"Read mark number {place} in the picture of the old brown scale.",
            }
            | {"answer": "7", "image": name, "solution": "It is 7."}
        )
    for kind, split, own in (("data", "train", entries), ("bench", "test", entries[::10])):
        (folder / kind / f"{split}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in own)
        )
    content = {
        "name": "spread",
        "sources": [{"source": "jsonl", "folder": "data"}],
        "decontaminate": {"benchmarks": [{"source": "jsonl", "folder": "${VASARI_TEST_BENCH}"}]},
        "sft": {},
        "shard_rows": shard_rows,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def _files_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
