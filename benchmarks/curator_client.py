"""The curator package as a client for `endpoint_speed.py`, and the images that all clients send.

    PYTHON benchmarks/curator_client.py URL COUNT

PYTHON is an interpreter that has `bespokelabs-curator`; nothing of ours is imported. The images lie
in files and go out as base64 data URLs. Curator's cache is off and its folder a fresh one, its
limits are too high to bind, and nothing but URL is asked. The whole call counts, as it does for
ours: requests written to curator's files, sent, answers written and collected.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WAYS = 64
IMAGE_BYTES = 80_000
CURATOR_NOTE = (
    "Curator's row is one call on a list of rows: requests written to its files, sent, answers"
    " written and collected; processes that it starts are in its CPU time. Its images lie in files,"
    " which it reads when it sends them."
)
QUIET = {
    "TELEMETRY_ENABLED": "false",
    "CURATOR_DISABLE_CACHE": "1",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_API_KEY": "none",
    "NO_PROXY": "127.0.0.1",
}


def make_images(count: int) -> list[bytes]:
    """Return `count` distinct byte strings that begin like PNG files."""
    noise = random.Random(0).randbytes(IMAGE_BYTES - 16)
    return [b"\x89PNG\r\n\x1a\n" + n.to_bytes(8, "big") + noise for n in range(count)]


def curator_process(python: str, url: str, count: int) -> subprocess.Popen[str]:
    """Start this script with another interpreter; its last output line holds the figures."""
    return subprocess.Popen([python, __file__, url, str(count)], stdout=subprocess.PIPE, text=True)


def curator_version(python: str) -> str:
    """Return the version of curator that an interpreter has installed."""
    code = (
        "import importlib.metadata; print('bespokelabs-curator',"
        " importlib.metadata.version('bespokelabs-curator'))"
    )
    return subprocess.check_output([python, "-c", code], text=True).strip()


def processor_seconds() -> float:
    """Return the CPU seconds used by this process and its finished child processes."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def make_asker(url: str) -> Any:
    """Return curator's `LLM` object, set up to ask the server at `url`."""
    from bespokelabs import curator  # noqa: PLC0415  (after the environment is set)

    class Asker(curator.LLM):  # type: ignore[misc, unused-ignore]  (not installed beside us)
        """Curator's model object that asks one question on one image."""

        def prompt(self, row: dict[str, Any]) -> Any:
            """Return the text and image that are sent for a row."""
            return row["text"], curator.types.Image(url=row["image"])

        def parse(self, row: dict[str, Any], response: str) -> dict[str, Any]:
            """Return the row that is kept of a response."""
            return {"number": row["number"], "response": response}

    return Asker(
        model_name="m",
        backend="openai",
        generation_params={"max_tokens": 512, "temperature": 1.0},
        backend_params={
            "base_url": url,
            "max_concurrent_requests": WAYS,
            "max_requests_per_minute": 10**8,
            "max_tokens_per_minute": 10**12,
            "max_retries": 1,
        },
    )


def measure(url: str, count: int, folder: Path) -> dict[str, float]:
    """Return the requests a second and the CPU time a request."""
    rows = []
    for number, image in enumerate(make_images(count)):
        path = folder / f"{number}.png"
        path.write_bytes(image)
        rows.append(
            {"number": number, "text": f"What is shown in figure {number}?", "image": str(path)}
        )
    asker = make_asker(url)
    asker(rows[:100], working_dir=str(folder / "first"))  # imports
    start, spent = time.perf_counter(), processor_seconds()
    answers = asker(rows, working_dir=str(folder / "second")).dataset
    seconds, cpu = time.perf_counter() - start, processor_seconds() - spent
    if sorted(answers["number"]) != list(range(count)) or not all(answers["response"]):
        raise SystemExit(f"curator: {len(answers)} answers to {count} requests")
    return {"rate": count / seconds, "cpu_ms": cpu / count * 1e3}


def main() -> None:
    """Measure the client and print the figures."""
    folder = tempfile.mkdtemp()
    litellm = importlib.util.find_spec("litellm")
    if litellm is None or litellm.origin is None:
        raise SystemExit(
            f"{sys.executable} has no bespokelabs-curator: pip install bespokelabs-curator"
        )
    # The token table that curator would fetch comes with litellm.
    tokens = Path(litellm.origin).parent / "litellm_core_utils" / "tokenizers"
    os.environ.update(QUIET, HF_HOME=folder, HOME=folder, TIKTOKEN_CACHE_DIR=str(tokens))
    try:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), Path(folder))))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
