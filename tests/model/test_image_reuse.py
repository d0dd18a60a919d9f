import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import inputs_of

from vasari.model.image_reuse import distinct_images, reuse_image_features


def images_of(shapes, seed=0):
    """Patches of images with these (time, height, width) grids, and the grids."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(t * h * w, 6, generator=generator) for t, h, w in shapes], torch.tensor(
        shapes
    )


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_the_kept_images_rebuild_the_batch(picks):
    pictures, grids = images_of([(1, 2, 2), (1, 2, 2), (1, 4, 2), (1, 2, 4)])
    keep, source = distinct_images(torch.cat([pictures[i] for i in picks]), grids[picks])
    assert [picks[keep[place]] for place in source] == picks
    assert len(keep) == len(set(picks))


def test_images_that_differ_in_one_number_stay_two():
    (picture,), grid = images_of([(1, 4, 4)])
    other = picture.clone()
    other[-1, -1] += 1e-3
    assert distinct_images(torch.cat([picture, other]), grid.repeat(2, 1)) == ([0, 1], [0, 1])


def test_equal_pixels_in_another_shape_stay_two():
    (picture,), _ = images_of([(1, 4, 2)])
    assert distinct_images(torch.cat([picture, picture]), torch.tensor([[1, 4, 2], [1, 2, 4]])) == (
        [0, 1],
        [0, 1],
    )


@pytest.fixture
def encode(tiny_policy, image_prompts):
    """Features and weight gradients of the encoder for prompts with repeats, with a given model."""
    picks = [image_prompts[i] for i in (0, 0, 1, 0, 2, 1)]
    inputs = inputs_of(tiny_policy, picks, shown="shown")

    def run(model):
        model.zero_grad()
        features = model.model.visual(
            inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]
        ).pooler_output
        # Each copy pulls in another direction, so that gradients of copies must be added.
        (features * torch.arange(features.numel()).reshape(features.shape).cos()).sum().backward()
        return features.detach(), [w.grad.clone() for w in model.model.visual.parameters()]

    return run


@pytest.fixture
def both(tiny_policy):
    """The same model with and without reuse."""
    plain = copy.deepcopy(tiny_policy.model)
    visual = plain.model.visual
    del visual.__dict__["forward"], visual.__dict__["encodes_repeats_once"]
    return tiny_policy.model, plain


def test_features_of_repeated_images_equal_those_without_reuse(both, encode):
    reusing, plain = both
    torch.testing.assert_close(encode(reusing)[0], encode(plain)[0], atol=1e-6, rtol=0)


def test_gradients_equal_those_without_reuse(both, encode):
    reusing, plain = both
    for ours, theirs in zip(encode(reusing)[1], encode(plain)[1], strict=True):
        torch.testing.assert_close(
            ours, theirs, atol=1e-6 * max(1.0, float(theirs.abs().max())), rtol=1e-5
        )


def test_the_encoder_runs_on_each_distinct_image_once(tiny_policy, encode):
    seen = []
    visual = tiny_policy.model.model.visual
    visual.patch_embed.register_forward_hook(lambda module, args, output: seen.append(len(args[0])))
    encode(tiny_policy.model)
    assert seen == [3 * 16]  # three distinct images of 56 x 56 pixels in patches of 14 x 14


def test_asking_for_reuse_twice_wraps_once(tiny_model):
    reuse_image_features(tiny_model)
    first = tiny_model.model.visual.forward
    reuse_image_features(tiny_model)
    assert tiny_model.model.visual.forward is first
