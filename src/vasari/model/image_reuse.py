"""Encoding an image once for all rollouts of a prompt.

A group's rollouts share their images, but a trainer passes the model one copy of the pixels for
each rollout, and the vision encoder is most of a small model's work. Images do not attend to each
other, so equal pixels give equal features: the encoder runs on the distinct images and its output
is copied. Gradients add up.
"""

from __future__ import annotations

from typing import Any

import torch

from vasari.model.families import without_adapters


def reuse_image_features(model: Any) -> None:
    """Patch a Qwen2.5-VL model to encode equal images of a batch only once.

    Again has no effect, nor has it on other families, whose encoders put out other things.
    """
    base = without_adapters(model)
    if base.config.model_type != "qwen2_5_vl" or hasattr(base.model.visual, "encodes_repeats_once"):
        return
    visual = base.model.visual
    encode = visual.forward

    def forward(hidden_states: torch.Tensor, grid_thw: torch.Tensor, **kwargs: Any) -> Any:
        keep, source = distinct_images(hidden_states, grid_thw)
        if len(keep) == len(source):
            return encode(hidden_states, grid_thw=grid_thw, **kwargs)
        lengths = grid_thw.prod(-1).tolist()
        patches = torch.split(hidden_states, lengths)
        output = encode(torch.cat([patches[i] for i in keep]), grid_thw=grid_thw[keep], **kwargs)
        unit = visual.spatial_merge_size**2
        features = torch.split(output.pooler_output, [lengths[i] // unit for i in keep])
        output.pooler_output = torch.cat([features[i] for i in source])
        return output

    visual.forward = forward
    visual.encodes_repeats_once = True


def distinct_images(patches: torch.Tensor, grid_thw: torch.Tensor) -> tuple[list[int], list[int]]:
    """Return the indices of the distinct images, and for each image its position among them.

    Args:
        patches: [patches, pixels] of all images, one after the other.
        grid_thw: [images, 3] patches in time, height and width.
    """
    lengths = grid_thw.prod(-1).tolist()
    images = torch.split(patches, lengths)
    # A cheap sum finds candidates, an exact comparison decides: two images that only look alike
    # stay two.
    sums = [
        tuple(grid) + tuple(image[:: max(1, len(image) // 8)].sum(0)[:16].tolist())
        for grid, image in zip(grid_thw.tolist(), images, strict=True)
    ]
    seen: dict[tuple[float, ...], list[int]] = {}
    keep: list[int] = []
    source: list[int] = []
    for index, key in enumerate(sums):
        match = next(
            (
                place
                for place in seen.get(key, [])
                if torch.equal(images[keep[place]], images[index])
            ),
            None,
        )
        if match is None:
            match = len(keep)
            keep.append(index)
            seen.setdefault(key, []).append(match)
        source.append(match)
    return keep, source
