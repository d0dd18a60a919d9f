"""A policy whose answers come from a Python function."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt, Rollout
from vasari.model.base import Decoding

END_TOKEN = 0
"""Last token of every rollout that is not truncated."""

_PIECE = re.compile(r"\s+|\w+|[^\w\s]")


class ScriptedPolicy:
    """Policy that answers by calling a Python function with the prompt and a random generator.

    Each prompt has its own generator, seeded by the call's seed and the prompt's id, so that a
    rollout does not depend on the prompts beside it. At temperature 0 every rollout of a prompt
    starts from one state, whatever the seed: all are equal where the function draws nothing but
    from its generator. In both blind controls it sees a prompt without images.
    """

    def __init__(self, answer: Callable[[Prompt, np.random.Generator], str]) -> None:
        self._answer = answer

    def generate(
        self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int, tell: Tell = silent
    ) -> list[list[Rollout]]:
        """Return a group of rollouts for each prompt; seed and prompt id fix the random numbers."""
        groups: list[list[Rollout]] = []
        for prompt in prompts:
            seen = prompt if decoding.images == "shown" else replace(prompt, images=())
            groups.append(self._group(seen, decoding, seed))
            tell(len(groups), len(prompts))
        return groups

    def _group(self, prompt: Prompt, decoding: Decoding, seed: int) -> list[Rollout]:
        if decoding.temperature > 0:
            rng = _generator(f"{seed} {prompt.id}")
            texts = [self._answer(prompt, rng) for _ in range(decoding.num_rollouts)]
        else:
            texts = [
                self._answer(prompt, _generator(f"greedy {prompt.id}"))
                for _ in range(decoding.num_rollouts)
            ]
        return [scripted_rollout(text, max_tokens=decoding.max_tokens) for text in texts]


def scripted_rollout(text: str, *, max_tokens: int) -> Rollout:
    """Convert a text to a rollout: a token for each word, sign and white space, and an end token.

    A text with no room for the end token is cut after `max_tokens` tokens and marked as truncated.
    """
    pieces = _PIECE.findall(text)
    truncated = len(pieces) + 1 > max_tokens
    kept = pieces[:max_tokens]
    tokens = [_token(piece) for piece in kept] + ([] if truncated else [END_TOKEN])
    return Rollout(
        text="".join(kept), token_ids=np.array(tokens, dtype=np.int32), truncated=truncated
    )


def _generator(key: str) -> np.random.Generator:
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def _token(piece: str) -> int:
    digest = hashlib.blake2b(piece.encode(errors="surrogatepass"), digest_size=4).digest()
    return END_TOKEN + 1 + int.from_bytes(digest, "little") % (2**31 - 2)
