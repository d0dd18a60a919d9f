"""Writes miniatures of data sets: JSON, JSON lines, Parquet, text, and small pictures."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


def picture(colour: str = "red", size: tuple[int, int] = (6, 4)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def plant(tmp_path: Path) -> Callable[[Mapping[str, Any]], Path]:
    """Writes files by name into one folder: PICTURE for an image, bytes and text as they are, rows
    by the suffix."""

    def write(files: Mapping[str, Any]) -> Path:
        folder = tmp_path / "data_set"
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content == "PICTURE":
                path.write_bytes(picture())
            elif isinstance(content, bytes):
                path.write_bytes(content)
            elif isinstance(content, str):
                path.write_text(content)
            elif name.endswith(".parquet"):
                import pyarrow as pa
                import pyarrow.parquet as pq

                pq.write_table(pa.Table.from_pylist(content), path)
            elif name.endswith(".jsonl"):
                path.write_text("".join(json.dumps(row) + "\n" for row in content))
            else:
                path.write_text(json.dumps(content))
        return folder

    return write
