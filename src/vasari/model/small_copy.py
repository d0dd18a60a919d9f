"""A small copy of a model: its classes, processor and template, with random small weights."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from transformers import AutoConfig, GenerationConfig

from vasari.core.errors import StateError
from vasari.core.files import read_json, write_json
from vasari.model.counting import model_class
from vasari.model.hub import hub_is_reachable
from vasari.model.processor import load_processor, save_processor
from vasari.model.published import published_facts
from vasari.model.published_files import write_published_files
from vasari.model.small_dimensions import differences, small_config
from vasari.model.transformers_policy import load_model

_NEEDED = ["*.json", "*.jinja", "*.txt", "*.model"]
"""Files of a published model without its weights."""


@dataclass(frozen=True, slots=True)
class SmallCopy:
    """What a small copy of a model was made of, and what in its config is another."""

    origin: str
    """Where config, processor and template come from, in words."""
    changes: tuple[tuple[str, Any, Any], ...]
    """Settings of the config that changed: path, value in the source, value in the copy."""
    num_parameters: int


def write_small_copy(source: str, folder: Path, *, texts: Iterable[str], seed: int) -> SmallCopy:
    """Write a small copy of a model, with random weights, into a folder.

    Without network, a published model that is not in the hub's cache is made from shipped facts.

    Args:
        source: A model folder or a hub name.
        folder: Where config, weights and processor go.
        texts: What a tokenizer is trained on, where that of the source is not at hand.
        seed: Of the weights.

    Raises:
        StateError: The source is neither on this machine, nor reachable, nor known.
    """
    with tempfile.TemporaryDirectory() as made:
        files, origin = _find(source, Path(made), texts)
        config = AutoConfig.from_pretrained(str(files), trust_remote_code=False)
        small = small_config(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = model_class(small).from_config(small, dtype=config.dtype or torch.float32)
        if (files / "generation_config.json").exists():
            model.generation_config = GenerationConfig.from_pretrained(str(files))
        model.save_pretrained(str(folder))
        save_processor(load_processor(str(files)), folder)
        _fit_images(folder, config, small)
        return SmallCopy(
            origin=origin,
            changes=tuple(differences(config, small)),
            num_parameters=sum(weight.numel() for weight in model.parameters()),
        )


def _find(source: str, made: Path, texts: Iterable[str]) -> tuple[Path, str]:
    """A folder with all files of the source but its weights, and where they are from."""
    if Path(source).is_dir():
        return Path(source), "the model's folder"
    try:
        cached = snapshot_download(source, allow_patterns=_NEEDED, local_files_only=True)
        if (Path(cached) / "config.json").exists():
            return Path(cached), "the hub's cache"
    except OSError:
        pass  # not in the cache
    if not constants.HF_HUB_OFFLINE and hub_is_reachable():
        try:
            return Path(snapshot_download(source, allow_patterns=_NEEDED)), "the hub"
        except (OSError, HfHubHTTPError) as error:
            reason = " ".join(str(error).split())
            raise StateError(f"{source}: the hub does not give its files: {reason}") from error
    if source not in published_facts()["models"]:
        raise StateError(
            f"{source}: not on this machine, and the hub cannot be reached; run `hf download"
            f" {source} --include '*.json' '*.jinja' '*.txt'` where there is a network, or name"
            " a folder"
        )
    write_published_files(source, made, texts)
    return made, (
        "shipped facts, since the hub cannot be reached: TRL's copy of the family's template, and a"
        " tokenizer trained on the prompts with the family's special tokens"
    )


def _fit_images(folder: Path, config: Any, small: Any) -> None:
    """Give a processor of images of one size the small size, where the model has become smaller."""
    tokens = getattr(small, "mm_tokens_per_image", None)
    if tokens is None or tokens == config.mm_tokens_per_image:
        return
    side = small.vision_config.image_size
    for name in ("preprocessor_config.json", "processor_config.json"):
        path = folder / name
        content = read_json(path) if path.exists() else {}
        for part in (content, content.get("image_processor") or {}):
            if "size" in part:
                part["size"] = {"height": side, "width": side}
            if "image_seq_length" in part:
                part["image_seq_length"] = tokens
        if content:
            write_json(path, content)


def rewrite_weights(source: Path, folder: Path) -> None:
    """Replace the weights in a model folder by those of another, in the folder's data type."""
    dtype = AutoConfig.from_pretrained(str(folder)).dtype
    model = load_model(str(source), dtype=str(dtype or torch.float32).removeprefix("torch."))
    model.save_pretrained(str(folder))
