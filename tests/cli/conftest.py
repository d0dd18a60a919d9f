"""Runs `vasari score` on small files, and a run of two arms to score."""

from __future__ import annotations

import json
import math
import sys

import pytest

from vasari.cli.main import main
from vasari.train.group_file import write_groups


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs `vasari score` and returns what it printed."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["vasari", "score", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert stop.value.code in (0, None), said.err
        return said.out

    return call


@pytest.fixture
def refused(monkeypatch, capsys):
    """Runs `vasari score`, which must fail in one line, and returns that line."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["vasari", "score", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        _, mark, message = said.err.partition("error: ")
        assert (stop.value.code, bool(mark), "Traceback" in said.err) == (1, True, False)
        assert "\n" not in message.rstrip("\n")
        return message.rstrip("\n")

    return call


@pytest.fixture
def lines(tmp_path):
    """Writes JSON lines."""

    def write(*rows, name="rollouts.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


def group_row(prompt, batch, verdicts):
    nothing = {
        "purpose": "train",
        "role": "uniform",
        "prompt_index": 0,
        "step": batch,
        "score": math.nan,
        "rewards": [1.0 + v for v in verdicts],
        "texts": ["one two three", "four five six"],
    }
    return {"prompt_id": prompt, "batch": batch, "verdicts": verdicts} | nothing


@pytest.fixture
def trained(tmp_path):
    """A run of two arms; prompt p is drawn in batches 0 and 1 by vas."""
    groups = tmp_path / "run" / "rl" / "vas" / "groups"
    write_groups(
        groups, 0, "train", [group_row("p", 0, [0.0, 0.0]), group_row("q", 0, [1.0, math.nan])]
    )
    write_groups(groups, 1, "train", [group_row("p", 1, [1.0, 0.0])])
    write_groups(
        tmp_path / "run" / "rl" / "uniform" / "groups", 0, "train", [group_row("p", 0, [1.0, 1.0])]
    )
    return tmp_path / "run"
