"""Which verdicts of the verifier a judge may be asked about: a table by hand, from responses to the
rule."""

from __future__ import annotations

import pytest

from vasari.records import Outcome, Verdict
from vasari.verify import verify_answer
from vasari.verify.judge import is_undecided

ANIMALS = ("a cat", "a dog", "a cow")


@pytest.mark.parametrize(
    ("response", "answer", "choices", "kind", "undecided"),
    [
        ("<answer>feline</answer>", "cat", None, "text", True),
        ("<answer>cat</answer>", "cat", None, "text", False),
        ("<answer>blue and red</answer>", "red, white", None, "set", True),
        ("<answer>1, 2</answer>", "1, 3", None, "set", False),
        ("<answer>seven and a bit</answer>", "7", None, "number", True),
        ("<answer>8</answer>", "7", None, "number", False),
        ("<answer>8 cm</answer>", "7 cm", None, "number", False),
        ("<answer>8/2</answer>", "7", None, "number", False),
        ("<answer>the purring one</answer>", "A", ANIMALS, None, True),
        ("<answer>B</answer>", "A", ANIMALS, None, False),
        ("<answer>?</answer>", "A", ANIMALS, None, False),
        ("<answer>17</answer>", "A", ("12", "13", "14"), None, False),
        ("<answer>2x + 1 apples</answer>", "A", ("x", "2x", "3x"), None, True),
        ("<answer>a dog</answer>", "A", ANIMALS, None, False),
        ("<answer>A</answer><answer>B</answer>", "A", ANIMALS, None, False),
        ("I cannot tell, since the picture shows nothing that I could name with any certainty.", "7", None, None, False),
        ("", "cat", None, "text", False),
        ("<answer>cat</answer>", "", None, "text", False),
        ("<answer>seven</answer>", "not a number", None, "number", True),
    ],
)  # fmt: skip
def test_what_the_rules_leave_open(response, answer, choices, kind, undecided):
    assert (
        is_undecided(verify_answer(response, answer, choices, kind), answer, choices) is undecided
    )


def test_a_comparison_that_failed_on_our_side_is_open():
    assert is_undecided(
        Verdict(Outcome.UNVERIFIABLE, "x+1", "symbolic", "the symbolic worker died"), "1+x"
    )


def test_a_reference_outside_the_options_stays_unverifiable():
    assert not is_undecided(Verdict(Outcome.UNVERIFIABLE, None, "reference"), "F", ANIMALS)


@pytest.mark.parametrize("rule", ["no_answer", "ambiguous", "limit", "exact"])
def test_what_states_nothing_or_too_much_is_never_open(rule):
    assert not is_undecided(Verdict(Outcome.INCORRECT, "feline", rule), "cat")
