"""Outputs on disk: torn lines, order, and which stored rollout still counts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import StateError
from vasari.evaluate.outputs import OutputFile, StoredRollout, output_rows


def row(identity, rollout=0, **changes):
    made = {
        "set": "s",
        "id": identity,
        "rollout": rollout,
        "asked": "k",
        "truncated": False,
        "max_tokens": 8,
        "num_tokens": 3,
    }
    return made | {"response": f"answer {identity}.{rollout} ü"} | changes


def ids(path):
    return [(found["id"], found["rollout"]) for found in output_rows(path)]


def test_a_torn_last_line_is_cut_off_and_the_rest_is_kept(tmp_path):
    path = tmp_path / "outputs.jsonl"
    OutputFile(path).append([row("a"), row("b")])
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    file = OutputFile(path)
    assert list(file.stored) == [("s", "a", 0)]
    file.append([row("b")])
    assert path.read_bytes() == whole


@given(st.integers(0, 400))
def test_a_file_cut_anywhere_keeps_its_whole_lines(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "outputs.jsonl"
    OutputFile(path).append([row("a"), row("b"), row("c")])
    kept = path.read_bytes()[:cut]
    path.write_bytes(kept)
    OutputFile(path)
    assert path.read_bytes() == kept[: kept.rfind(b"\n") + 1]


def test_outputs_are_put_in_the_order_of_the_plan_and_unknown_ones_behind(tmp_path):
    path = tmp_path / "outputs.jsonl"
    file = OutputFile(path)
    file.append([row("b"), row("other"), row("a", 1), row("a")])
    file.put_in_order([("s", "a", 0), ("s", "a", 1), ("s", "b", 0), ("s", "missing", 0)])
    assert ids(path) == [("a", 0), ("a", 1), ("b", 0), ("other", 0)]
    before = path.stat().st_mtime_ns
    file.put_in_order([("s", "a", 0), ("s", "a", 1), ("s", "b", 0)])
    assert path.stat().st_mtime_ns == before
    file.append([row("z")])
    assert next(iter(OutputFile(path).stored)) == ("s", "a", 0)


def test_of_several_outputs_of_one_rollout_the_last_counts(tmp_path):
    path = tmp_path / "outputs.jsonl"
    file = OutputFile(path)
    file.append([row("a", truncated=True, max_tokens=4)])
    file.append([row("a", response="longer", max_tokens=64)])
    file.put_in_order([("s", "a", 0)])
    assert [found["response"] for found in output_rows(path)] == ["longer"]


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "outputs.jsonl"
    path.write_text(json.dumps({"id": "a"}) + "\n")
    with pytest.raises(StateError, match=r"outputs\.jsonl:1: is no output of an evaluation"):
        OutputFile(path)


# asked, limit now -> whether a rollout with these facts still counts. Limit then: 8.
SERVES = [
    ({"truncated": False, "num_tokens": 3}, "k", 8, True),
    ({"truncated": False, "num_tokens": 3}, "other", 8, False),
    ({"truncated": True, "num_tokens": 8}, "k", 8, True),
    ({"truncated": True, "num_tokens": 8}, "k", 64, False),
    ({"truncated": False, "num_tokens": 3}, "k", 64, True),
    ({"truncated": False, "num_tokens": 7}, "k", 4, False),
    ({"truncated": False, "num_tokens": 3}, "k", 4, True),
]


@pytest.mark.parametrize(("facts", "asked", "limit", "expected"), SERVES)
def test_a_stored_rollout_counts_where_the_same_would_come_now(facts, asked, limit, expected):
    found = StoredRollout(asked="k", max_tokens=8, offset=0, length=1, **facts)
    assert found.serves(asked, limit) is expected
