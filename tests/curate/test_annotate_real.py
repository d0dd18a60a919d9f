"""Human rationales and real images, where VASARI_DATA names a folder of them: each fault is named,
and none is kept."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from vasari.curate.ask.annotate import AnnotateSettings, annotate
from vasari.curate.ask.rephrase import RephraseSettings, rephrase
from vasari.data.sources import read_source
from vasari.records import Outcome, Prompt
from vasari.verify import verify_answer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("VASARI_DATA" not in os.environ, reason="needs VASARI_DATA"),
]

# The teacher's faults, and the stage's names for them.
NAMES = {
    "good": "accepted",
    "wrong": "wrong_answer",
    "truncated": "truncated",
    "off_format": "off_format",
    "repetitive": "repetitive",
    "foreign": "wrong_language",
}


@pytest.fixture(
    scope="module", params=[("tabmwp", "val"), ("puzzlevqa", "test")], ids=lambda param: param[0]
)
def real(request):
    name, split = request.param
    rows = read_source(name, Path(os.environ["VASARI_DATA"]) / name, split=split, allow_test=True)
    return [row for row in itertools.islice(rows, 150) if isinstance(row, Prompt)]


def test_each_fault_in_real_rationales_is_refused_for_what_it_is(teach, asking, real):
    rates = {"wrong": 0.2, "truncated": 0.1, "off_format": 0.1, "repetitive": 0.1, "foreign": 0.1}
    server = teach(real, **rates)
    result = annotate(real, asking(server), AnnotateSettings(num_rationales=4, min_words=10))
    told = Counter({NAMES[kind]: count for kind, count in server.teacher.told.items()})
    assert {
        name.removeprefix("rationales_"): count for name, count in result.counts.items()
    } == told
    assert len(result.kept) == told["accepted"]
    original = {prompt.id: prompt.solution for prompt in real}
    assert all(prompt.solution == original[prompt.id].strip() for prompt in result.kept)


def test_no_request_about_a_real_prompt_holds_its_solution(teach, asking, real):
    server = teach(real)
    annotate(real[:40], asking(server), AnnotateSettings(num_rationales=1))
    for body, prompt in itertools.product(server.bodies, real[:40]):
        assert prompt.solution[-60:] not in json.dumps(body, ensure_ascii=False)


def test_real_prompts_that_are_rephrased_verify_and_have_no_options(teach, asking, real):
    result = rephrase(real, asking(teach(real, wrong=0.1, off_format=0.1)), RephraseSettings())
    assert len(result.kept) > 0.75 * len(real)
    assert {drop.reason for drop in result.dropped} <= {
        "answer_changed",
        "unreadable_reply",
        "needs_options",
    }
    for prompt in result.kept:
        assert prompt.choices is None
        assert (
            verify_answer(f"\\boxed{{{prompt.answer}}}", prompt.answer, None, prompt.kind).outcome
            is Outcome.CORRECT
        )
