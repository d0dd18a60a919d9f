"""What is refused without asking anybody, and which set a prompt goes to."""

from __future__ import annotations

import dataclasses
import struct
import zlib

import pytest
from PIL import Image

pytest.importorskip("aiohttp")

from vasari.core.errors import ConfigError
from vasari.curate.choose.select import routed, select_rl, select_sft
from vasari.curate.recipe import CheckSettings, RlPart, SftRecipe
from vasari.curate.run.checks import Checker
from vasari.curate.stage import RL_PART, Dropped, StageResult, check_result
from vasari.records import ImageRef, Prompt


def prompt(**changes):
    fields = {
        "id": "p",
        "question": "How long?",
        "answer": "5",
        "metadata": {"licence": "CC BY-NC 4.0", "domain": "math"},
    }
    return Prompt(**(fields | changes))


def reason(one, **settings):
    result = Checker(CheckSettings(**settings)).check([one])
    return result.dropped[0].reason if result.dropped else ""


@pytest.fixture
def picture(tmp_path):
    def make(name="a.png", size=(40, 30)):
        Image.new("L", size, 200).save(tmp_path / name)
        return ImageRef(path=str(tmp_path / name))

    return make


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ""),
        ({"licences": ["mit", "cc by*"]}, ""),
        ({"licences": ["MIT"]}, "licence_not_wanted"),
        ({"not_licences": ["*nc*"]}, "licence_not_wanted"),
        ({"not_licences": ["CC BY 4.0"]}, ""),
        ({"max_question_chars": 8}, "question_too_long"),
    ],
)
def test_a_prompt_is_refused_by_licence_or_length(settings, expected):
    assert reason(prompt(), **settings) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"answer": "not read", "kind": "number"}, "reference_not_verifiable"),
        ({"answer": "C", "choices": ("one", "two")}, "reference_not_verifiable"),
        ({"answer": "B", "choices": ("one", "two")}, ""),
        ({"question": "See <image> and <image>."}, "image_marks"),
    ],
)
def test_a_prompt_that_nothing_could_answer_is_refused(changes, expected):
    assert reason(prompt(**changes)) == expected


def test_a_reference_that_does_not_verify_may_be_kept_on_request():
    assert reason(prompt(answer="not read", kind="number"), self_verifying=False) == ""


def test_images_are_refused_when_damaged_small_large_or_many(picture, tmp_path):
    whole = picture()
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    # A few bytes that claim 60,000 x 60,000 pixels.
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )
    (tmp_path / "bomb.png").write_bytes(bomb)

    assert reason(prompt(images=(whole,))) == ""
    assert reason(prompt(images=(ImageRef(path=str(tmp_path / "cut.png")),))) == "image_unreadable"
    assert reason(prompt(images=(ImageRef(path=str(tmp_path / "bomb.png")),))) == "image_unreadable"
    assert reason(prompt(images=(ImageRef(path=str(tmp_path / "none.png")),))) == "image_unreadable"
    assert reason(prompt(images=(picture("small.png", (40, 8)),))) == "image_too_small"
    assert reason(prompt(images=(whole,)), max_pixels=1000) == "image_unreadable"
    assert reason(prompt(images=(whole,) * 3), max_images=2) == "too_many_images"


def test_an_image_that_is_seen_again_has_the_facts_of_the_first_look(picture, tmp_path):
    one, copy = picture("a.png"), picture("b.png")
    checker = Checker(CheckSettings())

    checker.check([prompt(images=(one,))])
    first = checker.facts
    checker.check([prompt(images=(copy,))])

    assert list(checker.facts) == [copy.path]
    assert checker.facts[copy.path] == first[one.path]


def pool():
    told = [("math", "hard"), ("math", "medium"), ("puzzle", "hard"), ("chart", "hard")]
    return [
        prompt(id=f"p{n}", difficulty=bin_name, metadata={"domain": domain})
        for n, (domain, bin_name) in enumerate(told)
    ]


def test_a_prompt_belongs_to_the_first_part_of_the_rl_set_that_takes_it():
    parts = [
        RlPart(name="math", target=1, domains=("math",), bins=("hard",)),
        RlPart(name="rest", target=1),
    ]

    result = select_rl(pool(), parts)

    assert {one.id: one.metadata[RL_PART] for one in result.kept} == {
        "p0": "math",
        "p2": "rest",
        "p3": "rest",
    }
    assert [(drop.id, drop.reason) for drop in result.dropped] == [("p1", "bin_not_wanted")]


def test_a_domain_that_no_part_names_is_not_wanted():
    result = select_rl(pool(), [RlPart(name="math", target=1, domains=("math", "puzzle"))])

    assert [(drop.id, drop.reason) for drop in result.dropped] == [("p3", "domain_not_wanted")]


def test_supervised_training_takes_domains_bins_and_solutions():
    prompts = [dataclasses.replace(one, solution="So it is 5.") for one in pool()[:3]] + pool()[3:]

    result = select_sft(prompts, SftRecipe(domains=("math", "chart"), bins=("hard",)))

    assert [one.id for one in result.kept] == ["p0"]
    assert [drop.reason for drop in result.dropped] == [
        "bin_not_wanted",
        "domain_not_wanted",
        "no_solution",
    ]


def test_what_a_stage_is_not_wanted_for_stays_in_its_place():
    def stage(prompts):
        assert [one.id for one in prompts] == ["p0", "p2", "p3"]
        kept = tuple(dataclasses.replace(one, category="seen") for one in (prompts[0], prompts[2]))
        return StageResult(
            kept=kept, dropped=(Dropped(index=1, id="p2", reason="no"),), counts={"n": 3}
        )

    result = routed(pool(), lambda one: one.id != "p1", stage)

    assert [(one.id, one.category) for one in result.kept] == [
        ("p0", "seen"),
        ("p1", ""),
        ("p3", "seen"),
    ]
    assert [(drop.index, drop.id) for drop in result.dropped] == [(2, "p2")]
    assert result.counts == {"n": 3}


def test_a_stage_that_loses_a_prompt_is_refused():
    with pytest.raises(
        ConfigError,
        match=r"stage 'mine' was given 4 prompts and decided about 3 kept and 0 dropped",
    ):
        check_result(StageResult(kept=tuple(pool()[:3]), dropped=()), 4, stage="mine")
