"""`vasari curate --engine ray` from the command line: killed workers, a killed driver, and what is
refused."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

pytest.importorskip("aiohttp")

from vasari.cli.curate_job import open_engine
from vasari.cli.main import main
from vasari.core.errors import ConfigError, MissingExtraError
from vasari.curate.recipe import load_curation
from vasari.curate.run.job import curate
from vasari.curate.run.shards import StageFolder

# 60 shards of the stage `check`: enough for a signal to fall between the first and the last.
NUM_ROWS, SHARD_ROWS = 240, 4


@pytest.fixture
def write(write_curation, monkeypatch, tmp_path) -> Callable[..., Path]:
    def write(rows: int = NUM_ROWS) -> Path:
        monkeypatch.setenv("VASARI_TEST_BENCH", str(tmp_path / "bench"))
        return write_curation(tmp_path, rows=rows, shard_rows=SHARD_ROWS)

    return write


def start(path: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "vasari",
        "curate",
        path,
        "--out",
        out,
        "--engine",
        "ray",
        "--workers",
        "2",
    ]
    return subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process: subprocess.Popen[bytes]) -> None:
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said.decode()[-2000:]


def descendants(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def named(process: psutil.Process) -> str:
    """What a process calls itself; nothing once it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def wait_for_shards(process: subprocess.Popen[bytes], root: Path, count: int) -> None:
    while num_done(root) < count:
        assert process.poll() is None, (process.stdout.read() if process.stdout else b"").decode()[
            -2000:
        ]
        time.sleep(0.002)


def num_done(root: Path) -> int:
    return len(list(root.glob("stages/01-check/counts-*.json")))


@pytest.mark.heavy
@pytest.mark.slow
def test_a_worker_that_is_killed_in_the_middle_changes_no_file(write, files_of, tmp_path):
    pytest.importorskip("ray")
    path = write()
    curate(load_curation(path), base=tmp_path, root=tmp_path / "one")

    process = start(path, tmp_path / "two")
    wait_for_shards(process, tmp_path / "two", 3)
    worker = next(child for child in descendants(process) if "ShardWorker" in named(child))
    worker.kill()
    done = num_done(tmp_path / "two")
    finish(process)

    assert done < NUM_ROWS // SHARD_ROWS
    assert files_of(tmp_path / "two") == files_of(tmp_path / "one")


@pytest.mark.heavy
@pytest.mark.slow
def test_a_driver_that_is_killed_takes_its_ray_along_and_the_same_command_goes_on(
    write, files_of, tmp_path
):
    pytest.importorskip("ray")
    path = write()
    curate(load_curation(path), base=tmp_path, root=tmp_path / "one")

    process = start(path, tmp_path / "two")
    wait_for_shards(process, tmp_path / "two", 3)
    # What could still write, or start what could; two agents of Ray notice a minute later that they
    # are alone.
    children = [child for child in descendants(process) if "Agent" not in named(child)]
    names = [named(child) for child in children]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = num_done(tmp_path / "two")
    _, alive = psutil.wait_procs(children, timeout=60)
    finish(start(path, tmp_path / "two"))

    assert sum("ShardWorker" in name for name in names) == 2
    assert sum("raylet/raylet" in name for name in names) == 1
    assert alive == []
    assert done < NUM_ROWS // SHARD_ROWS
    assert files_of(tmp_path / "two") == files_of(tmp_path / "one")


def test_without_ray_the_command_says_what_to_install(write, monkeypatch, tmp_path):
    path = write(rows=2)
    for name in [name for name in sys.modules if name.startswith("vasari.cluster")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed

    with pytest.raises(
        MissingExtraError, match=r"^--engine ray needs Ray: pip install 'vasari\[ray\]'$"
    ):
        open_engine("ray", load_curation(path), base=tmp_path, root=tmp_path / "run")


def test_an_address_without_the_engine_is_refused(write, tmp_path):
    with pytest.raises(
        ConfigError, match=r"--ray-address says where --engine ray works; --engine is local"
    ):
        open_engine(
            "local",
            load_curation(write(rows=2)),
            base=tmp_path,
            root=tmp_path / "run",
            ray_address="auto",
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "ray://head:10001",
            "Ray's client protocol is not supported; run the command on a machine of the cluster",
        ),
        ("head", "--ray-address must be local, auto or HOST:PORT, got 'head'"),
        ("127.0.0.1:0", "--ray-address must be local, auto or HOST:PORT"),
        ("127.0.0.1:1", "--ray-address 127.0.0.1:1: nobody answers there (Connection refused)"),
    ],
)
def test_an_address_that_leads_nowhere_is_one_line(
    write, monkeypatch, capsys, tmp_path, address, said
):
    pytest.importorskip("ray")
    words = [
        "vasari",
        "curate",
        write(rows=2),
        "--out",
        tmp_path / "run",
        "--engine",
        "ray",
        "--ray-address",
        address,
    ]
    monkeypatch.setattr(sys, "argv", [*map(str, words)])

    with pytest.raises(SystemExit) as stop:
        main()

    said_here = capsys.readouterr().err
    assert stop.value.code == 1
    assert said in said_here
    assert "Traceback" not in said_here
    assert not any((tmp_path / "run").iterdir())


@pytest.mark.slow
def test_a_shard_that_appears_late_on_a_shared_disk_is_waited_for(tmp_path):
    stage = StageFolder(tmp_path / "stage", name="check", branch="both", settings={}, inputs=())
    stage.open()

    def write(number: int) -> None:
        stage.write(number, given=Counter(), kept=(), facts={}, dropped=(), notes={}, root=tmp_path)

    write(0)
    late = threading.Timer(1.0, write, args=(1,))
    late.start()
    stage.close(2)
    late.join()

    assert len(stage.parts) == 2
