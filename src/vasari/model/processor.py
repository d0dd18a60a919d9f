"""Loading and saving processors, among them Qwen2.5-VL's without torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoProcessor, AutoTokenizer
from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.processing_utils import ProcessorMixin

from vasari.core.errors import StateError


class ImageTextProcessor(Qwen2_5_VLProcessor):  # type: ignore[misc]
    """Qwen2.5-VL processor for images and text only, which works without torchvision."""

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        **_: Any,
    ) -> None:
        self.image_token = "<|image_pad|>"  # noqa: S105  (a vocabulary entry)
        self.video_token = "<|video_pad|>"  # noqa: S105
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


def load_processor(path: str, *, max_pixels: int | None = None) -> Any:
    """Load a model's saved processor; pads left, scales images to at most `max_pixels` pixels.

    Raises:
        StateError: The folder exists but holds no readable processor.
    """
    local = Path(path)
    try:
        if local.is_dir() and (local / "preprocessor_config.json").exists():
            processor = _load_image_text(path)
        else:
            processor = AutoProcessor.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise StateError(f"{path}: no processor can be loaded from it: {error}") from error
    processor.tokenizer.padding_side = "left"
    processor.tokenizer.truncation_side = "left"
    if max_pixels is not None:
        size = dict(processor.image_processor.size)
        size["longest_edge"] = min(max_pixels, int(size.get("longest_edge", max_pixels)))
        size["shortest_edge"] = min(int(size.get("shortest_edge", 56 * 56)), size["longest_edge"])
        processor.image_processor.size = size
    return processor


def _load_image_text(path: str) -> ImageTextProcessor:
    tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    image_processor = Qwen2VLImageProcessorPil.from_pretrained(path)
    return ImageTextProcessor(
        image_processor=image_processor, tokenizer=tokenizer, chat_template=tokenizer.chat_template
    )


def save_processor(processor: Any, path: str | Path) -> None:
    """Write a processor's tokenizer, chat template and image settings to the folder `path`."""
    processor.tokenizer.save_pretrained(str(path))
    processor.image_processor.save_pretrained(str(path))
