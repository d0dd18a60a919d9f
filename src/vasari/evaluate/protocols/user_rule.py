"""Turn a user's scoring function (facts of an output -> verdict) into a scoring protocol."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from vasari.core.errors import ConfigError, MissingExtraError, StateError
from vasari.core.records import Outcome, Verdict
from vasari.evaluate.protocols.stored_output import StoredOutput
from vasari.verify.limits import LimitExceededError

SEEN = tuple(entry.name for entry in fields(StoredOutput))
"""Names of the keyword arguments that a scorer may take: `response`, `answer`, `choices`, `kind`,
`metadata`, ..., all as in `StoredOutput`."""

Scorer = Callable[..., Any]
"""A function that returns True or 1, False or 0, None (undecided), an `Outcome`, or a `Verdict`."""


def user_rule(name: str, scorer: Any) -> Callable[[StoredOutput], Verdict]:
    """Wrap a user's scoring function as a rule that maps a stored output to its verdict.

    An exception of the scorer on one output is UNVERIFIABLE, decided by "error"; a value that it
    may not return ends the scoring with a StateError.

    Raises:
        ConfigError: The scorer cannot be called with what an output has; nothing was scored yet.
    """
    taken = _taken(name, scorer)

    def rule(output: StoredOutput) -> Verdict:
        try:
            said = scorer(**{key: getattr(output, key) for key in taken})
        except (LimitExceededError, MissingExtraError):  # of our verifier, which a scorer may call
            raise
        # The scorer is not ours and may raise anything.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            return Verdict(
                Outcome.UNVERIFIABLE, None, "error", f"{type(error).__name__}: {error}"[:200]
            )
        return as_verdict(name, said)

    return rule


def _taken(name: str, scorer: Any) -> tuple[str, ...]:
    """Return the fields of an output that a scorer is called with."""
    if not callable(scorer):
        raise ConfigError(f"protocol {name!r} is a {type(scorer).__name__}, which cannot be called")
    if (
        inspect.iscoroutinefunction(scorer)
        or inspect.isgeneratorfunction(scorer)
        or inspect.isasyncgenfunction(scorer)
    ):
        raise ConfigError(
            f"protocol {name!r} is asynchronous or a generator; a scorer is a plain function that"
            " returns a verdict"
        )
    try:
        parameters = inspect.signature(scorer).parameters
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"protocol {name!r} does not say what it takes; wrap it in a function of your own"
        ) from error
    positional = [
        key for key, one in parameters.items() if one.kind is inspect.Parameter.POSITIONAL_ONLY
    ]
    if positional:
        listed = ", ".join(map(repr, positional))
        raise ConfigError(
            f"protocol {name!r} takes {listed} by position only; a scorer is called by keyword:"
            " remove the slash"
        )
    takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    needed = [
        key
        for key, one in parameters.items()
        if one.default is inspect.Parameter.empty and one.kind not in variable
    ]
    missing = [key for key in needed if key not in SEEN]
    if missing:
        raise ConfigError(
            f"protocol {name!r} needs {', '.join(map(repr, missing))}; a scorer may take"
            f" {', '.join(SEEN)}"
        )
    taken = SEEN if takes_all else tuple(key for key in parameters if key in SEEN)
    if not taken:
        raise ConfigError(
            f"protocol {name!r} looks at nothing of an output; a scorer may take {', '.join(SEEN)}"
        )
    return taken


def as_verdict(name: str, said: Any) -> Verdict:
    """Convert a scorer's return value (bool, 0 or 1, None, Outcome or Verdict) to a verdict.

    Raises:
        StateError: The scorer returned something else.
    """
    if isinstance(said, Verdict):
        _check_verdict(name, said)
        return replace(said, decided_by=said.decided_by or "scorer")
    if isinstance(said, Outcome):
        return Verdict(said, decided_by="scorer")
    if said is None:
        return Verdict(
            Outcome.UNVERIFIABLE, decided_by="scorer", reason="the scorer could not tell"
        )
    # A number of NumPy or torch, or an array of none of its dimensions.
    number = said.item() if getattr(said, "ndim", None) == 0 else said
    if isinstance(number, bool | int | float) and number in (0, 1):
        return Verdict(Outcome.CORRECT if number else Outcome.INCORRECT, decided_by="scorer")
    shown = " ".join(repr(said).split())[:100]
    raise StateError(
        f"protocol {name!r} returned {shown}; it may return True, False, 1, 0, None, an Outcome or"
        " a Verdict"
    )


def _check_verdict(name: str, said: Verdict) -> None:
    # Verdicts are written to files and read back: what is no text would fail there, after all
    # outputs were scored.
    if not isinstance(said.outcome, Outcome):
        raise StateError(
            f"protocol {name!r} returned a Verdict with the outcome {said.outcome!r}, which is no"
            " Outcome"
        )
    if not isinstance(said.decided_by, str) or not isinstance(said.extraction, str | None):
        raise StateError(
            (
                f"protocol {name!r} returned a Verdict whose decided_by or extraction is no text:"
                f" {said!r}"
            )[:300]
        )
