r"""The process in which Math-Verify reads whole responses.

In:  {"response": text, "answer": text}
Out: {"equal": bool, "found": text or null}, or {"limit": reason}.

Math-Verify's plain expressions go through sympy's `parse_expr`, which runs Python; its regular
expression lets digits, brackets and the signs `+ - * / ^` pass and nothing else, so no name can be
looked up. Powers can still explode: hence the limits of memory here and of time in the parent.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from vasari.verify.line_process import limit_memory, say


def main() -> None:
    """Answer each line of standard input, a JSON request, until the input closes."""
    limit_memory()
    import logging  # noqa: PLC0415

    from math_verify import parse, verify  # noqa: PLC0415 - only this process has the dependency

    logging.disable(logging.CRITICAL)

    def answer_to(request: dict[str, str]) -> dict[str, Any]:
        # The time limit is the parent's: it kills. Math-Verify's own needs signals and leaves work
        # running.
        found = parse(request["response"], parsing_timeout=None)
        if not found:
            return {"equal": False, "found": None}
        expected = parse(request["answer"], parsing_timeout=None)
        return {
            "equal": bool(verify(found, expected, timeout_seconds=None)),
            "found": str(found[0])[:1000],
        }

    answer_to(
        {"response": "the answer is $x+1$", "answer": "$1+x$"}
    )  # The first comparison builds tables for half a second.
    say({"ready": True})
    for line in sys.stdin:
        try:
            say(answer_to(json.loads(line)))
        except (MemoryError, RecursionError, OverflowError) as error:
            say({"limit": type(error).__name__})
        except Exception as error:  # noqa: BLE001 - the official script calls this "not correct", whatever it was
            say({"equal": False, "found": None, "error": type(error).__name__})


if __name__ == "__main__":
    main()
