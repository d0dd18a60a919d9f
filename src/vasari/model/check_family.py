"""A check that every model family must pass, ours or a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from vasari.core.errors import ConfigError
from vasari.model.base import Decoding
from vasari.model.check import example_prompts
from vasari.model.families import IMAGE_FIELDS, Family, use_family, vision_modules
from vasari.model.processor import load_processor, tokenizer_of
from vasari.model.sampling import never_sampled_ids
from vasari.model.transformers_policy import TransformersPolicy, load_model

_GREEDY = Decoding(num_rollouts=1, temperature=0.0, max_tokens=3)
_SIZES = ((64, 48), (120, 90))
"""Width and height of the images that are shown, in pixels."""


def check_family(family: Family, path: str) -> None:
    """Test a family of vision-language models on one of them; raise AssertionError if it is wrong.

    Args:
        family: The family; in this process, it is used from now on.
        path: Folder of a small model of the family, with its processor; a few layers are enough.

    Raises:
        AssertionError: A field is wrong; the message says which.
    """
    use_family(family)
    model, processor = load_model(path, dtype="float32").eval(), load_processor(path)
    _require(
        model.config.model_type in family.model_types,
        f"model_types {family.model_types} lacks {model.config.model_type!r}",
    )
    found = vision_modules(model, family)
    _require(bool(found), f"vision: the model has none of the modules {family.vision}")
    _check_layout(family, processor)
    _check_tokens(family, model, processor)
    _check_limit(family, path)
    _check_pixels_matter(model, processor, found)
    _check_mixed(model, processor)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _inputs(processor: Any, *sizes: tuple[int, int], seed: int = 0) -> Mapping[str, Any]:
    """What a processor makes of a question with images of random pixels."""
    pixels = np.random.default_rng(seed)
    images = [
        Image.fromarray(pixels.integers(1, 256, (height, width, 3), dtype=np.uint8))
        for width, height in sizes
    ]
    content = [*({"type": "image", "image": image} for image in images)]
    content.append({"type": "text", "text": "What is it?"})
    inputs: Mapping[str, Any] = processor.apply_chat_template(
        [[{"role": "user", "content": content}]],
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    return inputs


def _check_layout(family: Family, processor: Any) -> None:
    """Check that a batch holds images as `layout` says."""
    one, other = (_inputs(processor, size) for size in _SIZES)
    both = _inputs(processor, *_SIZES)
    known = {name for fields in IMAGE_FIELDS.values() for name in fields}
    extra = known & set(both) - set(IMAGE_FIELDS[family.layout])
    _require(not extra, f"layout {family.layout!r} has no {', '.join(sorted(extra))}")
    rows = [len(inputs["pixel_values"]) for inputs in (one, other, both)]
    expected = {
        "samples": lambda: rows == [1, 1, 1],
        "flat": lambda: rows == [1, 1, 2],
        "positions": lambda: rows == [1, 1, 2] and "image_position_ids" in both,
        "grid": lambda: rows[2] == int(both["image_grid_thw"].prod(-1).sum()),
        "shapes": lambda: rows[2] == len(both["spatial_shapes"]),
        "tiles": lambda: rows[2] == rows[0] + rows[1],
    }
    try:
        holds = expected[family.layout]()
    except KeyError as error:
        raise AssertionError(
            f"layout {family.layout!r}: the processor gives no {error}, but {sorted(both)}"
        ) from error
    _require(
        holds,
        f"layout {family.layout!r}: pixel_values have {rows} rows for an image, another and both",
    )
    counted = "batch_num_images" in both
    _require(
        counted == family.counts_images,
        f"counts_images is {family.counts_images}, and the processor gives"
        f" {'a' if counted else 'no'} batch_num_images",
    )


def _check_tokens(family: Family, model: Any, processor: Any) -> None:
    """Check that all tokens in the place of an image are known as such."""
    never = set(never_sampled_ids(model, tokenizer_of(processor)))
    with_image, without = (
        set(_inputs(processor, *sizes)["input_ids"].flatten().tolist()) for sizes in (_SIZES, ())
    )
    special = tokenizer_of(processor).added_tokens_decoder
    placed = {token for token in with_image - without if token in special}
    unknown = tokenizer_of(processor).convert_ids_to_tokens(sorted(placed - never))
    _require(
        not unknown,
        f"image_markers or never_sampled lack {', '.join(unknown)}: in a prompt with an image, and"
        " in none without",
    )
    _require(bool(family.image_markers), "image_markers are missing: they find typed tokens")


def _check_limit(family: Family, path: str) -> None:
    """Check that `limit_pixels` only ever lowers, and refuses what is too little."""
    if family.limit_pixels is None:
        return
    stock, same = load_processor(path), load_processor(path, max_pixels=10**9)
    for name, value in _inputs(stock, *_SIZES).items():
        _require(
            bool(
                torch.equal(torch.as_tensor(value), torch.as_tensor(_inputs(same, *_SIZES)[name]))
            ),
            f"limit_pixels: {name} are others under a limit that no image reaches",
        )
    try:
        load_processor(path, max_pixels=1)
    except ConfigError:
        return
    raise AssertionError("limit_pixels takes a limit of one pixel, which no image can keep to")


def _check_pixels_matter(model: Any, processor: Any, vision: Mapping[str, Any]) -> None:
    """Check that the modules of `vision` see the pixels, and that the answer depends on them."""
    seen: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: seen.append(name))
        for name, module in vision.items()
    ]
    with torch.no_grad():
        model(**_inputs(processor))
        _require(not seen, f"vision: {', '.join(seen)} ran on text without an image")
        one, other = (model(**_inputs(processor, *_SIZES, seed=seed)).logits for seed in (0, 1))
    for hook in hooks:
        hook.remove()
    # Those for sound do not.
    _require(bool(seen), f"vision: none of {', '.join(vision)} ran on an image")
    _require(not torch.equal(one, other), "other pixels change nothing of what the model says")


def _check_mixed(model: Any, processor: Any) -> None:
    """Check that prompts without, with one and with several images do not disturb each other."""
    policy = TransformersPolicy(model, processor, system="")
    prompts = example_prompts("red", "blue")
    together = policy.generate(prompts, _GREEDY, seed=0)
    for prompt, (rollout,) in zip(prompts, together, strict=True):
        ((alone,),) = policy.generate([prompt], _GREEDY, seed=0)
        _require(
            alone.token_ids.tolist() == rollout.token_ids.tolist(),
            f"a prompt with {len(prompt.images)} images is answered otherwise beside others: the"
            " batch does not keep images apart",
        )
