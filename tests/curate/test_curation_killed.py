"""A curation that is killed again and again ends with the files, the spending and the dead letters of
one that was not, and repeats no more than was in flight."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytest.importorskip("aiohttp")

from vasari.records import ImageRef, Prompt

CONCURRENCY = 6
# Rows, kills: a few hundred requests by default, the three thousand and twenty when asked
# to be thorough.
NUM_ROWS, NUM_KILLS = (330, 20) if os.environ.get("VASARI_TEST_PROFILE") == "thorough" else (40, 3)
FILES = (
    "sft.parquet",
    "rl.parquet",
    "dropped.parquet",
    "funnel.json",
    "funnel.html",
    "README.md",
    "exports/easyr1/rl.parquet",
    "dead_letters.jsonl",
)
REFUSED = ("mark number 3.", "mark number 17.")


def write_source(folder: Path) -> list[Prompt]:
    (folder / "images").mkdir(parents=True)
    solution = (
        "The picture shows a scale, and I read the number beside the mark, and it is the value {}"
        " that is asked for here."
    )
    prompts, lines = [], []
    for i in range(NUM_ROWS):
        cells = np.random.default_rng(i).integers(0, 256, size=(6, 6), dtype=np.uint8)
        name = f"images/{i}.png"
        Image.fromarray(cells).resize((48, 48)).save(folder / name)
        row = {
            "id": f"q{i}",
            "question": f"Read mark number {i}.",
            "answer": str(5000 + i),
            "image": name,
        }
        lines.append(json.dumps(row))
        prompts.append(
            Prompt(
                id=row["id"],
                question=row["question"],
                answer=row["answer"],
                solution=solution.format(row["answer"]),
                images=(ImageRef(path=str(folder / name)),),
            )
        )
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n")
    return prompts


def recipe(folder: Path, url: str) -> Path:
    endpoint = {
        "base_url": url,
        "max_concurrency": CONCURRENCY,
        "start_concurrency": CONCURRENCY,
        "timeout_seconds": 60.0,
        "prices": {"teacher": {"input": "1.5", "output": "6"}},
    }
    part = {"name": "all", "target": NUM_ROWS // 3, "rephrase": True, "categorise": True}
    content = {
        "name": "killed",
        "sources": [{"source": "jsonl", "folder": "data"}],
        "models": {
            "m": {"model": "teacher", "endpoint": endpoint, "temperature": 1.0, "max_tokens": 500}
        },
        "grade": {"model": "m", "num_rollouts": 8, "seed": 1},
        "sft": {
            "annotate": {
                "model": "m",
                "settings": {"num_rationales": 3, "seed": 2, "draw_all": True},
            }
        },
        "rl": {
            "rephrase": {"model": "m"},
            "categorise": {"model": "m", "settings": {"seed": 3}},
            "parts": [part],
        },
        "exports": ["easyr1"],
        "shard_rows": max(9, NUM_ROWS // 5),
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def kill_while(process, server, out: Path, phase: str, draw: random.Random, wanted: int) -> str:
    """Kill a run at a random moment: by the clock while it reads, after a number of requests, or
    when a file is half written; returns what was seen."""
    until = len(server.bodies) + draw.randrange(1, 2 * wanted // NUM_KILLS)
    seconds = draw.uniform(0.5, 6) if phase == "reads" else 60
    files = draw.randrange(1, 12)
    deadline, seen = time.monotonic() + seconds, set()
    while process.poll() is None and time.monotonic() < deadline:
        if phase == "requests" and len(server.bodies) >= until:
            break
        if phase == "writes":
            seen |= {path.name for path in out.rglob(".*.tmp")}
            if len(seen) >= files:
                break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return f"{phase}: {len(server.bodies)} requests so far, {len(seen)} files seen half written"


def start(path: Path, out: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vasari", "curate", str(path), "--out", str(path.parent / out)]
    return subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process: subprocess.Popen[bytes], code: int) -> None:
    said, _ = process.communicate(timeout=600)
    assert process.returncode == code, said.decode()[-2000:]


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_with_the_same_files(teach, tmp_path):
    prompts = write_source(tmp_path / "data")
    server = teach(prompts, wrong=0.5, truncated=0.05, off_format=0.05)
    answer = server.teacher.answer

    def by_request(body):
        # A function of the request alone, so that a repeated one gets the same answer.
        server.teacher._asked.clear()
        server.teacher.seed = body.get("seed", 0)
        return answer(body)

    server.teacher.answer = by_request
    server.seconds = 0.01
    path = recipe(tmp_path, server.url)
    server.plan = lambda body, attempt: (
        "bad_request" if any(text in str(body["messages"]) for text in REFUSED) else "good"
    )
    finish(start(path, "whole"), 3)
    wanted = len(server.bodies)

    draw = random.Random(4)
    server.bodies.clear()
    moments = []
    for kill in range(NUM_KILLS):
        phase = ("reads", "requests", "writes")[kill % 3]
        process = start(path, "killed")
        moments.append(kill_while(process, server, tmp_path / "killed", phase, draw, wanted))
    finish(start(path, "killed"), 3)
    told = [json.dumps(body, sort_keys=True) for body in server.bodies]
    moments.append(f"{wanted} requests, {len(told) - len(set(told))} of them repeated")
    print("\n".join(moments))  # noqa: T201  (shown when the test fails, or with -s)
    assert len(set(told)) == wanted
    assert len(told) - len(set(told)) <= NUM_KILLS * CONCURRENCY
    for name in FILES:
        assert (tmp_path / "killed" / name).read_bytes() == (
            tmp_path / "whole" / name
        ).read_bytes(), name
    whole, killed = (
        json.loads((tmp_path / out / "manifest.json").read_text()) for out in ("whole", "killed")
    )
    # Each answer was stored, and so counted, once; one that was in flight at a kill is not known.
    assert killed["spending"] == whole["spending"]
    assert killed["spending"]["m"]["requests"] == wanted - killed["dead_letters"]
    assert killed["dead_letters"] == whole["dead_letters"] > 0
