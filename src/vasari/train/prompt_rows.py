"""Prompts as a data set that TRL's GRPOTrainer reads: messages, opened images, and what reward
functions may look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from datasets import Dataset
from datasets.table import InMemoryTable

from vasari.core.records import Prompt
from vasari.data.images import open_image
from vasari.model.chat import chat_messages


class PromptDataset(Dataset):  # type: ignore[misc]
    """A pool of prompts, one row each, made when it is read; images are opened then and not
    before.
    """

    def __init__(self, prompts: Sequence[Prompt], *, system: str) -> None:
        # The fingerprint names no file of a cache: nothing is cached.
        table = InMemoryTable(pa.table({"prompt_index": list(range(len(prompts)))}))
        super().__init__(table, fingerprint="vasari")
        self._prompts = prompts
        self._system = system

    def __getitem__(self, key: Any) -> dict[str, Any]:
        """Row `key`: `prompt`, `images` (possibly none), and columns for reward functions.

        These are `vasari_prompt` (the `Prompt`), `prompt_index`, `question`, `answer` and
        `solution` (both the reference answer; TRL's own functions call it so), `category`,
        `difficulty`.
        """
        prompt = self._prompts[int(key)]
        return {
            "prompt": chat_messages(prompt, system=self._system),
            "images": [open_image(ref, where=f"prompt {prompt.id!r}") for ref in prompt.images],
            "prompt_index": int(key),
            "vasari_prompt": prompt,
            "question": prompt.question,
            "answer": prompt.answer,
            "solution": prompt.answer,
            "category": prompt.category,
            "difficulty": prompt.difficulty,
        }
