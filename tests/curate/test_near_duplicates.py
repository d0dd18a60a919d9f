"""Image and text must both agree; what is dropped names a prompt that is kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import DataError
from vasari.curate.match.image_hash import index_images
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


def test_a_changed_word_in_a_long_question_is_a_duplicate(make_prompt):
    words = (
        "Anna walks from the station to the old town hall at 5 kilometres an hour and back at 3,"
        " how long is she away"
    )
    (row,) = dropped(make_prompt("a", words), make_prompt("b", words.replace("old", "ancient")))
    assert row.detail.endswith("no images, same numbers, symbols and answer")


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
