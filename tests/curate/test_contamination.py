"""Which benchmark prompts stand in a training set: every pair is found, counted once a benchmark
prompt, and shown."""

from __future__ import annotations

import pytest

from vasari.curate.match.contamination import contamination
from vasari.curate.match.decontaminate import BenchmarkIndex
from vasari.curate.match.image_hash import index_images
from vasari.records import ImageRef

QUESTION = "In triangle ABC, AB = 3 and BC = 4. Find the length of AC."
REWORDED = "How long is AC when BC measures 4 and AB measures 3 in ABC?"


@pytest.fixture
def tests(make_prompt, draw_figure):
    """A benchmark of three prompts, two of them the same problem in two versions."""
    return [
        make_prompt("v1", QUESTION, "5", image=draw_figure(1)),
        make_prompt("v2", REWORDED, "5", image=draw_figure(1)),
        make_prompt(
            "other",
            "In triangle DEF, DE = 6. Find the length of the side EF if it is twice as long.",
            "12",
        ),
    ]


@pytest.fixture
def training(make_prompt, draw_figure, copy_image):
    """A copy, the same reworded, and two prompts of its own."""
    return [
        make_prompt("own", "Find the area of the square.", "9", image=draw_figure(7)),
        make_prompt("copy", QUESTION, "5", image=copy_image(draw_figure(1), scale=0.7)),
        make_prompt("reworded", "BC is 4, AB is 3: what is AC in ABC?", "5", image=draw_figure(1)),
        make_prompt("numbers", QUESTION.replace("4", "6"), "5", image=draw_figure(1)),
    ]


def test_every_version_of_a_benchmark_problem_is_found(tests, training):
    (found,) = contamination([training], {"quiz": tests}).benchmarks
    assert [(item.id, item.rule, item.num_training) for item in found.found] == [
        ("v1", "copy", 2),
        ("v2", "paraphrase", 2),
    ]
    assert [prompt for prompt, _, _ in found.found[0].training] == ["copy", "reworded"]
    # Two of three prompts, held by two of four training prompts.
    assert (found.share, found.num_training) == (pytest.approx(2 / 3), 2)
    assert found.by_rule == {"copy": 1, "paraphrase": 1, "text": 0}


def test_the_parts_of_the_training_set_make_no_difference(tests, training):
    whole = contamination([training], {"quiz": tests})
    assert contamination([training[:1], [], training[1:3], training[3:]], {"quiz": tests}) == whole


def test_the_first_occurrence_of_each_prompt_is_what_is_dropped(tests, training):
    index = BenchmarkIndex(tests, index_images(tests, crops=True))
    images = index_images(training)
    first: dict[int, int] = {}
    for found in index.occurrences(training, images):
        first.setdefault(found.prompt, found.benchmark)
    assert [(drop.index, drop.collided_with) for drop in index.leaks(training, images)] == [
        (prompt, tests[place].id) for prompt, place in first.items()
    ]


def test_a_clean_training_set_has_no_row_of_its_own(tests, training):
    report = contamination([training[:1]], {"quiz": tests})
    assert report.benchmarks[0].found == ()
    assert "| quiz | 3 | 0 | 0.00% | 0 | 0 | 0 | 0 | 0 |" in report.as_markdown()


def test_an_image_that_cannot_be_read_is_counted_and_not_compared(tests, make_prompt):
    broken = make_prompt("broken", QUESTION, "5", image=ImageRef(data=b"no image"))
    report = contamination([[broken]], {"quiz": [*tests, broken]})
    assert (report.num_training_unreadable, report.benchmarks[0].num_unreadable) == (1, 1)
    assert report.benchmarks[0].found == ()


def test_many_copies_are_counted_and_the_first_ten_listed(tests, make_prompt, draw_figure):
    copies = [make_prompt(f"c{n}", QUESTION, "5", image=draw_figure(1)) for n in range(25)]
    item = contamination([copies], {"quiz": tests[:1]}).benchmarks[0].found[0]
    assert (item.num_training, len(item.training)) == (25, 10)


def test_progress_is_told_by_training_prompts(tests, training):
    told = []
    contamination(
        [training[:3], training[3:]],
        {"quiz": tests},
        num_training=4,
        tell=lambda done, total: told.append((done, total)),
    )
    assert told == [(3, 4), (4, 4)]
