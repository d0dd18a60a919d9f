"""Asks many requests of a server and writes what came of them; for tests that kill it. Not a test
itself.

python client_process.py URL FOLDER COUNT OUTPUT [CONCURRENCY]
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from vasari.endpoint import (
    EndpointSettings,
    Request,
    ResponseStore,
    Sampling,
    ask_all,
    user_message,
)


def main() -> None:
    """Run to the end, or until killed."""
    # A shell that starts the tests in the background has them ignore Ctrl-C, and children inherit
    # that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    url, folder, count, output, concurrency = sys.argv[1:6]
    settings = EndpointSettings(
        base_url=url,
        max_concurrency=int(concurrency),
        start_concurrency=int(concurrency),
        backoff_seconds=0.01,
    )
    requests = (
        Request(
            model="small",
            messages=(user_message(f"What is {n} + 2?"),),
            sampling=Sampling(max_tokens=50),
            seed=1,
            id=str(n),
        )
        for n in range(int(count))
    )
    with ResponseStore(Path(folder)) as store:
        asked = ask_all(settings, store, requests)
    lines = [
        f"{a.request.id}\t{a.response.text if a.response else a.failures[0].reason}\n"
        for a in asked.answers
    ]
    Path(output).write_text("".join(lines) + f"{asked.report.stopped_by or 'finished'}\n")


if __name__ == "__main__":
    main()
