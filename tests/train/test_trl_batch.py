"""Rollouts of several generations become one batch, each with its own tokens and images."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.train.trl_batch import join_rollouts

PAD = 9


def generation(first, *, prompt, completion, images=None):
    """Rollouts first, first + 1 with these columns; rollout r has tokens r, and a pixel of value r
    for each of its images."""
    rows = torch.arange(first, first + 2)
    batch = {
        "prompt_ids": rows[:, None].repeat(1, prompt),
        "prompt_mask": torch.ones(2, prompt, dtype=torch.long),
        "completion_ids": rows[:, None].repeat(1, completion),
        "completion_mask": torch.ones(2, completion, dtype=torch.long),
        "advantages": rows.float(),
        "old_per_token_logps": -rows[:, None].float().repeat(1, completion),
        "num_items_in_batch": torch.tensor(2 * completion),
    }
    if images is not None:
        batch |= {
            "images": [
                {"pixel_values": torch.full((count,), row)} if count else {}
                for row, count in zip(rows.tolist(), images, strict=True)
            ],
            "mm_token_type_ids": torch.cat(
                [torch.ones(2, prompt), torch.zeros(2, completion)], 1
            ).long(),
        }
    return batch


def pixels(batch):
    return [own["pixel_values"].tolist() if own else [] for own in batch["images"]]


def test_prompts_grow_on_the_left_and_completions_on_the_right():
    joined = join_rollouts(
        [generation(0, prompt=1, completion=3), generation(2, prompt=2, completion=1)],
        [1, 2],
        pad_token_id=PAD,
    )
    assert joined["prompt_ids"].tolist() == [[PAD, 1], [2, 2]]
    assert joined["prompt_mask"].tolist() == [[0, 1], [1, 1]]
    assert joined["completion_ids"].tolist() == [[1, 1, 1], [2, PAD, PAD]]
    assert joined["completion_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert joined["old_per_token_logps"].tolist() == [[-1, -1, -1], [-2, 0, 0]]
    assert joined["advantages"].tolist() == [1, 2]
    assert "num_items_in_batch" not in joined


def test_token_types_grow_on_both_sides_and_are_text_where_there_was_no_image():
    outputs = [
        generation(0, prompt=1, completion=2, images=[1, 0]),
        generation(2, prompt=2, completion=1),
        generation(4, prompt=2, completion=1, images=[0, 2]),
    ]
    joined = join_rollouts(outputs, [0, 3, 5], pad_token_id=PAD)
    assert joined["mm_token_type_ids"].tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]
    assert pixels(joined) == [[0], [], [5, 5]]


def test_a_generation_of_which_nothing_is_chosen_widens_nothing():
    outputs = [
        generation(0, prompt=1, completion=1),
        generation(2, prompt=5, completion=5, images=[1, 1]),
    ]
    joined = join_rollouts(outputs, [0, 1], pad_token_id=PAD)
    assert joined["completion_ids"].tolist() == [[0], [1]]
    assert "images" not in joined


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=2), min_size=1, max_size=4), st.data()
)
def test_every_chosen_rollout_keeps_its_images_in_their_order(images, data):
    outputs = [
        generation(2 * n, prompt=n + 1, completion=4 - n, images=own)
        for n, own in enumerate(images)
    ]
    rows = sorted(data.draw(st.sets(st.integers(0, 2 * len(images) - 1), min_size=1)))
    counts = [count for own in images for count in own]
    joined = join_rollouts(outputs, rows, pad_token_id=PAD)
    assert joined["advantages"].tolist() == rows
    assert pixels(joined) == [[row] * counts[row] for row in rows]


@pytest.mark.parametrize(
    ("columns", "expected"), [((3, 1), [[2, 2, 2], [2, 1, 1]]), ((1, 1), [[2], [2]])]
)
def test_ratios_of_tokens_grow_by_one_and_ratios_of_rollouts_do_not(columns, expected):
    outputs = [generation(0, prompt=1, completion=3), generation(2, prompt=1, completion=1)]
    for output, width in zip(outputs, columns, strict=True):
        output["importance_sampling_ratio"] = torch.full((2, width), 2.0)
    assert (
        join_rollouts(outputs, [0, 2], pad_token_id=PAD)["importance_sampling_ratio"].tolist()
        == expected
    )


def test_a_field_that_nobody_told_how_to_join_is_refused():
    output = generation(0, prompt=1, completion=1) | {"surprise": torch.zeros(2)}
    with pytest.raises(
        ConfigError, match=r"cannot be joined over generations: 'surprise'; use grpo\.gate: all"
    ):
        join_rollouts([output], [0], pad_token_id=PAD)


def test_a_field_of_some_generations_only_is_refused():
    outputs = [generation(0, prompt=1, completion=1), generation(2, prompt=1, completion=1)]
    del outputs[1]["old_per_token_logps"]
    with pytest.raises(
        ConfigError, match=r"TRL gave 'old_per_token_logps' in some generations of a batch only"
    ):
        join_rollouts(outputs, [0, 2], pad_token_id=PAD)
