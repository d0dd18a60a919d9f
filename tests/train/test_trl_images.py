"""Each rollout of a batch gets its own images back, whatever the layout of the model's processor.

The batches are made here as TRL's documentation of `split_pixel_values_by_grid` describes them;
tests/models makes them with real processors.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.model.encoded_prompts import model_inputs
from vasari.train.trl_batch import with_images_by_rollout
from vasari.train.trl_images import IMAGES, by_rollout

COUNTS = st.lists(st.integers(0, 3), min_size=1, max_size=6).filter(any)
"""Images of each rollout."""


class Model:
    def forward(self, input_ids, pixel_values=None):
        """Of a model that is not told how many images a prompt has."""


class CountingModel:
    def forward(self, input_ids, pixel_values=None, batch_num_images=None):
        """As LLaVA-OneVision's."""


def marks(counts):
    """The value of every pixel of an image: 10 x rollout + place + 1, since 0 is padding."""
    return [10 * row + place + 1 for row, count in enumerate(counts) for place in range(count)]


def grid(counts):
    """Image m has m patches (Qwen, GLM)."""
    values = marks(counts)
    return {
        "pixel_values": torch.tensor([m for m in values for _ in range(m)])[:, None],
        "image_grid_thw": torch.tensor([[1, 1, m] for m in values]),
    }


def positions(counts):
    """One row an image (Gemma 4)."""
    values = torch.tensor(marks(counts))
    return {"pixel_values": values[:, None, None], "image_position_ids": values[:, None, None]}


def tiles(counts):
    """Image m has m tiles (InternVL)."""
    values = marks(counts)
    per_row = [sum(own) for own in torch.tensor(values).split(counts)]
    return {
        "pixel_values": torch.tensor([m for m in values for _ in range(m)])[:, None, None, None],
        "num_tiles": [int(own) for own in per_row],
    }


def shapes(counts):
    """As tiles, each with a mask and a shape (LFM2-VL)."""
    found = tiles(counts)
    values = found["pixel_values"][:, :, 0, 0]
    return found | {
        "pixel_values": values[:, :, None],
        "pixel_attention_mask": values,
        "spatial_shapes": values.repeat(1, 2),
    }


def flat(counts):
    """One row an image (Gemma 3)."""
    return {"pixel_values": torch.tensor(marks(counts))[:, None, None, None]}


def sizes(counts):
    """One row an image, with its size (LLaVA)."""
    values = torch.tensor(marks(counts))
    return {
        "pixel_values": values[:, None, None, None, None],
        "image_sizes": values[:, None].repeat(1, 2),
    }


def samples(counts):
    """One row a rollout, padded to the most images (SmolVLM, Idefics3)."""
    pixels = torch.zeros(len(counts), max(counts), 1, 2, 2)
    for row, count in enumerate(counts):
        for place in range(count):
            pixels[row, place] = 10 * row + place + 1
    return {"pixel_values": pixels, "pixel_attention_mask": (pixels[:, :, 0] > 0).long()}


LAYOUTS = {f.__name__: f for f in (grid, positions, tiles, shapes, flat, sizes, samples)}


def seen(inputs):
    """The marks of the images that a model is given, in order, and of padded ones none."""
    values = inputs["pixel_values"].flatten().tolist()
    return sorted({int(value) for value in values if value}, key=values.index)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(counts=COUNTS)
def test_each_rollout_gets_its_own_images(layout, counts):
    rows = by_rollout({"num_images": counts, **LAYOUTS[layout](counts)})
    for row, count in enumerate(counts):
        expected = [10 * row + place + 1 for place in range(count)]
        assert (seen(model_inputs([rows[row]], Model())) if count else []) == expected
        assert (rows[row] != {}) == bool(count)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(counts=COUNTS)
def test_every_field_of_an_image_stays_with_its_pixels(layout, counts):
    batch = LAYOUTS[layout](counts)
    for row in by_rollout({"num_images": counts, **batch}):
        for name in row.keys() & {"image_position_ids", "spatial_shapes", "image_sizes"}:
            assert set(row[name].flatten().tolist()) == set(row["pixel_values"].flatten().tolist())


@pytest.mark.parametrize("layout", LAYOUTS)
@given(counts=COUNTS, data=st.data())
def test_chosen_rollouts_of_two_batches_are_shown_their_own_images(layout, counts, data):
    # So that no image of the second has a mark of the first.
    others = [0] * len(counts) + data.draw(COUNTS)
    rows = [
        row
        for own in (counts, others)
        for row in by_rollout({"num_images": own, **LAYOUTS[layout](own)})
    ]
    chosen = data.draw(st.permutations(range(len(rows))))[: data.draw(st.integers(1, len(rows)))]
    given_to_model = model_inputs([rows[place] for place in chosen], Model())
    expected = [mark for place in chosen for mark in seen_alone(rows[place])]
    assert (seen(given_to_model) if expected else given_to_model) == (expected or {})


def seen_alone(row):
    return seen(model_inputs([row], Model())) if row else []


def test_as_many_rollouts_as_images_are_not_taken_for_one_image_each():
    """TRL compares the two numbers, and would give the third rollout the first one's image."""
    rows = by_rollout({"num_images": [2, 0, 1], **samples([2, 0, 1])})
    assert [seen_alone(row) for row in rows] == [[1, 2], [], [21]]


def test_padding_of_a_generation_does_not_bind_the_other():
    few, many = ({"num_images": own, **samples(own)} for own in ([1], [3]))
    joined = model_inputs([*by_rollout(many), *by_rollout(few)], Model())
    assert joined["pixel_values"].shape == (2, 3, 1, 2, 2)
    assert joined["pixel_attention_mask"].sum((2, 3)).tolist() == [[4, 4, 4], [4, 0, 0]]


def test_a_model_that_treats_a_lone_image_otherwise_is_told_which_are_alone():
    rows = by_rollout({"num_images": [2, 0, 1], **sizes([2, 0, 1])})
    assert model_inputs(rows, CountingModel())["batch_num_images"].tolist() == [2, 1]
    assert "batch_num_images" not in model_inputs(rows[1:2], CountingModel())


def test_a_batch_without_images_has_no_field_of_them():
    assert by_rollout({"num_images": None}) is None
    batch = with_images_by_rollout({"advantages": torch.zeros(2)})
    assert IMAGES not in batch


def test_the_fields_of_images_give_way_to_one():
    batch = with_images_by_rollout(
        {"advantages": torch.zeros(2), "num_images": [1, 0], **shapes([1, 0])}
    )
    assert batch.keys() == {"advantages", IMAGES}
    assert [bool(own) for own in batch[IMAGES]] == [True, False]


def test_images_of_a_layout_that_nobody_knows_are_refused():
    with pytest.raises(ConfigError, match=r"pixel_values has 5 rows, and 3 images should have 3"):
        by_rollout({"num_images": [2, 1], "pixel_values": torch.zeros(5, 3, 8, 8)})
