"""What do stages that query a model keep and refuse when their teacher's faults are known?

    python benchmarks/curate_stages.py --data DIR
    python examples/serve_small_model.py RUN/cold_start/model --port 8200 &
    python benchmarks/curate_stages.py --data DIR --small http://127.0.0.1:8200/v1

DIR has the folders `tabmwp` (1,000 problems, CC BY-NC-SA 4.0) and `puzzlevqa` (200, MIT), and may
have `verdicts` with published answers of models to MathVision. The teacher is
`examples/recorded_teacher.py` in a process of its own: it answers over HTTP from the solutions in
the data, a tenth of its answers wrong, and truncated, off-format, repetitive and foreign ones
besides. Every response that the store holds is compared with what the stage says of it. `--small`
adds a real model, small, behind a server: it grades generated prompts with their images, annotates
them, and answers them blind. Prints tables and writes them.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

import vasari
from result_files import MACHINE, RESULTS, result_file
from vasari.curate.ask.annotate import AnnotateSettings, annotate, text_reason
from vasari.curate.ask.rationale_checks import (
    LANGUAGES,
    MIN_WORDS_FOR_LANGUAGE,
    repeated_share,
    words_of,
)
from vasari.curate.ask.rephrase import RephraseSettings, rephrase
from vasari.curate.ask.validity import ValiditySettings, validity
from vasari.curate.choose.grading import GradingSettings
from vasari.curate.choose.pass_rates import grade_by_model
from vasari.curate.stage import AskedModel, StageResult
from vasari.data.sources import BadRow, read_source
from vasari.data.tasks.pool import PoolSettings, make_pool
from vasari.endpoint import EndpointSettings, ResponseStore, Sampling
from vasari.records import Prompt

ROOT = Path(__file__).parents[1]
SPLITS = {"tabmwp": "val", "puzzlevqa": "test"}
FAULTS = {
    "wrong": 0.10,
    "truncated": 0.05,
    "off-format": 0.05,
    "repetitive": 0.02,
    "foreign": 0.02,
    "blind": 0.10,
}


@contextlib.contextmanager
def teacher(data: Path) -> Iterator[str]:
    """Context manager that starts a recorded teacher for all sources and yields its address."""
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
    """Return table rows of what each stage keeps and refuses from one source."""
    lines = []
    runs = {
        "validity": lambda: validity(prompts, model, ValiditySettings(num_blind=6)),
        "annotate, 1 rationale": lambda: annotate(
            prompts, model, AnnotateSettings(min_words=10, num_rationales=1)
        ),
        "annotate, best of 4": lambda: annotate(
            prompts, model, AnnotateSettings(min_words=10, num_rationales=4)
        ),
        "rephrase": lambda: rephrase(prompts, model, RephraseSettings()),
    }
    for stage, run in runs.items():
        before, said, started = len(model.store), replies(model), time.perf_counter()
        result = run()
        seconds, bought = time.perf_counter() - started, len(model.store) - before
        said = replies(model) - said
        if run() != result:
            raise SystemExit(
                f"{stage} on {name} decides otherwise when its answers come from the store"
            )
        repeated = len(model.store) - before - bought
        lines.append(
            f"| {name} | {stage} | {len(prompts):,} | {len(result.kept):,} | {reasons(result)} |"
            f" {told(result)} | {bought:,} | {told_by(said)} | {repeated} | {seconds:.1f} |"
        )
    return lines


def measure_texts(texts: Mapping[str, Sequence[str]]) -> list[str]:
    """Return table rows of language and repetition measures for good and bad texts."""
    lines = [
        "",
        (
            "Shares that `annotate` has thresholds for: English function words (at least 0.08 by"
            " default) and passages of 8 words that were said before (at most 0.4)."
        ),
        "",
        (
            "| texts | number | function words: least, median | repeated: median, 99%, most |"
            " refused |"
        ),
        "| --- | --- | --- | --- | --- |",
    ]
    settings = AnnotateSettings(min_words=1)
    for name, group in texts.items():
        words = [words_of(text) for text in group]
        named = [
            [word.casefold() for word in one if word.isalpha() and len(word) > 1] for one in words
        ]
        known = LANGUAGES["en"].function_words
        functions = [
            sum(word in known for word in one) / len(one)
            for one in named
            if len(one) >= MIN_WORDS_FOR_LANGUAGE
        ]
        repeated = [repeated_share(one) for one in words]
        refused = Counter(
            text_reason(text, one, settings) for text, one in zip(group, words, strict=True)
        )
        middle, high = np.percentile(repeated, [50, 99])
        lines.append(
            f"| {name} | {len(group):,} | {min(functions):.2f}, {np.median(functions):.2f} |"
            f" {middle:.2f}, {high:.2f}, {max(repeated):.2f} |"
            f" {', '.join(f'{why} {n}' for why, n in sorted(refused.items()) if why) or 'none'} |"
        )
    return lines


def answers_of(path: Path) -> list[str]:
    """Read a model's answers of over 200 characters from a file of published outputs."""
    with gzip.open(path, "rt", encoding="utf-8") as rows:
        answers = [json.loads(row).get("response") or "" for row in rows]
    return [answer for answer in answers if len(answer) > 200]


