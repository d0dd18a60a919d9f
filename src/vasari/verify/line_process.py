"""Running a Python module as a process that exchanges JSON lines: code for parent and child."""

from __future__ import annotations

import json
import math
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from vasari.verify.limits import WORKER_MEMORY_BYTES, WORKER_START_SECONDS

T = TypeVar("T")


class LineProcess:
    """A child process that answers JSON lines; starts on first use, and again after it has ended.

    The module writes one line when it is ready, then answers each line of its standard input with
    one or several. Safe to use from any thread.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._owner = 0
        self._lock = threading.Lock()
        self.num_started = 0
        """Number of processes started so far; 1, unless some were killed."""

    def exchange(self, talk: Callable[[], T]) -> T | None:
        """Return the result of `talk`, which sends and receives messages; None if the child died.

        Other threads wait until it returns.
        """
        with self._lock:
            if not self.start():
                return None
            try:
                return talk()
            except (OSError, ValueError):
                self.kill()
                return None

    def close(self) -> None:
        """Kill the child process once no exchange is running; the next use starts a new one."""
        with self._lock:
            self.kill()

    def start(self) -> bool:
        """Start the child process unless it is running; return whether it runs now."""
        if (
            self._process is not None
            and self._owner == os.getpid()
            and self._process.poll() is None
        ):
            return True
        self.kill()
        self._owner = os.getpid()
        self._lines = queue.Queue()
        # One thread each, so that the address space limit is not spent on idle thread stacks. What
        # this process can import the other can, and nothing from the working directory (-P).
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self.num_started += 1
        self._process = subprocess.Popen(  # noqa: S603 - a module of ours
            [sys.executable, "-P", "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=os.environ
            | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path},
        )
        threading.Thread(
            target=_forward_lines, args=(self._process, self._lines), daemon=True
        ).start()
        if self.receive(WORKER_START_SECONDS) is None:
            self.kill()
            return False
        return True

    def send(self, message: dict[str, str]) -> None:
        """Write one message to the child process, as a JSON line.

        Raises:
            OSError: The process has ended.
        """
        if self._process is None or self._process.stdin is None:
            raise BrokenPipeError("the process is gone")
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """Return the child's next message; None if `seconds` have passed or the child died.

        When the time is up, the process still runs. Negative seconds count as 0.
        """
        try:
            line = self._lines.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None
        if line is None:
            if self._process is not None:
                self._process.wait()
            return None
        message: dict[str, Any] = json.loads(line)
        return message

    def exit_status(self) -> int | None:
        """Return the child's exit status, negative for a signal; None while the child runs."""
        return 0 if self._process is None else self._process.poll()

    def processor_seconds(self) -> float:
        """Return the CPU seconds that the child process has used; infinite if unknown or ended."""
        if self._process is None:
            return math.inf
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text(
                encoding="ascii", errors="replace"
            )
            fields = stat.rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError, AttributeError):
            return math.inf

    def kill(self) -> None:
        """Kill the child process; the next `start` starts a new one."""
        process, self._process = self._process, None
        if (
            process is None or self._owner != os.getpid()
        ):  # After a fork the process belongs to the parent.
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue


def _forward_lines(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    if process.stdout is not None:
        try:
            for line in process.stdout:
                lines.put(line)
        except ValueError:  # Closed by the killer while we read.
            pass
    lines.put(None)


def limit_memory() -> None:
    """Limit the address space of this process to `WORKER_MEMORY_BYTES`, if the system can."""
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (WORKER_MEMORY_BYTES, WORKER_MEMORY_BYTES))


def say(message: dict[str, Any]) -> None:
    """Write one message to the parent process, as a JSON line on standard output."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
