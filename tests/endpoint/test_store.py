"""The store: what was written is found, torn lines are cut off, damage costs one answer."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import textwrap

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, StateError, StorageError
from vasari.endpoint import Failure, Response, ResponseStore, Usage

KEYS = [f"{n:032x}" for n in range(40)]


def fill(folder, count=5):
    with ResponseStore(folder) as store:
        for n in range(count):
            store.add(
                KEYS[n],
                Response(text=f"answer {n}", finish_reason="stop", output_tokens=n),
                model="small",
            )
    return folder / "responses-main.jsonl"


answers = st.builds(
    Response,
    text=st.text(st.characters(exclude_categories=("Cs",))),
    reasoning=st.text(st.characters(exclude_categories=("Cs",))),
    finish_reason=st.sampled_from(["stop", "length", "content_filter", ""]),
    index=st.integers(0, 3),
    limit=st.none() | st.integers(1, 10**6),
    input_tokens=st.integers(0, 10**9),
    output_tokens=st.integers(0, 10**9),
    model=st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
)


@given(st.lists(st.tuples(st.sampled_from(KEYS), answers), max_size=20))
def test_the_last_answer_of_each_number_is_found_before_and_after_reopening(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("store")
    expected = {(key, answer.index): answer for key, answer in rows}
    with ResponseStore(folder, sync="never") as store:
        for key, answer in rows:
            store.add(key, answer, model="small")
        assert {place: store.get(*place) for place in expected} == expected
    with ResponseStore(folder, sync="never") as store:
        assert {place: store.get(*place) for place in expected} == expected
        assert len(store) == len(expected)


@pytest.mark.parametrize("cut", [1, 10, 50])
def test_a_torn_last_line_is_cut_off_and_the_rest_is_kept(tmp_path, cut):
    path = fill(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with ResponseStore(tmp_path) as store:
        assert len(store) == 4
        assert store.health.torn_bytes == len(whole.splitlines(keepends=True)[-1]) - cut
        store.add(KEYS[9], Response(text="after"), model="small")
    with ResponseStore(tmp_path) as store:
        assert (store.get(KEYS[9]).text, store.get(KEYS[3]).text, store.get(KEYS[4])) == (
            "after",
            "answer 3",
            None,
        )
        assert store.health.torn_bytes == 0


def test_a_torn_header_is_written_again(tmp_path):
    (tmp_path / "responses-main.jsonl").write_bytes(b'{"schema":1,"ki')
    with ResponseStore(tmp_path) as store:
        assert len(store) == 0
    assert fill(tmp_path).read_bytes().startswith(b'{"schema":1,"kind":"vasari responses"}\n')


def test_damage_in_the_middle_costs_its_own_lines(tmp_path):
    path = fill(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"\0" * (len(lines[2]) - 1) + b"\n"
    lines[4] = b'{"key":"zz"}\n'
    path.write_bytes(b"".join(lines))
    with ResponseStore(tmp_path) as store:
        assert store.health.damaged_lines == 2
        assert [n for n in range(5) if store.get(KEYS[n])] == [0, 2, 4]


def test_a_failure_does_not_hide_an_answer_and_an_answer_ends_a_failure(tmp_path):
    with ResponseStore(tmp_path) as store:
        store.add_failure(KEYS[0], Failure(reason="timeout", request_id="row"), model="small")
        assert [failure.request_id for failure in store.failures()] == ["row"]
        store.add(KEYS[0], Response(text="half", finish_reason="length", limit=5), model="small")
        assert list(store.failures()) == []
        store.add_failure(KEYS[0], Failure(reason="refused", limit=10), model="small")
    with ResponseStore(tmp_path) as store:
        assert store.get(KEYS[0]).text == "half"
        assert store.get_failure(KEYS[0]).reason == "refused"


def test_usage_is_added_up_over_runs(tmp_path):
    fill(tmp_path)  # 0 + 1 + 2 + 3 + 4 output tokens
    with ResponseStore(tmp_path) as store:
        store.add_lost("small", Usage(lost_requests=1, lost_output_tokens=100))
        store.add(KEYS[7], Response(text="", output_tokens=7), model="large")
    with ResponseStore(tmp_path) as store:
        assert store.usage == {
            "small": Usage(requests=5, output_tokens=10, lost_requests=1, lost_output_tokens=100),
            "large": Usage(requests=1, output_tokens=7),
        }


def test_two_processes_do_not_write_one_shard_and_may_write_two(tmp_path):
    fill(tmp_path)
    with ResponseStore(tmp_path):
        with pytest.raises(StateError, match="being written by another process"):
            ResponseStore(tmp_path, shard="main")
        with ResponseStore(tmp_path) as other:
            assert other.get(KEYS[3]).text == "answer 3"
            other.add(KEYS[8], Response(text="from the second"), model="small")
    with ResponseStore(tmp_path) as store:
        assert store.get(KEYS[8]).text == "from the second"


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "responses-main.jsonl"
    path.write_text('{"question": "What?"}\n')
    with pytest.raises(StateError, match="not the header of a response store"):
        ResponseStore(tmp_path)
    assert path.read_text() == '{"question": "What?"}\n'
    path.write_text('{"schema":99,"kind":"vasari responses"}\n')
    with pytest.raises(StateError, match="schema 99, expected 1"):
        ResponseStore(tmp_path)


def test_bad_names_and_places_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="a shard's name"):
        ResponseStore(tmp_path, shard="../x")
    with pytest.raises(ConfigError, match="sync must be"):
        ResponseStore(tmp_path, sync="sometimes")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be opened"):
        ResponseStore(tmp_path / "file")


def test_a_closed_store_says_so_and_may_be_closed_again(tmp_path):
    store = ResponseStore(tmp_path, sync="always")
    store.close()
    store.close()
    with pytest.raises(StateError, match="is closed"):
        store.add(KEYS[0], Response(text=""), model="small")


def test_a_full_disk_loses_the_new_answer_alone(tmp_path):
    path = fill(tmp_path)
    size = path.stat().st_size
    before, handler = (
        resource.getrlimit(resource.RLIMIT_FSIZE),
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    try:
        with ResponseStore(tmp_path, sync="never") as store:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
            with pytest.raises(StorageError, match="an answer could not be saved: File too large"):
                store.add(KEYS[8], Response(text="long " * 100), model="small")
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            assert path.stat().st_size == size
            store.add(KEYS[9], Response(text="after"), model="small")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    with ResponseStore(tmp_path) as store:
        assert (len(store), store.health.damaged_lines, store.get(KEYS[8])) == (6, 0, None)


@pytest.mark.slow
@pytest.mark.parametrize("sync", ["always", "interval", "never"])
def test_what_was_added_survives_a_kill_at_once(tmp_path, sync):
    code = f"""
    import os, signal
    from vasari.endpoint import Response, ResponseStore
    store = ResponseStore({str(tmp_path)!r}, sync={sync!r})
    for n in range(20):
        store.add(f"{{n:032x}}", Response(text="x"), model="small")
    os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=False, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with ResponseStore(tmp_path) as store:
        assert len(store) == 20


def test_a_line_is_plain_json_that_any_tool_reads(tmp_path):
    row = orjson.loads(fill(tmp_path).read_bytes().splitlines()[3])
    assert (row["key"], row["index"], row["text"], row["usage"]) == (
        KEYS[2],
        0,
        "answer 2",
        [1, 0, 0, 2],
    )
