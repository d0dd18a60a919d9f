"""A model family of your own: LLaVA 1.5, one image after the other, one size for all images.

    python examples/own_family.py
In a recipe, with this file in the working folder and `--plugin own_family`:
    model: {path: llava-hf/llava-1.5-7b-hf, family: own_family:LLAVA}
"""

import sys

from transformers import LlavaConfig

from vasari.core.errors import ConfigError
from vasari.model.check_family import check_family
from vasari.model.families import Family, family_of, use_family


def limit(images, max_pixels: int) -> None:
    """Refuse a limit below the one size that images have."""
    pixels = images.crop_size["height"] * images.crop_size["width"]
    if max_pixels < pixels:
        raise ConfigError(f"max_pixels is {max_pixels}, and all images have {pixels} pixels")


LLAVA = Family(
    name="LLaVA",
    model_types=("llava",),
    layout="flat",  # a row of pixel_values an image
    vision=("vision_tower", "multi_modal_projector"),
    never_sampled=("image_token_index",),
    image_markers=(r"<image>",),
    limit_pixels=limit,
)


def main() -> None:
    """Use the family, and check it on a model of it, whose folder may be given."""
    use_family(LLAVA)
    print(f"{family_of(LlavaConfig()).name}: {LLAVA.layout}")
    for folder in sys.argv[1:]:
        check_family(LLAVA, folder)
        print(f"{folder}: right")


if __name__ == "__main__":
    main()
