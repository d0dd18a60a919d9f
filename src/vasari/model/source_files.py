"""The files of a processor as its source has them: read when it is loaded, written when saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from transformers.utils import cached_file
from transformers.utils.hub import list_repo_templates

from vasari.core.files import write_bytes

_TEMPLATES = "additional_chat_templates"
_NAMES = (
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
"""Files that processors and tokenizers of transformers are saved in; no others are copied."""


def read_source_files(path: str) -> dict[str, bytes]:
    """Return the contents of a processor's files by name, from a folder or the hub's cache.

    None at all where one of them is a link that leads out of the folder: a copy of a model must not
    carry what it does not hold.
    """
    found = _in_folder(Path(path)) if Path(path).is_dir() else _in_hub(path)
    return {name: file.read_bytes() for name, file in found.items()}


def write_source_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write a processor's files into a folder, byte for byte."""
    for name, content in files.items():
        write_bytes(folder / name, content)


def _in_folder(folder: Path) -> dict[str, Path]:
    templates = [f"{_TEMPLATES}/{file.name}" for file in (folder / _TEMPLATES).glob("*.jinja")]
    found = {name: folder / name for name in (*_NAMES, *templates) if (folder / name).is_file()}
    homes = [folder.resolve()]
    if folder.resolve().parent.name == "snapshots":  # a model in the hub's cache is made of links
        homes.append(folder.resolve().parent.parent / "blobs")
    leads_out = any(
        not any(file.resolve().is_relative_to(home) for home in homes) for file in found.values()
    )
    return {} if leads_out else found


def _in_hub(name: str) -> dict[str, Path]:
    # transformers lists them with their suffix from the hub, and without it from the cache.
    stems = [
        file.removesuffix(".jinja") for file in list_repo_templates(name, local_files_only=False)
    ]
    templates = [f"{_TEMPLATES}/{stem}.jinja" for stem in stems]
    found = {
        file: cached_file(
            name,
            file,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        for file in (*_NAMES, *templates)
    }
    return {file: Path(place) for file, place in found.items() if place is not None}
