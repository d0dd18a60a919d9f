"""What does the endpoint client cost beside bare aiohttp, and what does a killed run repeat?

    python benchmarks/endpoint_speed.py [--requests 2000] [--repeats 5] [--kills 20]
                                        [--curator PYTHON]

A server process answers after 20 ms. Clients run 64-way in processes of their own, in turns, each
request with an image of 80 KB that no other has. Then answers are read from a store, and a run of
3,000 requests is killed at random moments. Prints tables and writes them to `benchmarks/results/`.
The openai row needs `pip install openai`, the curator row the path of an interpreter that has
`bespokelabs-curator` (an environment of its own: it pins many versions).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import random
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import vasari
from curator_client import (
    CURATOR_NOTE,
    IMAGE_BYTES,
    WAYS,
    curator_process,
    curator_version,
    make_images,
)
from endpoint_clients import RUNS, our_settings
from fast_server import ANSWER, LATENCY_SECONDS
from result_files import MACHINE, RESULTS, result_file
from vasari.endpoint import (
    Answers,
    EndpointSettings,
    Request,
    Response,
    ResponseStore,
    Sampling,
    ask_all,
    user_message,
)

QUARTERED = ("openai", "curator")  # slow: a quarter of the requests is enough


def run_client(name: str, url: str, count: int) -> None:
    """Run one client in this process and print its request rate and CPU time."""
    images = make_images(count)
    asyncio.run(RUNS[name](url, images[:100], lambda: None))  # imports, and the first connection
    start: list[float] = []

    def spent() -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        start[:] = [time.perf_counter(), usage.ru_utime + usage.ru_stime]

    texts = asyncio.run(RUNS[name](url, images, spent))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    if not all(texts):
        raise SystemExit(f"{name}: {texts.count('')} requests have no answer")
    seconds, cpu = time.perf_counter() - start[0], usage.ru_utime + usage.ru_stime - start[1]
    print(json.dumps({"rate": count / seconds, "cpu_ms": cpu / count * 1e3}))


def run_cached(count: int) -> None:
    """Write and read a store of answers and print answers a CPU second."""
    folder = tempfile.mkdtemp()
    requests = [
        Request(model="m", messages=(user_message(f"What is {n} + 2?"),), seed=n)
        for n in range(count)
    ]
    with ResponseStore(folder, sync="never") as store:
        start = time.process_time()
        for request in requests:
            store.add(request.key, Response(text=ANSWER * 3, finish_reason="stop"), model="m")
        write = count / (time.process_time() - start)
    # New records: the keys of those above are known already.
    requests = [
        Request(model="m", messages=(user_message(f"What is {n} + 2?"),), seed=n)
        for n in range(count)
    ]
    start = time.process_time()
    with ResponseStore(folder) as store:
        opened = count / (time.process_time() - start)
        start = time.process_time()
        found: list[Answers] = []
        report = ask_all(
            EndpointSettings(base_url="http://127.0.0.1:9/v1"), store, requests, take=found.append
        ).report
        read = count / (time.process_time() - start)
    shutil.rmtree(folder)
    if report.from_store != count or len(found) != count:
        raise SystemExit("not every answer was found")
    print(json.dumps({"write": write, "open": opened, "read": read}))


def run_resumable(url: str, folder: str, count: int) -> None:
    """Ask text requests with a store and write the answers; the process may be killed."""
    requests = (
        Request(
            model="m",
            messages=(user_message(f"What is {n} + 2?"),),
            sampling=Sampling(max_tokens=512),
            seed=n,
        )
        for n in range(count)
    )
    with ResponseStore(Path(folder) / "store") as store:
        asked = ask_all(our_settings(url, adaptive=False), store, requests)
    texts = [answers.responses[0].text for answers in asked.answers]
    (Path(folder) / "texts.json").write_text(json.dumps(texts))


def call(*arguments: object) -> subprocess.Popen[str]:
    """Start this script in another process with the given arguments."""
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def numbers_of(process: subprocess.Popen[str]) -> dict[str, float]:
    """Wait for a process and return the figures on its last output line."""
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(process.returncode)
    result: dict[str, float] = json.loads(out.splitlines()[-1])  # curator prints more before it
    return result


@contextlib.contextmanager
def a_server() -> Iterator[str]:
    """Context manager that starts a server process and yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fast_server.py")), str(port)]
    )
    url = f"http://127.0.0.1:{port}/v1"
    for _ in range(200):
        with contextlib.suppress(OSError):
            asked_of(url)
            break
        time.sleep(0.05)
    try:
        yield url
    finally:
        process.kill()
        process.wait()


def asked_of(url: str) -> int:
    """Return how many requests the server has received."""
    with urllib.request.urlopen(url) as answer:  # noqa: S310  (our own address)
        return int(answer.read())


def measure_kills(num_kills: int, count: int) -> list[str]:
    """Return a table row on a run that is killed `num_kills` times and resumed."""
    folder = tempfile.mkdtemp()
    chance = random.Random(20)
    moments = sorted(chance.sample(range(50, count - 50), num_kills))
    with a_server() as url:
        whole = Path(folder) / "whole"
        whole.mkdir()
        numbers_or_wait(call("--resumable", url, whole, count))
        base = asked_of(url)
        broken = Path(folder) / "broken"
        broken.mkdir()
        for kill, moment in enumerate(moments):
            process = call("--resumable", url, broken, count)
            # Each kill repeats some requests, and the count should not run ahead of the moments for
            # that.
            while asked_of(url) - base < moment + kill * WAYS // 2 and process.poll() is None:
                time.sleep(chance.random() / 100)
            process.send_signal(signal.SIGKILL)
            process.wait()
        numbers_or_wait(call("--resumable", url, broken, count))
        asked = asked_of(url) - base
    same = (broken / "texts.json").read_bytes() == (whole / "texts.json").read_bytes()
    with ResponseStore(broken / "store") as store:
        health = store.health
    shutil.rmtree(folder)
    return [
        f"| {num_kills} | {count:,} | {asked:,} | {asked - count} | {num_kills * WAYS:,} |"
        f" {'the same' if same else 'DIFFERENT'} | {count - health.responses} |"
        f" {health.damaged_lines} |"
    ]


