"""Shards on a real Ray of this machine: each done once, by workers that die and are started
again."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("ray")
pytest.importorskip("aiohttp")

import ray

from vasari.cli.curate_job import open_engine
from vasari.cluster import joined_ray
from vasari.cluster.engine import NUM_RETRIES
from vasari.core.errors import DataError, StateError
from vasari.curate.recipe import load_curation
from vasari.curate.run.job import curate

pytestmark = pytest.mark.slow

KEY = "VASARI_TEST_API_KEY"


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """An engine of two workers on a Ray that was started while a key was in the environment; lasts
    as long as the file."""
    with ExitStack() as stack:
        os.environ[KEY] = "a-key-that-nobody-may-see"
        try:
            yield stack.enter_context(
                joined_ray(root=tmp_path_factory.mktemp("ray"), workers=2, secrets=[KEY])
            )
        finally:
            assert os.environ.pop(KEY) == "a-key-that-nobody-may-see"


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_every_shard_is_finished_once_by_one_of_two_processes(started, tmp_path):
    def make():
        made = str(os.getpid())

        def work(number):
            time.sleep(0.05)
            with (tmp_path / str(number)).open("a") as file:
                file.write(f"{made} ")

        return work

    given = list(started.run(make, [3, *range(5, 25)]))

    assert sorted(given) == [3, *range(5, 25)]
    assert {len(lines(tmp_path / str(number))) for number in given} == {1}
    processes = {lines(tmp_path / str(number))[0] for number in given}
    assert len(processes) <= 2
    assert str(os.getpid()) not in processes


def test_without_shards_nothing_is_made(started):
    def make():
        raise AssertionError("made")

    assert list(started.run(make, [])) == []


def test_a_shard_whose_worker_is_killed_is_begun_again(started, tmp_path):
    def make():
        def work(number):
            begun = tmp_path / str(number)
            with begun.open("a") as file:
                file.write(f"{os.getpid()} ")
            if number in {2, 5} and len(lines(begun)) == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        return work

    assert sorted(started.run(make, range(8))) == list(range(8))
    assert [len(lines(tmp_path / str(number))) for number in range(8)] == [1, 1, 2, 1, 1, 2, 1, 1]


@pytest.mark.heavy
def test_a_shard_that_kills_every_worker_ends_the_stage(started, tmp_path):
    def make():
        def work(number):
            with (tmp_path / str(number)).open("a") as file:
                file.write(f"{os.getpid()} ")
            if number == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        return work

    with pytest.raises(
        StateError, match=r"shard 1 could not be finished, begun 4 times: .*; was a process killed"
    ):
        list(started.run(make, range(3)))
    assert len(lines(tmp_path / "1")) == 1 + NUM_RETRIES


def test_an_error_of_the_work_comes_out_as_it_was_raised(started):
    def make():
        def work(number):
            raise DataError(f"shard {number} holds no prompt")

        return work

    with pytest.raises(DataError, match=r"^shard 0 holds no prompt$"):
        list(started.run(make, [0]))


def test_an_error_while_the_work_is_made_comes_out_too(started):
    def make():
        raise DataError("no benchmark")

    with pytest.raises(DataError, match=r"^no benchmark$"):
        list(started.run(make, [0, 1]))


def test_a_fault_of_the_work_shows_where_it_is(started):
    def make():
        def work(number):
            return 1 // number

        return work

    with pytest.raises(ZeroDivisionError, match=r"(?s)in work.*integer division or modulo by zero"):
        list(started.run(make, [0]))


def test_a_key_that_the_recipe_names_is_not_in_the_environment_of_a_worker(started, tmp_path):
    def make():
        (tmp_path / "names").write_text(" ".join(os.environ))
        return lambda number: None

    list(started.run(make, [0]))

    assert "PATH" in lines(tmp_path / "names")
    assert KEY not in lines(tmp_path / "names")


def test_nothing_that_ray_writes_down_holds_the_key(started):
    session = Path(ray._private.worker.global_worker.node.get_session_dir_path())
    files = [path for path in session.rglob("*") if path.is_file()]

    assert files
    assert [path for path in files if b"a-key-that-nobody-may-see" in path.read_bytes()] == []


def test_a_folder_that_workers_do_not_see_is_named(started, tmp_path):
    # An open file is seen under this path by the process that opened it, and by no other.
    mine = os.open(tmp_path, os.O_RDONLY)
    number = fcntl.fcntl(mine, fcntl.F_DUPFD, 900)
    os.close(mine)
    try:
        with (
            pytest.raises(
                StateError,
                match=(
                    rf"machine \S+ \(\S+\): the run's folder /proc/self/fd/{number} is not visible"
                    r" there"
                ),
            ),
            joined_ray(root=Path(f"/proc/self/fd/{number}")),
        ):
            pass
    finally:
        os.close(number)


def test_a_ray_that_was_there_before_is_left_running(started, tmp_path):
    with joined_ray(root=tmp_path, workers=1) as engine:
        assert list(engine.run(lambda: lambda number: None, [0])) == [0]

    assert ray.is_initialized()
    assert list(started.run(lambda: lambda number: None, [0])) == [0]


@pytest.mark.heavy
def test_two_workers_give_the_files_of_one_process(
    started, write_curation, files_of, tmp_path, monkeypatch
):
    path = write_curation(tmp_path, rows=30, shard_rows=4)
    monkeypatch.chdir(tmp_path)  # workers have another working folder, and not this variable
    monkeypatch.setenv("VASARI_TEST_BENCH", "bench")
    recipe = load_curation(path)

    one = curate(recipe, base=Path(), root=tmp_path / "one")
    with open_engine("ray", recipe, base=Path(), root=tmp_path / "two", workers=2) as engine:
        two = curate(recipe, base=Path(), root=tmp_path / "two", engine=engine)

    assert one.sizes == two.sizes == {"sft": 27}
    ours, theirs = files_of(one.root), files_of(two.root)
    assert sum(name.startswith("stages/") and "part-" in name for name in ours) >= 4 * 8
    assert ours == theirs
