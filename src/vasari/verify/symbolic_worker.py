"""The process in which Math-Verify runs, started and killed by `symbolic.py`.

In:  {"response": text, "reference": text}
Out: {"stage": "reference", "ok": bool} as soon as the reference is read, so that a later time-out
     is known to be the answer's, then {"stage": "verdict", "equal": bool} or {"stage": "verdict",
     "limit": reason}.
"""

from __future__ import annotations

import json
import signal
import sys
from types import FrameType
from typing import Any

from vasari.verify.limits import SYMBOLIC_SECONDS
from vasari.verify.line_process import limit_memory, say


class _TimeUpError(BaseException):
    """The comparison used up its processor time.

    Not an `Exception`, because computer algebra catches those.
    """


def main() -> None:
    """Compare the pairs of LaTeX formulas that come as JSON lines, until standard input closes."""
    limit_memory()
    _prepare_clock()
    from math_verify import LatexExtractionConfig, parse, verify  # noqa: PLC0415 - only the worker has this dependency

    # Only LaTeX is parsed: Math-Verify's plain expressions go through sympy's parser, which
    # evaluates Python.
    targets = (LatexExtractionConfig(),)

    def read(text: str) -> Any:
        # The time limits are ours. Math-Verify's own is wall-clock and leaves work running.
        return parse(
            f"${text}$", extraction_config=targets, parsing_timeout=None, raise_on_error=False
        )

    verify(
        read("x+1"), read("1+x"), timeout_seconds=None
    )  # The first comparison builds tables for half a second.
    say({"stage": "ready"})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            _set_clock(SYMBOLIC_SECONDS)
            reference = read(request["reference"])
            say({"stage": "reference", "ok": bool(reference)})
            if reference:
                found = read(request["response"])
                equal = bool(found) and verify(reference, found, timeout_seconds=None)
                say({"stage": "verdict", "equal": bool(equal)})
        except (MemoryError, RecursionError, OverflowError, _TimeUpError) as error:
            say({"stage": "verdict", "limit": type(error).__name__})
        finally:
            _set_clock(0.0)


def _prepare_clock() -> None:
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGVTALRM, _raise_time_up)


def _raise_time_up(_signal: int, _frame: FrameType | None) -> None:
    raise _TimeUpError


def _set_clock(seconds: float) -> None:
    """Limit a comparison to this many seconds of processor time; 0 removes the limit.

    Python code is interrupted and the worker lives. Arithmetic in C is not: there the system ends
    the process half a second later, and the parent starts another.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        signal.setitimer(signal.ITIMER_PROF, seconds + 0.5 if seconds else 0.0)


if __name__ == "__main__":
    main()
