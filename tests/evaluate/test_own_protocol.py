"""A scorer of one's own as a protocol: what it may take and return."""

import json

import numpy as np
import pytest

from vasari.core.errors import ConfigError, StateError
from vasari.evaluate.protocols import (
    PROTOCOLS,
    StoredOutput,
    file_name_of,
    read_row,
    scoring_protocol,
)
from vasari.evaluate.protocols.check import check_protocol
from vasari.evaluate.protocols.user_rule import user_rule
from vasari.records import Outcome, Verdict

OUTPUT = StoredOutput(benchmark="own", id="1", response="It is 4.", answer="4", choices=("3", "4"))


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (True, Outcome.CORRECT),
        (1, Outcome.CORRECT),
        (1.0, Outcome.CORRECT),
        (np.bool_(True), Outcome.CORRECT),
        (np.float64(0.0), Outcome.INCORRECT),
        (np.array(1), Outcome.CORRECT),
        (False, Outcome.INCORRECT),
        (None, Outcome.UNVERIFIABLE),
        (Outcome.INCORRECT, Outcome.INCORRECT),
        (Verdict(Outcome.CORRECT, "4", "own"), Outcome.CORRECT),
    ],
)
def test_what_a_scorer_says_is_a_verdict(said, outcome):
    assert user_rule("own", lambda response: said)(OUTPUT).outcome is outcome


@pytest.mark.parametrize(
    "said",
    ["yes", 0.5, 2, [True], {"correct": True}, float("nan"), np.array([1, 0]), np.array([1])],
)
def test_anything_else_ends_the_scoring(said):
    with pytest.raises(
        StateError, match=r"protocol 'own' returned .*; it may return True, False, 1, 0, None"
    ):
        user_rule("own", lambda response: said)(OUTPUT)


@pytest.mark.parametrize(
    "verdict", [Verdict("correct"), Verdict(Outcome.CORRECT, 4), Verdict(Outcome.CORRECT, None, 4)]
)
def test_a_verdict_that_could_not_be_read_back_ends_the_scoring(verdict):
    with pytest.raises(StateError, match=r"protocol 'own' returned a Verdict (with|whose)"):
        user_rule("own", lambda response: verdict)(OUTPUT)


def test_a_scorer_is_given_what_it_names():
    seen = {}

    def scorer(response, answer, choices, benchmark, *, kind, tolerance=0.1):
        seen.update(
            response=response,
            answer=answer,
            choices=choices,
            benchmark=benchmark,
            kind=kind,
            tolerance=tolerance,
        )
        return True

    user_rule("own", scorer)(OUTPUT)
    asked_for = {"response": "It is 4.", "answer": "4", "choices": ("3", "4"), "benchmark": "own"}
    assert seen == asked_for | {"kind": None, "tolerance": 0.1}


def test_a_scorer_reads_facts_of_its_own_in_the_metadata_of_a_row():
    def within(response, answer, metadata):
        return abs(float(response) - float(answer)) <= metadata["tolerance"]

    row = {
        "benchmark": "own",
        "id": "1",
        "response": "4.2",
        "answer": "4",
        "metadata": {"tolerance": 0.5},
    }
    near, far = (read_row(row | {"response": said}) for said in ("4.2", "4.6"))
    rule = user_rule("own", within)
    assert (rule(near).outcome, rule(far).outcome) == (Outcome.CORRECT, Outcome.INCORRECT)


def test_our_verifier_compares_a_row_as_its_kind_says():
    row = {"benchmark": "own", "id": "1", "response": "\\boxed{2.50}", "answer": "2.5"}
    number, text = (
        scoring_protocol("vasari").verdict(read_row(row | {"kind": kind}))
        for kind in ("number", "text")
    )
    assert (number.outcome, text.outcome) == (Outcome.CORRECT, Outcome.INCORRECT)


@pytest.mark.parametrize(
    "error", [IndexError("no such place"), SystemExit(3), RecursionError("too deep"), MemoryError()]
)
def test_an_exception_of_its_own_leaves_one_output_undecided(error):
    def scorer(response):
        raise error

    verdict = user_rule("own", scorer)(OUTPUT)
    assert (verdict.outcome, verdict.decided_by) == (Outcome.UNVERIFIABLE, "error")
    assert verdict.reason.startswith(type(error).__name__)


async def _asynchronous(response):
    return True


def _positional(response, /):
    return True


def _generator(response):
    yield True


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (3, "is a int, which cannot be called"),
        (lambda response, image: True, "needs 'image'; a scorer may take benchmark, id, response"),
        (lambda: True, "looks at nothing of an output"),
        (lambda *responses: True, "looks at nothing of an output"),
        (_positional, "takes 'response' by position only"),
        (_asynchronous, "is asynchronous or a generator"),
        (_generator, "is asynchronous or a generator"),
        (PROTOCOLS["vasari"], "is a ScoringProtocol, which cannot be called"),
    ],
)
def test_what_is_no_scorer_is_one_line(scorer, message):
    with pytest.raises(ConfigError, match=message):
        user_rule("own", scorer)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROTOCOLS)
def test_our_protocols_keep_the_contract(name):
    check_protocol(name)


def _last_word(response, answer):
    return response.rstrip(".").endswith(answer)


def _counting(response, seen=[]):  # noqa: B006  (what it keeps between two calls is the fault)
    seen.append(response)
    return len(seen) < 40


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (
            lambda response: "right",
            r"on the response '.*' to the reference '12': .* may return True, False",
        ),
        (lambda response: True, "an empty response was found correct"),
        (
            lambda response, answer: answer in response or not response,
            "an empty response was found correct",
        ),
        (_counting, "two verdicts on the response"),
        (
            lambda response: response.split()[-1] == "12",
            r"on the response '' .* it raised IndexError",
        ),
        (
            lambda response: int(response) == 12 if response.isdecimal() else False,
            r"on the response '9999.* it raised ValueError",
        ),
        (
            lambda response: bool(response.encode()) and response == "12",
            r"it raised UnicodeEncodeError",
        ),
        (
            lambda response: json.loads(response) == 12 if response[:1] == "[" else False,
            r"it raised RecursionError",
        ),
    ],
)
def test_a_broken_scorer_is_named(scorer, message):
    with pytest.raises(AssertionError, match=message):
        check_protocol(scorer)


def test_a_sound_scorer_passes_with_a_right_output_of_its_own_form():
    check_protocol(_last_word)
    check_protocol(
        _last_word,
        right=StoredOutput(benchmark="own", id="1", response="So it is red.", answer="red"),
    )


def test_a_scorer_that_does_not_find_the_right_output_right_is_named():
    right = StoredOutput(benchmark="own", id="1", response="So it is Red.", answer="red")
    with pytest.raises(
        AssertionError,
        match=(
            r"the response 'So it is Red.' to the reference 'red' must be correct, and is incorrect"
        ),
    ):
        check_protocol(_last_word, right=right)


def test_a_file_is_named_after_a_protocol_on_every_system():
    names = ["my_pkg.scorers:mine", "my_pkg:scorers.mine", "paper:rules", "paper", "rules"]
    assert file_name_of(names[0]) == "my_pkg.scorers-mine"
    # Verdicts before a judge was asked lie in verdicts.NAME.rules.jsonl.
    assert (
        len(
            {
                f"verdicts.{file_name_of(name)}{end}"
                for name in names
                for end in (".jsonl", ".rules.jsonl")
            }
        )
        == 10
    )
