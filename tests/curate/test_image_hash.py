"""Hashes: near for copies, far for other drawings; and equal to the DCT written out."""

import math

import numpy as np
import pytest
from PIL import Image

from vasari.curate.match.image_hash import (
    COPY_RADIUS,
    CROP_RADIUS,
    hamming,
    hash_crops,
    hash_thumbnails,
    thumbnail,
)
from vasari.data.images import open_image


def test_the_hash_is_the_dct_written_out():
    pixels = np.random.default_rng(0).integers(0, 256, size=(128, 128)).astype(np.uint8)
    # By the definition: average 2 x 2 pixels, then sum over x and y of g cos(pi u (x + 1/2) / 64)
    # cos(pi v (y + 1/2) / 64).
    grey = pixels.astype(float).reshape(64, 2, 64, 2).mean(axis=(1, 3))
    cosine = [[math.cos(math.pi * u * (x + 0.5) / 64) for x in range(64)] for u in range(16)]
    waves = np.einsum("ux,xy,vy->uv", cosine, grey, cosine).ravel()
    bits = np.packbits(waves > np.sort(waves)[127]).view(np.uint64)
    assert hamming(hash_thumbnails([pixels])[0], bits) == 0
    assert int(np.bitwise_count(bits).sum()) == 128


def test_the_first_crop_is_the_whole_image(draw_figure):
    shown = [thumbnail(draw_figure(seed)) for seed in range(3)]
    assert hash_crops(shown).shape == (3, 25, 4)
    assert np.array_equal(hash_crops(shown)[:, 0], hash_thumbnails(shown))


def test_chunks_change_nothing(draw_figure):
    shown = [thumbnail(draw_figure(seed)) for seed in range(5)]
    assert np.array_equal(hash_thumbnails(shown, chunk=2), hash_thumbnails(shown))


def test_no_image_gives_no_hash():
    assert hash_thumbnails([]).shape == (0, 4)


@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_a_resized_and_recompressed_copy_is_near(draw_figure, copy_image, scale):
    shown = [draw_figure(seed) for seed in range(8)]
    copies = [thumbnail(open_image(copy_image(image, scale=scale))) for image in shown]
    assert (
        hamming(hash_thumbnails(copies), hash_thumbnails([thumbnail(i) for i in shown])).max()
        <= COPY_RADIUS
    )


@pytest.mark.parametrize(
    "cut",
    [(0.05, 0, 0, 0), (0.05, 0.05, 0.05, 0.05), (0.025, 0.05, 0.025, 0), (0.01, 0.04, 0.04, 0.01)],
)
def test_a_cut_copy_is_near_one_of_the_crops(draw_figure, copy_image, cut):
    shown = [draw_figure(seed) for seed in range(8)]
    copies = hash_thumbnails(
        [thumbnail(open_image(copy_image(image, scale=0.75, cut=cut))) for image in shown]
    )
    nearest = hamming(copies[:, None], hash_crops([thumbnail(i) for i in shown])).min(axis=1)
    assert nearest.max() <= CROP_RADIUS


def test_other_drawings_are_far(draw_figure):
    codes = hash_thumbnails([thumbnail(draw_figure(seed)) for seed in range(30)])
    apart = hamming(codes[:, None], codes[None])[~np.eye(30, dtype=bool)]
    assert apart.min() > CROP_RADIUS


def test_a_blank_image_has_a_hash():
    assert hash_thumbnails([thumbnail(Image.new("RGB", (3, 500), "white"))]).shape == (1, 4)


@pytest.mark.parametrize("grey", [2, 77, 128, 255])
def test_a_flat_image_hashes_as_its_copies_do_and_not_as_noise(grey):
    flat = thumbnail(Image.new("RGB", (90, 60), (grey,) * 3))
    lighter = thumbnail(Image.new("RGB", (200, 500), (grey - 1,) * 3))
    assert hamming(hash_thumbnails([flat]), hash_thumbnails([lighter])).tolist() == [0]
    assert hamming(hash_crops([flat]), hash_thumbnails([lighter])[:, None]).max() == 0
