"""The size of an image, for each way in which image processors choose it: limits, longest shapes.

A `limit_` function takes an image processor of transformers and `max_pixels`, the most pixels that
the model may get of one image, tiles and an overview counted together. It only ever lowers a limit.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from vasari.core.errors import ConfigError


def limit_area(images: Any, max_pixels: int) -> None:
    """Limit height times width of a processor that resizes to an area (Qwen-VL)."""
    _limit_area(images, max_pixels, frames=1)


def limit_area_of_frames(images: Any, max_pixels: int) -> None:
    """Limit height times width of a processor that counts an image as several frames (GLM-4V)."""
    _limit_area(images, max_pixels, frames=int(images.temporal_patch_size))


def _limit_area(images: Any, max_pixels: int, *, frames: int) -> None:
    _require(max_pixels, (int(images.patch_size) * int(images.merge_size)) ** 2)
    size = _size(images)
    longest = min(max_pixels * frames, int(size.get("longest_edge", max_pixels * frames)))
    shortest = int(size.get("shortest_edge", 56 * 56))
    images.size = {"shortest_edge": min(shortest, longest), "longest_edge": longest}


def limit_fixed(images: Any, max_pixels: int) -> None:
    """Change nothing: images have one size (Gemma 3), which has to be small enough."""
    size = _size(images)
    crops = int(images.pan_and_scan_max_num_crops) if images.do_pan_and_scan else 0
    _require(max_pixels, int(size["height"]) * int(size["width"]) * (1 + crops))


def limit_edge(images: Any, max_pixels: int) -> None:
    """Limit the longest edge of a processor that cuts square tiles (SmolVLM, Idefics3).

    A square image of n x n tiles comes with an overview of one tile, unless n is 1.
    """
    tile = int(images.max_image_size["longest_edge"])
    num_tiles = _require(max_pixels, tile**2)
    edge = tile * max(1, math.isqrt(num_tiles - 1))
    images.size = {"longest_edge": min(edge, int(_size(images).get("longest_edge") or edge))}


def limit_tiles(images: Any, max_pixels: int) -> None:
    """Limit the number of tiles of a processor that adds an overview to several (InternVL)."""
    size = _size(images)
    num_tiles = _require(max_pixels, int(size["height"]) * int(size["width"]))
    images.max_patches = min(int(images.max_patches), max(1, num_tiles - 1))
    images.min_patches = min(int(images.min_patches), images.max_patches)


def limit_soft_tokens(images: Any, max_pixels: int) -> None:
    """Limit the tokens of an image to one of the numbers that the processor allows (Gemma 4)."""
    pixels = (int(images.patch_size) * int(images.pooling_kernel_size)) ** 2
    # transformers' `_SUPPORTED_SOFT_TOKENS`.
    allowed = (70, 140, 280, 560, 1120)
    most = _require(max_pixels, allowed[0] * pixels) * allowed[0]
    most = max(count for count in allowed if count * pixels <= max_pixels or count == most)
    images.max_soft_tokens = min(int(images.max_soft_tokens), most)


def limit_lfm2(images: Any, max_pixels: int) -> None:
    """Limit tokens of a small image, and number of tiles of a large one (LFM2-VL)."""
    pixels = (int(images.encoder_patch_size) * int(images.downsample_factor)) ** 2
    tokens = min(int(images.max_image_tokens), _require(max_pixels, pixels))
    # A large image comes as tiles and, as an overview, as a small one.
    num_tiles = (max_pixels - tokens * pixels) // int(images.tile_size) ** 2
    if num_tiles < int(images.min_tiles):
        images.do_image_splitting = False
    else:
        images.max_tiles = min(int(images.max_tiles), num_tiles)
    images.max_image_tokens = tokens
    images.min_image_tokens = min(int(images.min_image_tokens), tokens)


def limit_pinpoints(images: Any, max_pixels: int) -> None:
    """Shrink images for which the processor would choose too many tiles (LLaVA).

    The list of allowed resolutions stays as it is, since the model reads the same list from its own
    configuration.
    """
    size = _size(images)
    tile = int(size.get("shortest_edge") or min(size["height"], size["width"])) ** 2
    few = [list(pair) for pair in images.image_grid_pinpoints]
    few = [pair for pair in few if pair[0] * pair[1] + tile <= max_pixels]
    if not few:
        least = min(height * width for height, width in images.image_grid_pinpoints) + tile
        _require(max_pixels, least)
    kind: Any = type(images)
    images.__class__ = _shrinking(kind)
    images.few_pinpoints = few


def _shrunk(kind: Any, state: dict[str, Any]) -> Any:
    """Image processor of the class `_shrinking(kind)`, as it was before it was pickled."""
    made = object.__new__(_shrinking(kind))
    made.__dict__.update(state)
    return made


@lru_cache
def _shrinking(images: Any) -> Any:
    """Image processor class that shrinks an image until one of `few_pinpoints` is the best."""
    from transformers.image_processing_utils import select_best_resolution  # noqa: PLC0415

    def process_image(self: Any, image: Any, **kwargs: Any) -> Any:
        shape = (image.height, image.width)
        shrink = 1.0
        while list(select_best_resolution(shape, self.image_grid_pinpoints)) not in (
            self.few_pinpoints
        ):
            best = select_best_resolution(shape, self.few_pinpoints)
            shrink *= 0.99 * min(1.0, best[0] / shape[0], best[1] / shape[1])
            shape = (max(1, int(image.height * shrink)), max(1, int(image.width * shrink)))
        if shape != (image.height, image.width):
            image = image.resize((shape[1], shape[0]), self.resample)
        return images.process_image(self, image, **kwargs)

    def reduce(self: Any) -> tuple[Any, ...]:
        return _shrunk, (images, self.__dict__)

    return type(images.__name__, (images,), {"process_image": process_image, "__reduce__": reduce})


def ratio_of_smart_resize(images: Any) -> float:  # noqa: ARG001  (others look at the processor)
    """Return 200: longer images are refused by the `smart_resize` of transformers."""
    return 200.0


def ratio_of_lfm2(images: Any) -> float:
    """Return the ratio at which an image one token high has the most tokens of an image."""
    return float(images.max_image_tokens)


def _size(images: Any) -> dict[str, Any]:
    return {key: value for key, value in dict(images.size).items() if value is not None}


def _require(max_pixels: int, least: int) -> int:
    """Return how often `least` goes into `max_pixels`, at least once."""
    if max_pixels < least:
        raise ConfigError(
            f"max_pixels is {max_pixels}, but this model takes at least {least} pixels of an image:"
            f" set max_pixels to {least} or more, or leave it out"
        )
    return max_pixels // least
