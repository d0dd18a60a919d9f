"""Files of a published model's folder but its weights, for a machine without network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import trl
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GemmaTokenizer, GenerationConfig, Qwen2Tokenizer

from vasari.core.files import write_bytes, write_json
from vasari.model.published import published_config, published_facts

VOCABULARY = 2_000
"""Tokens learned from texts, beside the special ones."""
_FIRST_GEMMA_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
_UNSEEN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def write_published_files(name: str, folder: Path, texts: Iterable[str]) -> None:
    """Write what a published model's folder holds beside its weights, as far as it is known.

    These are `config.json`, `generation_config.json`, the settings of the processor, the chat
    template that TRL ships for the family, and a tokenizer with the family's special tokens, whose
    other tokens are learned from `texts`: the published one is not known.

    Args:
        name: Hub name of a model in `published_facts`.
        folder: Made if it is not there.
        texts: What the tokenizer is trained on.
    """
    facts = published_facts()
    files = facts["files"][facts["models"][name]["files"]]
    made = _MAKERS[files["tokenizer"]["kind"]](files["tokenizer"], texts)
    folder.mkdir(parents=True, exist_ok=True)
    made.save_pretrained(str(folder))
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    kind = files["preprocessor_config.json"]["processor_class"]
    more = files["tokenizer"].get("more", {})
    write_json(folder / "tokenizer_config.json", settings | more | {"processor_class": kind})
    templates = Path(trl.__file__).parent / "chat_templates"
    template = (templates / files["template"]).read_bytes()
    write_bytes(folder / "chat_template.jinja", template)
    for file, content in files.items():
        if file.endswith(".json"):
            write_json(folder / file, content)
    config = published_config(name)
    for place, token in files["token_ids"].items():
        owner, _, key = place.rpartition(".")
        setattr(getattr(config, owner) if owner else config, key, made.convert_tokens_to_ids(token))
    config.text_config.vocab_size = len(made)
    config.dtype = "bfloat16"
    config.save_pretrained(str(folder))
    generation = {
        key: made.convert_tokens_to_ids(value) if key.endswith("_token_id") else value
        for key, value in files["generation_config"].items()
    }
    GenerationConfig(**generation).save_pretrained(str(folder))


def _qwen_tokenizer(facts: Mapping[str, Any], texts: Iterable[str]) -> Any:
    splitter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    vocabulary, merges = _learned(splitter, pre_tokenizers.ByteLevel.alphabet(), texts)
    made = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        eos_token=facts["eos_token"],
        pad_token=facts["pad_token"],
        unk_token=None,
    )
    made.add_tokens(facts["special"], special_tokens=True)
    made.add_tokens(facts["plain"])
    return made


def _gemma_tokenizer(facts: Mapping[str, Any], texts: Iterable[str]) -> Any:
    splitter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="never"),
            pre_tokenizers.Split(Regex(r"▁?\p{L}+|\p{N}|[^\p{L}\p{N}]"), "isolated"),
        ]
    )
    pieces, merges = _learned(splitter, [*_UNSEEN, "▁", "\n"], texts)
    names = [*_FIRST_GEMMA_TOKENS, *facts["special"]]
    names += [f"<0x{byte:02X}>" for byte in range(256)] + [
        one for one in pieces if one not in names
    ]
    made = GemmaTokenizer(vocab={name: place for place, name in enumerate(names)}, merges=merges)
    made.add_tokens(facts["special"], special_tokens=True)
    return made


def _learned(
    splitter: Any, alphabet: list[str], texts: Iterable[str]
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of byte-pair encoding, learned from texts."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = splitter
    learner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    content = json.loads(learner.to_str())["model"]
    merges = [
        tuple(pair) if isinstance(pair, list) else tuple(pair.split(" "))
        for pair in content["merges"]
    ]
    return dict(content["vocab"]), merges


_MAKERS = {"bytes": _qwen_tokenizer, "words": _gemma_tokenizer}
"""How a family's vocabulary is written -> its tokenizer of facts and texts."""
