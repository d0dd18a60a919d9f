"""A run that is killed or interrupted goes on where it was."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vasari.endpoint import Client, ResponseStore

SCRIPT = Path(__file__).with_name("client_process.py")
CONCURRENCY = 32


def start(server, folder, count, output):
    command = [
        sys.executable,
        str(SCRIPT),
        server.url,
        str(folder),
        str(count),
        str(output),
        str(CONCURRENCY),
    ]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def wait_for(server, number, process):
    """Until the server has been asked so often, or the process has ended."""
    deadline = time.monotonic() + 600  # a busy machine starts a process slowly
    while len(server.bodies) < number and process.poll() is None:
        assert time.monotonic() < deadline, "the client does not ask"
        time.sleep(0.002)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_as_if_it_had_not_been(server, tmp_path):
    num_requests, num_kills = 3000, 5
    server.seconds = 0.02
    moments = sorted(random.Random(7).sample(range(100, num_requests - 100), num_kills))
    for moment in moments:
        process = start(server, tmp_path / "killed", num_requests, tmp_path / "never.txt")
        wait_for(server, moment + num_kills * CONCURRENCY // 2, process)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, process.stderr.read()
    assert start(server, tmp_path / "killed", num_requests, tmp_path / "killed.txt").wait() == 0
    asked = len(server.bodies)
    assert start(server, tmp_path / "whole", num_requests, tmp_path / "whole.txt").wait() == 0
    assert (tmp_path / "killed.txt").read_text() == (tmp_path / "whole.txt").read_text()
    assert "finished" in (tmp_path / "killed.txt").read_text()
    assert not (tmp_path / "never.txt").exists()
    assert num_requests <= asked <= num_requests + num_kills * CONCURRENCY
    with ResponseStore(tmp_path / "killed") as store:
        assert (len(store), store.health.damaged_lines) == (num_requests, 0)


@pytest.mark.slow
def test_the_first_interrupt_keeps_what_is_in_flight_and_leaves_the_rest(server, tmp_path):
    server.seconds = 0.2
    process = start(server, tmp_path / "store", 1000, tmp_path / "out.txt")
    wait_for(server, 100, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 0, process.stderr.read()
    rows = (tmp_path / "out.txt").read_text().splitlines()
    answered = sum("\tanswer " in row for row in rows)
    assert rows[-1] == "interrupted"
    assert answered + sum(row.endswith("\tnot_sent") for row in rows) == 1000
    assert answered == len(server.bodies) < 1000
    with ResponseStore(tmp_path / "store") as store:
        assert len(store) == answered


@pytest.mark.slow
def test_the_second_interrupt_ends_at_once_with_a_usable_store(server, tmp_path):
    server.seconds = 0.02
    server.plan = lambda body, attempt: "timeout" if len(server.bodies) > 100 else "good"
    process = start(server, tmp_path / "store", 1000, tmp_path / "out.txt")
    wait_for(server, 110, process)
    process.send_signal(signal.SIGINT)
    # Two signals before the first is handled are one: the second is sent when it has said that it
    # stops.
    assert b"no more requests are sent: interrupted" in process.stderr.readline()
    assert process.poll() is None, "it waits for what is in flight"
    process.send_signal(signal.SIGINT)
    process.wait(300)
    assert b"KeyboardInterrupt" in process.stderr.read()
    with ResponseStore(tmp_path / "store") as store:
        assert len(store) >= 60
        assert (store.health.torn_bytes, store.health.damaged_lines) == (0, 0)


def test_a_run_may_be_stopped_from_code(server, settings, ask_for, tmp_path):
    import asyncio

    async def play(store):
        async with Client(settings(max_concurrency=2), store) as client:
            async for answers in client.stream(ask_for(100)):
                if answers.responses:
                    client.stop("enough")
            return client.report()

    with ResponseStore(tmp_path) as store:
        report = asyncio.run(play(store))
    assert report.stopped_by == "enough"
    assert report.answered + report.not_sent == 100
    assert report.answered <= 10
