"""What do the stages that ask a model keep and refuse on real images, from a teacher whose faults are known?

    python benchmarks/curate_stages.py --data DIR

DIR has the folders `tabmwp` (1,000 problems, CC BY-NC-SA 4.0) and `puzzlevqa` (200, MIT). The teacher is
`examples/recorded_teacher.py` in a process of its own: it answers over HTTP from the solutions in the data, a tenth of its
answers wrong, and truncated, off-format, repetitive and foreign ones besides. Every response that the store holds is compared
with what the stage says of it. Prints tables and writes them.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import vasari
from vasari.curate.annotate import AnnotateSettings, annotate
from vasari.curate.rephrase import RephraseSettings, rephrase
from vasari.curate.stage import AskedModel, StageResult
from vasari.curate.validity import ValiditySettings, validity
from vasari.endpoint import EndpointSettings, ResponseStore, Sampling
from vasari.records import Prompt
from vasari.sources import BadRow, read_source

ROOT = Path(__file__).parents[1]
SPLITS = {"tabmwp": "val", "puzzlevqa": "test"}
FAULTS = {"wrong": 0.10, "truncated": 0.05, "off-format": 0.05, "repetitive": 0.02, "foreign": 0.02, "blind": 0.10}


@contextlib.contextmanager
def teacher(data: Path) -> Iterator[str]:
    """The address of a recorded teacher for all sources."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(ROOT / "examples" / "recorded_teacher.py"), "--port", str(port)]
    for name, split in SPLITS.items():
        command += ["--source", f"{name}={data / name}:{split}"]
    for name, rate in FAULTS.items():
        command += [f"--{name}", str(rate)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5)
                break
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def run_stages(name: str, prompts: Sequence[Prompt], model: AskedModel) -> list[str]:
    """Rows of the table for one source."""
    lines = []
    runs = {
        "validity": lambda: validity(prompts, model, ValiditySettings(num_blind=6)),
        "annotate, 1 rationale": lambda: annotate(prompts, model, AnnotateSettings(min_words=10, num_rationales=1)),
        "annotate, best of 4": lambda: annotate(prompts, model, AnnotateSettings(min_words=10, num_rationales=4)),
        "rephrase": lambda: rephrase(prompts, model, RephraseSettings()),
    }
    for stage, run in runs.items():
        before, said, started = len(model.store), replies(model), time.perf_counter()
        result = run()
        seconds, bought = time.perf_counter() - started, len(model.store) - before
        said = replies(model) - said
        if run() != result:
            raise SystemExit(f"{stage} on {name} decides otherwise when its answers come from the store")
        repeated = len(model.store) - before - bought
        lines.append(
            f"| {name} | {stage} | {len(prompts):,} | {len(result.kept):,} | {reasons(result)} | {told(result)} | "
            f"{bought:,} | {told_by(said)} | {repeated} | {seconds:.1f} |"
        )
    return lines


def replies(model: AskedModel) -> Counter[str]:
    """How many answers of each kind the teacher has given."""
    address = model.settings.base_url.removesuffix("/v1") + "/replies"
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  (our own server)
        return Counter(json.load(answer))


def told_by(said: Counter[str]) -> str:
    """The teacher's own counts."""
    return ", ".join(f"{kind} {count}" for kind, count in sorted(said.items()))


def reasons(result: StageResult) -> str:
    """Drops by reason."""
    found = Counter(drop.reason for drop in result.dropped)
    return ", ".join(f"{reason} {count}" for reason, count in found.most_common()) or "none"


def told(result: StageResult) -> str:
    """The stage's own counts."""
    return ", ".join(f"{name} {count}" for name, count in sorted(result.counts.items()))


def main() -> None:
    """Run all stages on all sources and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    lines = [
        "# The stages that ask a model, on real images",
        "",
        "A recorded teacher over HTTP answers from the solutions that TabMWP and PuzzleVQA carry, with faults at set rates: "
        + ", ".join(f"{name} {rate:.0%}" for name, rate in FAULTS.items())
        + " (`blind`: prompts answered rightly without their image). `asked`: requests that were bought; `again`: bought by "
        "the same stage a second time. Equal requests (PuzzleVQA has one question for many pictures) share an answer.",
        "",
        "| source | stage | prompts | kept | dropped | counts | asked | what the teacher said | again | s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    with teacher(given.data) as url, tempfile.TemporaryDirectory() as folder, ResponseStore(folder) as store:
        settings = EndpointSettings(base_url=url, max_concurrency=32)
        model = AskedModel(
            settings=settings, store=store, model="recorded", sampling=Sampling(temperature=1.0, max_tokens=4096)
        )
        for name, split in SPLITS.items():
            rows = read_source(name, given.data / name, split=split, allow_test=True)
            prompts = [row for row in rows if not isinstance(row, BadRow)]
            lines += run_stages(name, prompts, model)
    machine = f"{platform.machine()}-{os.cpu_count()}cpu"
    today = datetime.datetime.now(datetime.UTC).date()
    versions = f"vasari {vasari.__version__}, Python {platform.python_version()}, {machine}"
    lines += ["", f"`python benchmarks/curate_stages.py --data DIR`, {versions}, client and teacher on the same cores."]
    text = "\n".join(lines) + "\n"
    print(text)
    (given.out / f"curate_stages_{machine}_{today}.md").write_text(text)


if __name__ == "__main__":
    main()
