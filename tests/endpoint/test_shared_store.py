"""Several processes share one store: each request is sent once, and each finds all answers."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vasari.endpoint import Failure, Response, ResponseStore, Usage, ask_all

SCRIPT = Path(__file__).with_name("client_process.py")
KEYS = [f"{n:032x}" for n in range(10)]


def start(server, folder, count, output, concurrency=16):
    command = [sys.executable, str(SCRIPT), server.url, str(folder), str(count), str(output)]
    return subprocess.Popen([*command, str(concurrency)], stderr=subprocess.PIPE)


def sent(server):
    return [json.dumps(body, sort_keys=True) for body in server.bodies]


@pytest.mark.slow
def test_three_processes_at_once_send_each_request_once(server, tmp_path):
    server.seconds = 0.02
    runs = [start(server, tmp_path / "store", 600, tmp_path / f"{n}.txt") for n in range(3)]
    for run in runs:
        assert run.wait(300) == 0, run.stderr.read().decode()
    assert len(server.bodies) == len(set(sent(server))) == 600
    texts = {(tmp_path / f"{n}.txt").read_text() for n in range(3)}
    assert len(texts) == 1
    assert texts.pop().endswith("finished\n")
    with ResponseStore(tmp_path / "store") as store:
        assert (len(store), store.health.damaged_lines) == (600, 0)
        assert store.usage["small"].requests == 600


@pytest.mark.slow
def test_one_of_two_processes_may_be_killed_again_and_again(server, tmp_path):
    server.seconds = 0.02
    draw, kills = random.Random(3), 4
    other = start(server, tmp_path / "store", 1500, tmp_path / "other.txt")
    for _ in range(kills):
        until = len(server.bodies) + draw.randrange(20, 200)
        victim = start(server, tmp_path / "store", 1500, tmp_path / "victim.txt")
        deadline = time.monotonic() + 60
        while len(server.bodies) < until and time.monotonic() < deadline:
            if other.poll() is not None:
                break
            time.sleep(0.005)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    assert other.wait(300) == 0, other.stderr.read().decode()
    assert start(server, tmp_path / "store", 1500, tmp_path / "last.txt").wait(300) == 0
    told = sent(server)
    assert len(set(told)) == 1500
    assert len(told) - 1500 <= kills * 16
    assert (tmp_path / "last.txt").read_text() == (tmp_path / "other.txt").read_text()
    with ResponseStore(tmp_path / "store") as store:
        assert store.usage["small"].requests == 1500


def test_two_stores_of_one_process_send_each_request_once(server, settings, ask_for, tmp_path):
    import asyncio

    from vasari.endpoint import Client

    async def run(store):
        async with Client(settings(), store) as client:
            return [answers async for answers in client.stream(ask_for(60))]

    async def both():
        return await asyncio.gather(run(first), run(second))

    server.seconds = 0.01
    with ResponseStore(tmp_path) as first, ResponseStore(tmp_path) as second:
        found = asyncio.run(both())
    assert [len(answers) for answers in found] == [60, 60]
    assert len(server.bodies) == 60


def test_a_claim_ends_with_its_process(tmp_path):
    code = f"""
import os, sys
from vasari.endpoint import ResponseStore
store = ResponseStore({str(tmp_path)!r})
assert store.claim({KEYS[0]!r}, 0)
print("claimed", flush=True)
sys.stdin.read()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"claimed\n"
    with ResponseStore(tmp_path) as store:
        assert not store.claim(KEYS[0], 0)
        assert store.claim(KEYS[0], 1)
        assert store.claim(KEYS[1], 0)
        store.give_back(KEYS[1], 0)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert store.claim(KEYS[0], 0)


def test_half_a_line_of_a_killed_process_is_neither_read_nor_in_the_way(tmp_path):
    with ResponseStore(tmp_path) as store:
        store.add(KEYS[0], Response(text="whole"), model="small")
    path = tmp_path / "responses-main.jsonl"
    path.write_bytes(path.read_bytes() + b'{"key":"00')
    with ResponseStore(tmp_path, shard="other") as reader:
        assert reader.get(KEYS[0]).text == "whole"
        with ResponseStore(tmp_path) as writer:  # takes the file of the killed one, and cuts it
            assert writer.health.torn_bytes == 10
            writer.add(KEYS[1], Response(text="next", output_tokens=3), model="small")
            assert reader.refresh() == {"small": Usage(requests=1, output_tokens=3)}
        assert reader.get(KEYS[1]).text == "next"
        assert reader.health.damaged_lines == 0
        assert reader.refresh() == {}


@pytest.mark.parametrize("own", ["a", "b"])
def test_an_answer_ends_another_process_s_failure_whatever_the_order_of_files(tmp_path, own):
    with ResponseStore(tmp_path, shard="a") as a, ResponseStore(tmp_path, shard="b") as b:
        b.add_failure(KEYS[0], Failure(reason="refused", request_id="row"), model="small")
        a.add(KEYS[0], Response(text="answer"), model="small")
        a.add(KEYS[1], Response(text="half", finish_reason="length", limit=5), model="small")
        b.add(KEYS[1], Response(text="whole", limit=50), model="small")
        a.add(KEYS[2], Response(text="half", finish_reason="length", limit=5), model="small")
        b.add_failure(KEYS[2], Failure(reason="refused", limit=50), model="small")
    with ResponseStore(tmp_path, shard=own) as store:
        assert store.get(KEYS[0]).text == "answer"
        assert store.get(KEYS[1]).text == "whole"
        assert [failure.limit for failure in store.failures()] == [50]


def test_the_budget_counts_what_another_process_spends(server, settings, ask_for, tmp_path):
    # 40 tokens in and 10 out at one unit each: 50 units a request, in millions.
    priced = settings(
        prices={"small": {"input": 1, "output": 1}},
        budget="0.001",
        image_tokens=0,
        max_concurrency=1,
    )
    with ResponseStore(tmp_path, shard="a") as first, ResponseStore(tmp_path, shard="b") as second:
        requests = ask_for(40, max_tokens=10)
        report = ask_all(priced, first, requests[:10]).report
        assert report.answered == 10
        other = ask_all(priced, second, requests[10:]).report
    # 20 requests of 50 use it up; the last of them is not sent, since it may cost more than 50.
    assert 10 + other.answered <= 20
    assert "the budget of 0.001" in other.stopped_by
