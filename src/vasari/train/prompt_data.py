"""Prompts in TRL's format: rows of a data set for GRPO, batches for supervised training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from datasets.table import InMemoryTable

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.data.images import open_image
from vasari.data.tasks.arithmetic import arithmetic_facts, named_sums
from vasari.model.chat import chat_messages, target_text
from vasari.train.settings import SftSettings


class PromptDataset(Dataset):  # type: ignore[misc]
    """Data set of a pool's prompts as rows for TRL; a row's images are opened when it is read."""

    def __init__(self, prompts: Sequence[Prompt], *, system: str) -> None:
        # The fingerprint names no file of a cache: nothing is cached.
        table = InMemoryTable(pa.table({"prompt_index": list(range(len(prompts)))}))
        super().__init__(table, fingerprint="vasari")
        self._prompts = prompts
        self._system = system

    def __getitem__(self, key: Any) -> dict[str, Any]:
        """Return row `key`: `prompt`, `images` (possibly none), and columns for reward functions.

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


class ChatCollator:
    """Collator that makes a batch from prompt indices, with labels on assistant tokens only.

    It can be pickled, so that data loader workers run it.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        processor: Any,
        settings: SftSettings,
        *,
        system: str,
        seed: int = 0,
    ) -> None:
        self._prompts = prompts
        self._processor = processor
        self._settings = settings
        self._system = "" if settings.target == "facts" else system
        self._seed = seed

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Return a batch: input_ids, attention_mask, labels, and the tensors of images, if any."""
        conversations = [
            self._conversation(self._prompts[row["index"]], int(row.get("visit", 0)))
            for row in rows
        ]
        batch = self._processor.apply_chat_template(
            conversations,
            tokenize=True,
            return_dict=True,
            # the mask is made token by token, far slower over tensors than over lists
            return_tensors=None,
            return_assistant_tokens_mask=True,
            processor_kwargs={"padding": True, "padding_side": "right"},
        )
        batch.convert_to_tensors("pt")
        spoken = batch.pop("assistant_masks")
        labels = batch["input_ids"].clone()
        labels[spoken == 0] = -100
        if (labels == -100).all():
            raise DataError(
                "no assistant tokens to learn from: the chat template marks none with {%"
                " generation %}"
            )
        batch["labels"] = labels
        return dict(batch)

    def _conversation(self, prompt: Prompt, visit: int) -> list[dict[str, Any]]:
        messages = chat_messages(prompt, system=self._system)
        images = [open_image(ref, where=f"prompt {prompt.id!r}") for ref in prompt.images]
        slots = [part for part in messages[-1]["content"] if part["type"] == "image"]
        for slot, image in zip(slots, images, strict=True):
            slot["image"] = image
        if self._settings.target != "facts":
            short = self._settings.target == "short"
            return [*messages, _said(target_text(prompt, short=short))]
        turns: list[dict[str, Any]] = []
        for question, answer in self._facts(prompt, visit):
            content = [{"type": "text", "text": question}]
            turns += [
                {"role": "user", "content": [*slots, *content] if not turns else content},
                _said(answer),
            ]
        return turns

    def _facts(self, prompt: Prompt, visit: int) -> list[tuple[str, str]]:
        facts = prompt.metadata.get("facts") or []
        if not facts:
            raise DataError(
                f"prompt {prompt.id!r} has no facts to learn from; generate prompts with tasks, or"
                " choose another target"
            )
        digest = hashlib.blake2b(
            f"{self._seed}:{visit}:{prompt.id}".encode(), digest_size=8
        ).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "little"))
        chosen = rng.permutation(len(facts))[: self._settings.facts_per_image]
        asked = [(str(facts[i][0]), str(facts[i][1])) for i in chosen]
        reads = str(prompt.metadata.get("reads") or "")
        first = (
            [(f"Read: {prompt.question}", f"{reads}.")] if self._settings.reads and reads else []
        )
        return (
            first
            + asked
            + arithmetic_facts(rng, self._settings.sums_per_image)
            + named_sums(rng, self._settings.named_sums_per_image)
        )


def _said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}
