"""Image and text must both agree; what is dropped names a prompt that is kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import DataError
from vasari.curate.match.image_hash import ImageIndex, index_images
from vasari.curate.match.near_duplicates import DuplicateSettings, near_duplicates
from vasari.records import ImageRef, Prompt


def dropped(*prompts, **options):
    return near_duplicates(prompts, index_images(prompts), DuplicateSettings(**options))


def test_a_recompressed_copy_with_other_punctuation_is_dropped_and_says_why(
    make_prompt, draw_figure, copy_image
):
    first = make_prompt("a", "Find x, if AB = 3.", image=draw_figure(1))
    (row,) = dropped(
        first, make_prompt("b", "find x if AB = 3", image=copy_image(draw_figure(1), scale=0.6))
    )
    assert (row.index, row.id, row.reason, row.collided_with) == (1, "b", "near_duplicate", "a")
    assert row.detail.startswith("words 1.00 alike, images ")


@pytest.mark.parametrize(
    "change",
    [
        {"question": "Find x if AB = 4."},
        {"question": "Find y if AB = 3."},
        {"question": "Find x if AC = 3."},
        {"answer": "6"},
        {"question": "Prove that nothing but x is drawn here, whatever AB = 3 may mean to you."},
    ],
)
def test_the_same_figure_with_another_question_is_kept(make_prompt, draw_figure, change):
    given = {"question": "Find x if AB = 3.", "answer": "5", "image": draw_figure(1)}
    assert dropped(make_prompt("a", **given), make_prompt("b", **{**given, **change})) == ()


def test_the_same_question_over_another_figure_is_kept(make_prompt, draw_figure):
    assert (
        dropped(make_prompt("a", image=draw_figure(1)), make_prompt("b", image=draw_figure(2)))
        == ()
    )


def test_the_same_figure_with_another_number_in_it_is_kept_by_its_answer(make_prompt, draw_figure):
    first = make_prompt("a", answer="12", image=draw_figure(1, label="3"))
    assert dropped(first, make_prompt("b", answer="16", image=draw_figure(1, label="4"))) == ()


TEXT = (
    "Anna walks from the station to the old town hall at 5 kilometres an hour and back at 3, how"
    " long is she away"
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TEXT, TEXT.replace("old", "new")),
        (TEXT, TEXT.replace("5", "6")),
        ("What is 12 + 5?", "What is 12 - 5?"),
        ("What is 2 * (3 + 4)?", "What is 2 * 3 + 4?"),
        ("Anna gives Ben 3 apples. Who has more?", "Ben gives Anna 3 apples. Who has more?"),
        ("Is 7 prime?", "Is 7 not prime?"),
        ("Find the largest of 3, 5 and 9.", "Find the smallest of 3, 5 and 9."),
        ("A rope is 5 m long.", "A rope is 5 cm long."),
        ("How many sides has a square?", "How many sides has a rhombus?"),
        ("If a = 2 and A = 3, what is a?", "If a = 2 and A = 3, what is A?"),
        ("小明比小红高5厘米，谁更高？", "小红比小明高5厘米，谁更高？"),
        ("小明有5个苹果", "小明有六个苹果"),
        ("x < 5", "x ≤ 5"),
    ],
)
def test_without_pictures_one_word_number_or_sign_makes_another_problem(make_prompt, one, other):
    assert dropped(make_prompt("a", one, "7"), make_prompt("b", other, "7")) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TEXT, TEXT.upper()),
        (TEXT, f"Please answer the following question.\n\n{TEXT} ?"),
        ("What is 1/2 of 12?", "what is $\\frac{1}{2}$ of twelve"),
        ("What is 3 × 4?", "What is  3 * 4 = ?"),
        ("In △ABC, ∠A = 80°.", "In triangle ABC, angle A = 80.0 degrees"),
        ("It’s “x”: find x².", "it's 'x'; find x^2"),
        ("小明有5个苹果。", "小明有五个苹果"),
    ],
)
def test_without_pictures_notation_and_instructions_make_no_other_problem(make_prompt, one, other):
    (row,) = dropped(make_prompt("a", one, "7"), make_prompt("b", other, "7.0"))
    assert row.detail == "same words, numbers, signs, options and answer, no images"


def test_options_count_in_any_order_and_wherever_they_stand():
    def prompt(identity, answer, choices=None, text="Which of these is prime?"):
        return Prompt(id=identity, question=text, answer=answer, choices=choices)

    listed = "Which of these is prime?\n(A) 9\n(B) 7\n(C) 4"
    rows = dropped(
        prompt("a", "A", ("7", "4", "9")),
        prompt("shuffled", "7", ("4", "7", "9")),
        prompt("listed", "B", text=listed),
        prompt("others", "A", ("7", "6", "8")),
        prompt("none", "7"),
    )
    assert [(row.id, row.collided_with) for row in rows] == [("shuffled", "a"), ("listed", "a")]


def test_options_that_speak_of_others_count_in_their_order():
    first, other = (
        Prompt(id=name, question="Which is prime?", answer="D", choices=choices)
        for name, choices in (
            ("a", ("2", "3", "4", "both of A and B")),
            ("b", ("4", "3", "2", "both of A and B")),
        )
    )
    assert dropped(first, other) == ()


def test_many_equal_texts_are_compared_once_each():
    same = Prompt(id="p", question="What is 2 + 3? " * 5, answer="5")
    told = []
    rows = near_duplicates(
        [same] * 20_000, index_images([same] * 20_000), tell=lambda *args: told.append(args)
    )
    assert len(rows) == 19_999
    assert told[-1] == (20_000, 20_000)


def test_progress_counts_the_comparisons_of_equal_words_over_different_images():
    def finished(count):
        rng = np.random.default_rng(0)
        image = ImageRef(path="drawn.png")
        prompts = [
            Prompt(id=str(n), question="Find x.", answer="5", images=(image,)) for n in range(count)
        ]
        index = ImageIndex(
            codes=rng.integers(0, 2**63, size=(count, 4), dtype=np.uint64),
            starts=np.arange(count + 1),
            members=np.arange(count),
            dropped=(),
        )
        told: list[tuple[int, int]] = []
        found = near_duplicates(prompts, index, tell=lambda *args: told.append(args))
        assert found == ()
        assert all(done <= total for done, total in told)
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        # Once read, what is left is known.
        assert len({total for done, total in told if done >= count}) == 1
        return told[-1]

    # Twice the images make four times the comparisons.
    (done, total), (more_done, more_total) = finished(2_000), finished(4_000)
    assert (done, more_done) == (total, more_total)
    assert 2.0 < (more_total - 4_000) / (total - 2_000) < 4.0


def test_a_text_question_is_no_copy_of_one_with_an_image(make_prompt, draw_figure):
    assert dropped(make_prompt("a"), make_prompt("b", image=draw_figure(1))) == ()


def test_several_images_agree_one_by_one(draw_figure, make_prompt):
    one, two = (
        make_prompt("i", image=draw_figure(1)).images[0],
        make_prompt("j", image=draw_figure(2)).images[0],
    )
    rows = [
        Prompt(id=name, question="Which?", answer="A", images=images)
        for name, images in [("a", (one, two)), ("b", (two, one)), ("c", (one, two)), ("d", (one,))]
    ]
    assert [(row.id, row.collided_with) for row in dropped(*rows)] == [("c", "a")]


def test_a_chain_of_copies_points_at_one_that_is_kept(make_prompt, draw_figure, copy_image):
    images = [
        draw_figure(1),
        copy_image(draw_figure(1), scale=0.6),
        copy_image(draw_figure(1), scale=1.3, quality=50),
    ]
    rows = dropped(*(make_prompt(str(i), image=images[i % 3]) for i in range(9)))
    assert [(row.index, row.collided_with) for row in rows] == [(i, "0") for i in range(1, 9)]


def test_a_damaged_image_costs_one_prompt(make_prompt, draw_figure):
    prompts = [
        make_prompt("a", image=ImageRef(data=b"no image")),
        make_prompt("b", image=draw_figure(1)),
        make_prompt("c"),
    ]
    found = index_images(prompts)
    assert [(row.index, row.id, row.reason) for row in found.dropped] == [
        (0, "a", "image_unreadable")
    ]
    assert near_duplicates(prompts, found) == ()


def test_equal_bytes_are_hashed_once(make_prompt, draw_figure):
    found = index_images([make_prompt(str(i), image=draw_figure(i % 2)) for i in range(6)])
    assert (len(found.codes), found.members.tolist()) == (2, [0, 1, 0, 1, 0, 1])


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Find x", "Find y.", "find X!", "Add 3"]), st.sampled_from("12")
        ),
        max_size=12,
    )
)
def test_what_is_left_has_no_duplicates_and_what_is_dropped_names_a_kept_one(rows):
    prompts = [
        Prompt(id=str(i), question=question, answer=answer)
        for i, (question, answer) in enumerate(rows)
    ]
    found = dropped(*prompts)
    gone = {row.id for row in found}
    kept = [prompt for prompt in prompts if prompt.id not in gone]
    assert not gone & {row.collided_with for row in found}
    assert all(int(row.collided_with) < row.index for row in found)
    assert dropped(*kept) == ()


def test_images_of_other_prompts_are_refused(make_prompt):
    with pytest.raises(
        DataError, match=r"need index_images\(prompts, crops=False\) of these 1 prompts"
    ):
        near_duplicates([make_prompt("a")], index_images([]))


def test_thresholds_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"max_bits\n.*less than or equal to 256"):
        DuplicateSettings(max_bits=300)
    with pytest.raises(ValueError, match=r"min_similarity\n.*greater than 0"):
        DuplicateSettings(min_similarity=0.0)


def test_no_prompts_give_no_duplicates():
    assert near_duplicates([], index_images([])) == ()
    assert index_images([]).starts.dtype == np.int64