def numbers_or_wait(process: subprocess.Popen[str]) -> None:
    """Wait until a process ends; exit if it failed."""
    if process.wait():
        raise SystemExit(f"a client ended with {process.returncode}")


def spread(values: list[float], form: str) -> str:
    """Format values as their median and range."""
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def measure_clients(requests: int, repeats: int, curator: str) -> list[str]:
    """Return table rows on the clients, which are run in turns."""
    names = [name for name in RUNS if name != "openai" or importlib.util.find_spec("openai")]
    names += ["curator"] if curator else []
    rates: dict[str, list[float]] = {name: [] for name in names}
    cpus: dict[str, list[float]] = {name: [] for name in names}
    with a_server() as url:
        for _ in range(repeats):
            for name in names:
                count = requests // 4 if name in QUARTERED else requests
                result = numbers_of(
                    curator_process(curator, url, count)
                    if name == "curator"
                    else call("--client", name, url, count)
                )
                rates[name].append(result["rate"])
                cpus[name].append(result["cpu_ms"])
    bare = names[0]
    rows = []
    for name in names:
        turns = [mine / theirs for mine, theirs in zip(rates[name], rates[bare], strict=True)]
        cpu = [mine / theirs for mine, theirs in zip(cpus[name], cpus[bare], strict=True)]
        rows.append(
            f"| {name} | {max(rates[name]):,.0f} | {max(rates[name]) / max(rates[bare]):.2f} "
            f"| {statistics.median(rates[name]):,.0f} | {spread(turns, '.2f')} "
            f"| {spread(cpus[name], '.3f')} | {spread(cpu, '.2f')} |"
        )
    return rows


def versions(curator: str) -> str:
    """Return the versions of Vasari, Python and the packages that were measured."""
    names = ("aiohttp", "orjson", "pybase64", "openai")
    found = [
        f"{name} {importlib.metadata.version(name)}"
        for name in names
        if importlib.util.find_spec(name)
    ]
    found += [curator_version(curator)] if curator else []
    return f"vasari {vasari.__version__}, {', '.join(found)}, Python {platform.python_version()}"


def report(args: argparse.Namespace) -> str:
    """Run all measurements and return them as Markdown."""
    command = " ".join(
        [
            "python benchmarks/endpoint_speed.py",
            *("PYTHON" if a == args.curator else a for a in sys.argv[1:]),
        ]
    )
    cached = [numbers_of(call("--read-store", args.cached)) for _ in range(args.repeats)]
    columns = [spread([run[name] for run in cached], ",.0f") for name in ("read", "open", "write")]
    lines = [
        "# The endpoint client",
        "",
        (
            f"{WAYS}-way against a server process that answers after {LATENCY_SECONDS * 1e3:.0f}"
            f" ms, images of {IMAGE_BYTES // 1000} KB, all different; {args.requests:,} requests a"
            f" run (a quarter for openai and curator), {args.repeats} runs in turns, medians with"
            " ranges; the best run is the one that others on this machine disturbed least. Ours"
            " hashes each image, stores each answer, and keeps limits of requests, tokens and"
            " money."
        ),
        "",
        (
            "| client | requests/s, best run | of bare | median | of bare, by turns | CPU ms a"
            " request | of bare, by turns |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- |",
        *measure_clients(args.requests, args.repeats, args.curator),
        "",
        CURATOR_NOTE if args.curator else "Not measured: curator (`--curator PYTHON`).",
        "",
        (
            f"Answers of 2 KB from a store of {args.cached:,}, through `ask_all`, keys computed; a"
            " second of CPU time:"
        ),
        "",
        "| read, answers/s | opened, answers/s | written, answers/s |",
        "| --- | --- | --- |",
        f"| {' | '.join(columns)} |",
        "",
        "A run killed (SIGKILL) at random moments and resumed, beside one that was not:",
        "",
        (
            "| kills | requests | sent | sent twice | in flight at most | output | lost | damaged"
            " lines |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *measure_kills(args.kills, args.killed_requests),
        "",
        (
            f"`{command}`, {versions(args.curator)}, {MACHINE}, load average"
            f" {os.getloadavg()[1]:.1f} (others worked on this machine; server and client share its"
            " cores)."
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the benchmark, print its tables and write them to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (
        ("requests", 2000),
        ("repeats", 5),
        ("kills", 20),
        ("killed-requests", 3000),
        ("cached", 50_000),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument(
        "--curator",
        metavar="PYTHON",
        default="",
        help="an interpreter that has bespokelabs-curator",
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    text = report(args)
    print(text)
    result_file("endpoint_speed", args.out).write_text(text)


def inner(arguments: list[str]) -> None:
    """Do the part of the benchmark that runs in a process of its own."""
    kind, *rest = arguments
    if kind == "--client":
        run_client(rest[0], rest[1], int(rest[2]))
    elif kind == "--read-store":
        run_cached(int(rest[0]))
    else:
        run_resumable(rest[0], rest[1], int(rest[2]))


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in ("--client", "--read-store", "--resumable"):
        inner(sys.argv[1:])
    else:
        main()
