"""A scorer of the user's as a protocol: a plain function from what is known of an output to right, wrong or undecided."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from vasari.errors import ConfigError, StateError
from vasari.evaluate.protocols.stored_output import StoredOutput
from vasari.records import Outcome, Verdict

SEEN = tuple(entry.name for entry in fields(StoredOutput))
"""What a scorer may take, by keyword: `response`, `answer`, `choices`, `question`, ..., all as in `StoredOutput`."""

Scorer = Callable[..., Any]
"""Returns True or 1, False or 0, None (undecided), an `Outcome`, or a `Verdict`."""


def user_rule(name: str, scorer: Any) -> Callable[[StoredOutput], Verdict]:
    """The scorer as a rule on stored outputs.

    An exception of its own on one output is UNVERIFIABLE with its text; a value that it may not return ends the scoring.

    Raises:
        ConfigError: It cannot be called, or needs what no output has.
    """
    if not callable(scorer):
        raise ConfigError(f"protocol {name!r} is a {type(scorer).__name__}, which cannot be called")
    parameters = inspect.signature(scorer).parameters
    takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    needed = [key for key, one in parameters.items() if one.default is inspect.Parameter.empty and one.kind not in variable]
    missing = [key for key in needed if key not in SEEN]
    if missing:
        raise ConfigError(f"protocol {name!r} needs {', '.join(map(repr, missing))}; a scorer may take {', '.join(SEEN)}")
    taken = SEEN if takes_all else tuple(key for key in parameters if key in SEEN)
    if not taken:
        raise ConfigError(f"protocol {name!r} looks at nothing of an output; a scorer may take {', '.join(SEEN)}")

    def rule(output: StoredOutput) -> Verdict:
        try:
            said = scorer(**{key: getattr(output, key) for key in taken})
        except Exception as error:  # noqa: BLE001  (the scorer is not ours and may raise anything)
            return Verdict(Outcome.UNVERIFIABLE, None, "error", f"{type(error).__name__}: {error}"[:200])
        return as_verdict(name, said)

    return rule


def as_verdict(name: str, said: Any) -> Verdict:
    """What a scorer said as a verdict.

    Raises:
        StateError: It said something else than it may.
    """
    if isinstance(said, Verdict):
        return said
    if isinstance(said, Outcome):
        return Verdict(said, decided_by="scorer")
    if said is None:
        return Verdict(Outcome.UNVERIFIABLE, decided_by="scorer", reason="the scorer could not tell")
    # NumPy's numbers and booleans compare as Python's do.
    if isinstance(said, bool | int | float) or hasattr(said, "item"):
        for value, outcome in ((1, Outcome.CORRECT), (0, Outcome.INCORRECT)):
            if said == value:
                return Verdict(outcome, decided_by="scorer")
    raise StateError(f"protocol {name!r} returned {said!r}; it may return True, False, 1, 0, None, an Outcome or a Verdict")
