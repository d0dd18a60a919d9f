"""Drawn figures for tests of curation, and a recorded teacher behind a real server."""

import importlib.util
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image, ImageDraw

from vasari.records import ImageRef, Prompt

ROOT = Path(__file__).parents[2]


def load_file(path):
    """A module from a file outside the package: an example, or the server of another folder of
    tests."""
    name = "loaded_" + "_".join(path.relative_to(ROOT).with_suffix("").parts)
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


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


def copied(
    image: Image.Image, *, scale: float = 1.0, quality: int = 70, cut=(0.0, 0.0, 0.0, 0.0)
) -> ImageRef:
    """A leak of an image: cut at left, top, right and bottom by shares of the side, resized, saved
    as JPEG."""
    w, h = image.size
    left, top, right, bottom = cut
    part = image.crop(
        (round(left * w), round(top * h), round(w - right * w), round(h - bottom * h))
    )
    part = part.resize(
        (round(part.width * scale), round(part.height * scale)), Image.Resampling.BICUBIC
    )
    return encoded(part, "JPEG", quality=quality)


@pytest.fixture
def make_prompt():
    def make(id_, question="Find x.", answer="5", image=None, **fields):
        images = (
            () if image is None else (image if isinstance(image, ImageRef) else encoded(image),)
        )
        return Prompt(id=id_, question=question, answer=answer, images=images, **fields)

    return make


@pytest.fixture
def draw_figure():
    return figure


@pytest.fixture
def copy_image():
    return copied


@pytest.fixture
def recorded():
    """The example's module."""
    pytest.importorskip("aiohttp")
    return load_file(ROOT / "examples" / "recorded_teacher.py")


@pytest.fixture
def teach(recorded):
    """Start a recorded teacher for prompts; its server counts requests and misbehaves by `plan`, as
    the endpoint's does."""
    base = load_file(ROOT / "tests" / "endpoint" / "conftest.py").Server
    started = []

    class TeacherServer(base):
        def completion(self, body, **changes):
            reply = self.teacher.answer(body)
            whole = recorded.completion(body, reply)
            whole["choices"][0]["message"].update(changes.get("message", {}))
            whole["choices"][0]["finish_reason"] = changes.get("finish_reason", reply.finish_reason)
            return whole

    def start(prompts, *, seed=0, **faults):
        server = TeacherServer()
        server.teacher = recorded.RecordedTeacher(list(prompts), recorded.Faults(**faults), seed)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def asking(tmp_path):
    """The model of a stage: a server, and a store in the test's folder."""
    from vasari.curate.stage import AskedModel
    from vasari.endpoint import EndpointSettings, ResponseStore, Sampling

    opened = []

    def make(server, folder="store", max_tokens=None, **changes):
        while opened:
            opened.pop().close()
        store = ResponseStore(tmp_path / folder)
        opened.append(store)
        fast = {
            "base_url": server.url,
            "backoff_seconds": 0.01,
            "max_backoff_seconds": 0.05,
            "timeout_seconds": 20.0,
        }
        sampling = Sampling(temperature=1.0, max_tokens=max_tokens)
        return AskedModel(
            settings=EndpointSettings(**(fast | changes)),
            store=store,
            model="teacher",
            sampling=sampling,
        )

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """Writes a module of the user's, which recipes may name, and gives its name."""

    def write(code: str) -> str:
        name = re.sub(r"\W", "_", tmp_path.name)
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("VASARI_PLUGINS", name)
        return name

    return write


SOLUTION = (
    "The picture shows a scale with a small red mark on it. I look at the mark and read the number"
    " that is written beside it, and I check it once more from the other side. It is the value"
    " {answer}, so that is the answer."
)
NUM_ROWS = 18


@pytest.fixture
def rows():
    """Questions whose answers occur nowhere else, so that a leak would be seen."""

    def rows(count=NUM_ROWS):
        return [
            {
                "id": f"q{i}",
                "question": f"Read mark number {i} in the picture.",
                "answer": str(73_100 + 131 * i),
                "image": f"images/{i}.png",
                "solution": SOLUTION.format(answer=73_100 + 131 * i),
            }
            for i in range(count)
        ]

    return rows


@pytest.fixture
def write_source():
    """Writes a folder of JSON lines with images."""

    def write_source(folder: Path, entries: list[dict[str, Any]]) -> Path:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for place, row in enumerate(entries):
            if row.get("image") and not (folder / row["image"]).exists():
                cells = np.random.default_rng(place).integers(0, 256, size=(6, 6), dtype=np.uint8)
                Image.fromarray(cells).resize((48, 48)).save(folder / row["image"])
        (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in entries))
        return folder

    return write_source


@pytest.fixture
def known():
    """The prompts of such a folder, for a teacher."""

    def known(folder: Path) -> list[Prompt]:
        return [
            Prompt(
                id=row["id"],
                question=row["question"],
                answer=row["answer"],
                solution=row["solution"],
                images=(ImageRef(path=str(folder / row["image"])),),
            )
            for row in map(json.loads, (folder / "train.jsonl").read_text().splitlines())
        ]

    return known


@pytest.fixture
def data(tmp_path, rows, write_source):
    return write_source(tmp_path / "data", rows())


@pytest.fixture
def write_recipe(tmp_path):
    """Writes a recipe that grades, annotates and makes both sets; changes go by section."""

    def write(server, **changes):
        endpoint = {
            "base_url": server.url,
            "backoff_seconds": 0.01,
            "max_backoff_seconds": 0.05,
            "timeout_seconds": 20.0,
        }
        recipe = {
            "name": "tried",
            "sources": [{"source": "jsonl", "folder": "data", "domain": "math"}],
            "models": {
                "all": {
                    "model": "teacher",
                    "endpoint": endpoint,
                    "temperature": 1.0,
                    "max_tokens": 500,
                }
            },
            "grade": {"model": "all", "num_rollouts": 4},
            "sft": {"annotate": {"model": "all", "settings": {"num_rationales": 2}}},
            "rl": {
                "rephrase": {"model": "all"},
                "categorise": {"model": "all"},
                "parts": [
                    {
                        "name": "m",
                        "target": 4,
                        "domains": ["math"],
                        "bins": ["hard", "medium"],
                        "rephrase": True,
                    }
                    | {"categorise": True}
                ],
            },
            "shard_rows": 7,
        } | changes
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe))
        return path

    return write


@pytest.fixture
def run():
    """Runs a recipe in a folder beside it."""
    pytest.importorskip("aiohttp")
    from vasari.curate.recipe import load_curation
    from vasari.curate.run.job import curate

    def run(path: Path, out: str = "out"):
        return curate(load_curation(path), base=path.parent, root=path.parent / out)

    return run


@pytest.fixture
def dropped():
    """The rows of a run's table of dropped rows."""

    def dropped(root: Path) -> list[dict[str, Any]]:
        return pq.read_table(root / "dropped.parquet").to_pylist()

    return dropped