def run_small(url: str, name: str, count: int) -> list[str]:
    """Return table rows of what stages do with unseen generated prompts and a small model."""
    pool = PoolSettings(families=("bars", "dice", "shapes"), num_prompts=count)
    prompts = make_pool(pool, split="test", seed=77)
    lines = [
        "",
        (
            "A small VLM of a quickstart run after its cold start, behind the same protocol, on"
            f" {count} prompts of its kinds that it has not seen; temperature 1, up to 96 tokens:"
        ),
        "",
        "| stage | prompts | kept | dropped | counts | asked | again | s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as folder, ResponseStore(folder) as store:
        settings = EndpointSettings(
            base_url=url, max_concurrency=64, start_concurrency=64, latency_tolerance=1000.0
        )
        model = AskedModel(
            settings=settings,
            store=store,
            model=name,
            sampling=Sampling(temperature=1.0, max_tokens=96),
        )
        write = AnnotateSettings(
            system="Think, then answer.", num_rationales=4, min_words=3, language="latin"
        )
        runs: dict[str, Callable[[], StageResult]] = {
            "grade, 8 rollouts": lambda: grade_by_model(
                prompts, model, GradingSettings(model=name, system="small")
            ),
            "annotate, best of 4": lambda: annotate(prompts, model, write),
            "validity, 6 blind, 8 sighted": lambda: validity(
                prompts,
                model,
                ValiditySettings(
                    num_blind=6,
                    num_sighted=8,
                    system="Think, then answer.",
                    blind_system="Think, then answer.",
                ),
            ),
        }
        for stage, run in runs.items():
            before, started = len(store), time.perf_counter()
            result = run()
            seconds, bought = time.perf_counter() - started, len(store) - before
            if run() != result:
                raise SystemExit(f"{stage} decides otherwise when its answers come from the store")
            lines.append(
                f"| {stage} | {count:,} | {len(result.kept):,} | {reasons(result)} | {told(result)}"
                f" | {bought:,} | {len(store) - before - bought} | {seconds:.0f} |"
            )
    return lines


def replies(model: AskedModel) -> Counter[str]:
    """Return how many answers of each kind the teacher has given so far."""
    address = model.settings.base_url.removesuffix("/v1") + "/replies"
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  (our own server)
        return Counter(json.load(answer))


def told_by(said: Counter[str]) -> str:
    """Format the teacher's own counts of its answers."""
    return ", ".join(f"{kind} {count}" for kind, count in sorted(said.items()))


def reasons(result: StageResult) -> str:
    """Format the number of dropped prompts by reason."""
    found = Counter(drop.reason for drop in result.dropped)
    return ", ".join(f"{reason} {count}" for reason, count in found.most_common()) or "none"


def told(result: StageResult) -> str:
    """Format the counts that the stage itself reports."""
    return ", ".join(f"{name} {count}" for name, count in sorted(result.counts.items()))


def report(given: argparse.Namespace) -> str:
    """Run all measurements and return them as Markdown."""
    lines = [
        "# The stages that ask a model, on real images",
        "",
        "A recorded teacher over HTTP answers from the solutions that TabMWP and PuzzleVQA carry,"
        " with faults at set rates: "
        + ", ".join(f"{name} {rate:.0%}" for name, rate in FAULTS.items())
        + " (`blind`: prompts answered rightly without their image). `asked`: requests that were"
        " bought; `again`: bought by the same stage a second time. Equal requests (PuzzleVQA has"
        " one question for many pictures) share an answer.",
        "",
        (
            "| source | stage | prompts | kept | dropped | counts | asked | what the teacher said |"
            " again | s |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    with (
        teacher(given.data) as url,
        tempfile.TemporaryDirectory() as folder,
        ResponseStore(folder) as store,
    ):
        settings = EndpointSettings(base_url=url, max_concurrency=32)
        texts: dict[str, list[str]] = {}
        model = AskedModel(
            settings=settings,
            store=store,
            model="recorded",
            sampling=Sampling(temperature=1.0, max_tokens=4096),
        )
        for name, split in SPLITS.items():
            rows = read_source(name, given.data / name, split=split, allow_test=True)
            prompts = [row for row in rows if not isinstance(row, BadRow)]
            lines += run_stages(name, prompts, model)
            texts[f"{name}: solutions"] = [prompt.solution for prompt in prompts if prompt.solution]
    for path in sorted((given.data / "verdicts").glob("mathvision__*CoT*.jsonl.gz")):
        texts[path.name.removesuffix(".jsonl.gz").replace("__", ": ")] = answers_of(path)
    lines += measure_texts({name: group for name, group in texts.items() if len(group) >= 100})
    if given.small:
        lines += run_small(given.small, given.small_name, given.small_prompts)
    versions = f"vasari {vasari.__version__}, Python {platform.python_version()}, {MACHINE}"
    lines += [
        "",
        (
            f"`python benchmarks/curate_stages.py --data DIR`, {versions}, client and teacher on"
            " the same cores."
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run all stages on all sources and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--small", help="address of a server with a small model of a run")
    parser.add_argument("--small-name", default="small", help="what that server calls it")
    parser.add_argument("--small-prompts", type=int, default=150)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    text = report(given)
    print(text)
    result_file("curate_stages", given.out).write_text(text)


if __name__ == "__main__":
    main()
