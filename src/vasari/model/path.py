"""Finding a recipe's model: a folder, a hub name, or the base model inside the package."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from importlib import resources
from pathlib import Path

from vasari.core.errors import MissingExtraError, StateError

SHIPPED = {"vasari:tiny-base": "tiny_base"}
"""Models inside the package, by their name in a recipe."""
_PRINTED = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*/*.jinja", "*.model", "*.txt")
"""Files that decide what a model answers: weights, settings, chat templates, tokenizer."""
_NOT_PRINTED = ("training_args.bin", "trainer_state.json")
"""Files of a checkpoint that a model's answers do not depend on."""


def resolve_model(path: str, folder: Path | None = None, *, setting: str = "model.path") -> str:
    """Return the folder or Hugging Face hub name that a recipe's `model.path` stands for.

    Args:
        path: As the recipe has it.
        folder: What a relative path starts from, the recipe's folder; None: the working folder.
        setting: What the user gave it as, for messages.

    Raises:
        StateError: A `vasari:` name that does not exist, or a path that is no folder.
    """
    if path in SHIPPED:
        return str(resources.files("vasari") / "assets" / SHIPPED[path])
    if path.startswith("vasari:"):
        raise StateError(f"model {path!r} does not ship with vasari; there are {sorted(SHIPPED)}")
    given = Path(path).expanduser()
    found = (folder or Path()) / given
    if found.is_dir():
        return str(found)
    if given.is_dir() and folder is not None:
        raise StateError(
            f"{setting} {path!r}: paths are relative to the recipe, and {found} is no folder; from"
            f" there it is {os.path.relpath(given, folder)!r}"
        )
    if path.startswith((".", "/", "~")) or path.count("/") > 1:  # a hub's name has one at most
        raise StateError(f"{setting} {path!r}: there is no folder {found}")
    return path


def fingerprint(folder: Path) -> str:
    """Return a digest of a model folder: weights, settings, templates; a hub name unchanged.

    Of an adapter that lies in a folder alone, the base model that it names counts too.
    """
    if not folder.is_dir():
        return str(folder)
    digest = hashlib.blake2b(digest_size=16)
    found = {file for pattern in _PRINTED for file in folder.glob(pattern)} - {
        folder / name for name in _NOT_PRINTED
    }
    for file in sorted(found):
        digest.update(file.relative_to(folder).as_posix().encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "blake2b").digest())
    if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        base = settings.get("base_model_name_or_path")
        digest.update(fingerprint(Path(base)).encode() if base else b"")
    return digest.hexdigest()


def require_training() -> None:
    """Raise if a package for training is missing; else silence the messages of transformers.

    Raises:
        MissingExtraError: A package of `vasari[train]` is missing.
    """
    needed = ("torch", "transformers", "trl", "accelerate", "peft", "datasets")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"training and evaluation need {', '.join(missing)}: pip install 'vasari[train]'"
        )
    from transformers.utils import logging  # noqa: PLC0415  (takes seconds to import)

    logging.set_verbosity_error()
    logging.disable_progress_bar()
