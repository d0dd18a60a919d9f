"""Pairs of a reference and a response with a label that the oracle has confirmed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from metamorphic.drafts import Rule
from metamorphic.oracle import OracleError, check
from metamorphic.wrappers import fitting, in_latex, is_math

_ATTEMPTS = 60
"""Tries for a pair that the rule has not made yet."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A response to grade, its reference, and the right verdict."""

    kind: str
    rule: str
    variant: str
    wrapper: str
    reference: str
    response: str
    choices: tuple[str, ...] | None
    right: bool
    formula: bool = False
    """Whether the reference is math, which Math-Verify wants between dollar signs."""
    latex: str = ""
    """The response with an answer that is math in LaTeX, which Math-Verify wants as well."""


def pairs_of(rule: Rule, count: int, seed: int) -> Iterator[Pair]:
    """Yield different pairs of a rule; the same for the same seed, whatever other rules there are.

    Raises:
        OracleError: The oracle does not confirm a label, or the rule has too few different pairs.
    """
    rng = Random(f"{seed} {rule.kind} {rule.name} {rule.right}")
    seen: set[tuple[str, str, tuple[str, ...] | None]] = set()
    for _ in range(count):
        for _ in range(_ATTEMPTS):
            pair = _pair(rule, rng)
            key = pair.reference, pair.response, pair.choices
            if key not in seen:
                break
        else:
            raise OracleError(f"{rule.kind}, {rule.name}: only {len(seen)} different pairs")
        seen.add(key)
        yield pair


def _pair(rule: Rule, rng: Random) -> Pair:
    draft = rule.make(rng)
    try:
        check(draft.answer.value, draft.reference.value, right=rule.right)
    except OracleError as error:
        raise OracleError(f"{rule.kind}, {rule.name}: {error}") from error
    wrapper = rng.choice(fitting(draft))
    same = Random()
    same.setstate(rng.getstate())
    response = wrapper.write(draft.answer, draft.thought, rng)
    return Pair(
        rule.kind,
        rule.name,
        draft.variant,
        wrapper.name,
        draft.reference.text,
        response,
        draft.choices,
        rule.right,
        formula=draft.reference.tex or is_math(draft.reference.text),
        latex=wrapper.write(in_latex(draft.answer), draft.thought, same),
    )


def all_pairs(rules: Sequence[Rule], per_rule: int, seed: int) -> Iterator[Pair]:
    """Yield the pairs of all rules, rule after rule."""
    for rule in rules:
        yield from pairs_of(rule, per_rule, seed)
