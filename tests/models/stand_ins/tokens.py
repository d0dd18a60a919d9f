"""Tokenizers trained on a few sentences, saved as transformers' own classes."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GemmaTokenizer, LlamaTokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer

_SENTENCES = (
    "What is 3 + 2? 12 - 7 = 5. 4 * 6 = 24. 18 / 3 = 6.",
    "How many bars are taller than the red bar? The blue bar is 7 and the green bar is 9.",
    "What is the sum of the two numbers in the row of Ann? The total is 15.",
    "<think>We read the table and add the numbers.</think><answer>\\boxed{12}</answer>",
    "Think, then answer. Solve the problem by reasoning first and answering after.",
    "system user assistant model User Assistant difference between largest smallest",
)
_NUM_MERGES = 120


@functools.cache
def byte_pieces() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return vocabulary and merges of a byte-level BPE, as Qwen, GLM, InternVL and SmolVLM use."""
    return _learned(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]|\s"), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
        pre_tokenizers.ByteLevel.alphabet(),
    )


@functools.cache
def word_pieces() -> tuple[list[str], list[tuple[str, str]]]:
    """Return pieces and merges with "▁" for a space, as Gemma and Llama use; bytes come apart."""
    letters = sorted({c for sentence in _SENTENCES for c in sentence.replace(" ", "▁")} | {"\n"})
    vocabulary, merges = _learned(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Metaspace(prepend_scheme="never"),
                pre_tokenizers.Split(Regex(r"▁?\p{L}+|\p{N}|[^\p{L}\p{N}]"), "isolated"),
            ]
        ),
        letters,
    )
    return list(vocabulary), merges


def qwen_tokenizer(special: Sequence[str], plain: Sequence[str] = ()) -> Any:
    """Return a `Qwen2Tokenizer` with added tokens behind its vocabulary, as published."""
    vocabulary, merges = byte_pieces()
    tokenizer = Qwen2Tokenizer(
        vocab=dict(vocabulary),
        merges=list(merges),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token=None,
        model_max_length=131072,
    )
    tokenizer.add_tokens(list(special), special_tokens=True)
    tokenizer.add_tokens(list(plain))
    return tokenizer


def byte_tokenizer(special: Sequence[str], plain: Sequence[str] = (), **names: Any) -> Any:
    """Return a byte-level tokenizer of no class of its own, its special tokens first.

    Args:
        special: Special tokens.
        plain: Added tokens that decoding keeps.
        names: `eos_token`, `pad_token`, `bos_token`, and what else a tokenizer takes.
    """
    pieces, merges = byte_pieces()
    vocabulary = {token: i for i, token in enumerate([*special, *pieces])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=131072,
        clean_up_tokenization_spaces=False,
        **names,
    )
    tokenizer.add_tokens(list(special), special_tokens=True)
    tokenizer.add_tokens(list(plain))
    return tokenizer


def gemma_tokenizer(special: Sequence[str], **names: Any) -> Any:
    """Return a `GemmaTokenizer`: `<pad>`, `<eos>`, `<bos>`, `<unk>`, `<mask>` first."""
    first = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *special]
    tokenizer = GemmaTokenizer(**_with_bytes(first), padding_side="left", **names)
    tokenizer.add_tokens(list(special), special_tokens=True)
    return tokenizer


def llama_tokenizer(special: Sequence[str], **names: Any) -> Any:
    """Return a `LlamaTokenizer`: `<unk>`, `<s>`, `</s>` first, and the added tokens last."""
    tokenizer = LlamaTokenizer(**_with_bytes(["<unk>", "<s>", "</s>"]), **names)
    tokenizer.add_tokens(list(special), special_tokens=True)
    return tokenizer


def _with_bytes(first: Sequence[str]) -> dict[str, Any]:
    pieces, merges = word_pieces()
    names = [*first, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    return {"vocab": {name: i for i, name in enumerate(names)}, "merges": list(merges)}


def _learned(
    splitter: Any, alphabet: Sequence[str]
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = splitter
    trainer = trainers.BpeTrainer(
        vocab_size=len(set(alphabet)) + _NUM_MERGES,
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    learner.train_from_iterator(_SENTENCES * 3, trainer)
    model = json.loads(learner.to_str())["model"]
    ordered = sorted(model["vocab"], key=model["vocab"].get)
    return (
        {piece: i for i, piece in enumerate(ordered)},
        [(left, right) for left, right in model["merges"]],
    )
