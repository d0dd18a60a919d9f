"""Loading and saving of transformers' own processors, with torchvision and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer
from transformers.models.auto.processing_auto import (
    PROCESSOR_MAPPING_NAMES,
    processor_class_from_name,
)
from transformers.utils import is_torchvision_available

from vasari.core.errors import ConfigError, MissingExtraError, StateError
from vasari.model.config import load_config, one_line, read_model_file
from vasari.model.families import Family, family_of, family_of_processor
from vasari.model.source_files import read_source_files, write_source_files
from vasari.model.template import join_parts_for, set_thinking, tokenizer_of
from vasari.model.without_videos import without_videos

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
"""Files of which a folder with a tokenizer has one at least."""

__all__ = ["load_processor", "save_processor", "tokenizer_of"]


def load_processor(
    path: str, *, max_pixels: int | None = None, thinking: bool | None = None
) -> Any:
    """Load the processor that a model was published with; of a text-only model, its tokenizer.

    It is the class that `AutoProcessor` opens. Where torchvision is not installed, it has no video
    processor and resizes images with Pillow. It pads left.

    Args:
        path: A model folder, or a name on the Hugging Face hub.
        max_pixels: Most pixels of an image, in the family's own way; None for the source's limit.
        thinking: Whether the chat template asks for a reasoning, where it has a switch for that
            (`enable_thinking`); None for the template's own choice.

    Raises:
        StateError: No readable processor or chat template is there.
        MissingExtraError: The processor needs a package that is not installed.
        ConfigError: The family is not supported, or cannot keep to `max_pixels` or `thinking`.
    """
    family, processor = _open(path)
    _pad_left(processor)
    if not processor.chat_template:  # a processor's own goes first
        processor.chat_template = tokenizer_of(processor).chat_template
    if not processor.chat_template:
        raise StateError(
            f"{path}: the model has no chat template, so that it cannot be prompted: take its"
            " instruction-tuned version, or put a chat_template.jinja into the folder"
        )
    if isinstance(processor.chat_template, str):
        join_parts_for(processor)
    if thinking is not None:
        set_thinking(processor, thinking=thinking)
    if max_pixels is not None:
        _limit_pixels(processor, family, max_pixels)
    # On the tokenizer, since a processor writes out all of its attributes when it is saved.
    tokenizer_of(processor).source_files = read_source_files(path)
    return processor


def save_processor(processor: Any, path: str | Path) -> None:
    """Write a processor into a folder: the very files it was loaded from, or its settings.

    The files are those that the source had, so that a limit on pixels is not in them, and the
    source need not be there any more. A processor that was made in memory, or whose source has
    links that lead elsewhere, is written by transformers.
    """
    tokenizer = tokenizer_of(processor)
    files = getattr(tokenizer, "source_files", None)
    if files:
        write_source_files(files, Path(path))
        return
    processor.save_pretrained(str(path))
    if processor is not tokenizer:
        # transformers reads the video processor's settings from this file, if it has no other.
        processor.image_processor.save_pretrained(str(path))


def _open(path: str) -> tuple[Family, Any]:
    """Family of a model, and its processor as transformers opens it."""
    family, kind = _family_and_class(path)
    if family.needs_torchvision and not is_torchvision_available():
        raise MissingExtraError(
            f"{path}: the image processor of {family.name} needs torchvision: pip install"
            " 'vasari[vision]', with the torchvision that goes with your torch"
        )
    _require_files(path, images=family.layout != "none")
    try:
        return family, kind.from_pretrained(path, trust_remote_code=False)
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: its processor cannot be loaded: {one_line(error)}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"{path}: no processor can be loaded from it: {one_line(error)}"
        ) from error


def _require_files(path: str, *, images: bool) -> None:
    """Raise if a folder lacks the files of a tokenizer or, for `images`, of an image processor."""
    folder = Path(path)
    if not folder.is_dir():
        return
    needed: dict[str, tuple[str, ...]] = {"a tokenizer": _TOKENIZER_FILES}
    if images:
        needed["an image processor"] = ("preprocessor_config.json", "processor_config.json")
    lacking = {
        part: " or ".join(names)
        for part, names in needed.items()
        if not any((folder / name).is_file() for name in names)
    }
    if lacking:
        raise StateError(
            f"{path}: lacks the files of {' and '.join(lacking)} ({', '.join(lacking.values())});"
            " copy them from the model that it was trained from"
        )


def _pad_left(processor: Any) -> None:
    tokenizer = tokenizer_of(processor)
    tokenizer.padding_side = tokenizer.truncation_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if processor is tokenizer:
        # Some tokenizers also give token types, which no causal model takes.
        tokenizer.model_input_names = ["input_ids", "attention_mask"]


def _family_and_class(path: str) -> tuple[Family, Any]:
    """Family of a model, and the class that its processor is loaded by.

    A folder may hold a processor without a model, whose family follows from the processor's class.
    """
    kind = _named_class(path)
    if kind is None or read_model_file(path, "config.json") is not None:
        config = load_config(path)
        family = family_of(config)
        kind = kind or processor_class_from_name(PROCESSOR_MAPPING_NAMES.get(config.model_type, ""))
    else:
        found = family_of_processor(kind.__name__)
        if found is None:
            raise ConfigError(f"{path}: {kind.__name__} is the processor of no supported family")
        family = found
    if family.layout == "none":
        return family, AutoTokenizer
    return family, kind if is_torchvision_available() else without_videos(kind)


def _named_class(path: str) -> Any:
    """Class of transformers that a model's files name for its processor; None if they name none."""
    for file in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        name = (read_model_file(path, file) or {}).get("processor_class")
        kind = processor_class_from_name(name) if name else None
        if kind is not None:
            return kind
    return None


def _limit_pixels(processor: Any, family: Family, max_pixels: int) -> None:
    if family.limit_pixels is None:
        raise ConfigError(f"max_pixels: a model of {family.name} reads no images; leave it out")
    family.limit_pixels(processor.image_processor, max_pixels)
