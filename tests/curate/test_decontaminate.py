"""Benchmark prompts are found in the training pool, copied or reworded; figures and numbers of
their own are kept."""

from dataclasses import replace

import pytest

from vasari.core.errors import DataError
from vasari.curate.match.decontaminate import BenchmarkIndex, LeakSettings
from vasari.curate.match.image_hash import index_images

QUESTION = "In triangle ABC, AB = 3 and BC = 4. Find the length of AC."


@pytest.fixture
def leaks(make_prompt, draw_figure):
    tests = [
        make_prompt("test-0", QUESTION, "5", image=draw_figure(1)),
        make_prompt("test-1", "Find x.", "7", image=draw_figure(2)),
    ]

    def find(*prompts, **options):
        index = BenchmarkIndex(tests, index_images(tests, crops=True), LeakSettings(**options))
        return [
            (row.id, row.reason, row.collided_with)
            for row in index.leaks(prompts, index_images(prompts))
        ]

    return find


@pytest.mark.parametrize(
    "cut", [(0, 0, 0, 0), (0.05, 0.05, 0.05, 0.05), (0.05, 0, 0, 0.05), (0.02, 0.03, 0.03, 0.02)]
)
def test_a_cut_resized_recompressed_copy_with_other_punctuation_is_found(
    leaks, make_prompt, draw_figure, copy_image, cut
):
    image = copy_image(draw_figure(1), scale=0.7, cut=cut)
    edited = "In triangle ABC: AB = 3, and BC = 4; find the length of AC"
    assert leaks(make_prompt("a", edited, "5", image=image)) == [
        ("a", "benchmark_leak_copy", "test-0")
    ]


def test_other_words_with_the_same_numbers_over_the_same_figure_are_found(
    leaks, make_prompt, draw_figure
):
    reworded = make_prompt(
        "a",
        "How long is AC when BC measures 4 and AB measures 3 in ABC?",
        "5",
        image=draw_figure(1),
    )
    assert leaks(reworded) == [("a", "benchmark_leak_paraphrase", "test-0")]
    assert leaks(reworded, paraphrases=False) == []


@pytest.mark.parametrize(
    ("question", "answer", "seed"),
    [
        (QUESTION.replace("4", "6"), "5", 1),
        (QUESTION, "6", 1),
        (QUESTION, "5", 3),
        ("In triangle ABC, AB = 3 and BC = 4. Find the perimeter.", "12", 1),
    ],
)
def test_another_number_answer_or_figure_is_no_leak(
    leaks, make_prompt, draw_figure, question, answer, seed
):
    assert leaks(make_prompt("a", question, answer, image=draw_figure(seed))) == []


def test_a_copy_inside_a_longer_instruction_is_found(leaks, make_prompt, draw_figure):
    longer = f"Please solve the problem step by step. {QUESTION} Put the answer in a box."
    assert leaks(make_prompt("a", longer, "5", image=draw_figure(1))) == [
        ("a", "benchmark_leak_copy", "test-0")
    ]


def test_a_text_copy_is_found_where_no_figure_can_be_compared(leaks, make_prompt):
    assert leaks(make_prompt("a", QUESTION, "5")) == [("a", "benchmark_leak_text", "test-0")]
    assert leaks(make_prompt("b", "Find x.", "7")) == []


def test_a_copy_among_several_images_is_found(leaks, make_prompt, draw_figure):
    prompt = make_prompt("a", QUESTION, "5", image=draw_figure(9))
    both = replace(prompt, images=(*prompt.images, *make_prompt("", image=draw_figure(1)).images))
    assert leaks(both) == [("a", "benchmark_leak_copy", "test-0")]


def test_a_benchmark_without_crops_is_refused(make_prompt, draw_figure):
    prompts = [make_prompt("a", image=draw_figure(1))]
    with pytest.raises(
        DataError, match=r"need index_images\(prompts, crops=True\) of these 1 benchmark prompts"
    ):
        BenchmarkIndex(prompts, index_images(prompts))
    with pytest.raises(DataError, match=r"crops=False\) of these 1 prompts"):
        BenchmarkIndex([], index_images([], crops=True)).leaks(
            prompts, index_images(prompts, crops=True)
        )


def test_thresholds_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"min_containment\n.*less than or equal to 1"):
        LeakSettings(min_containment=2)
    with pytest.raises(ValueError, match=r"max_bits\n.*greater than or equal to 0"):
        LeakSettings(max_bits=-1)
    with pytest.raises(ValueError, match=r"min_words\n.*greater than or equal to 1"):
        LeakSettings(min_words=0)
