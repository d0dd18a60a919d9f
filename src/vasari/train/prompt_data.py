"""Prompts in TRL's format: rows of a data set for GRPO, batches for supervised training."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from datasets.table import InMemoryTable
from torch.nn.utils.rnn import pad_sequence

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.data.images import open_image
from vasari.data.tasks.arithmetic import arithmetic_facts, named_sums
from vasari.model.chat import blank_messages, chat_messages, target_text
from vasari.model.template import as_text, tokenizer_of
from vasari.train.answer_tokens import IGNORED, AnswerTokens, Continuation
from vasari.train.even_batches import FILLER
from vasari.train.settings import SftSettings


class PromptDataset(Dataset):  # type: ignore[misc]
    """Data set of a pool's prompts as rows for TRL; a row's images are opened when it is read.

    Args:
        prompts: The pool.
        system: The system prompt.
        reads_images: Whether the model does; otherwise messages are text.
    """

    def __init__(
        self, prompts: Sequence[Prompt], *, system: str, reads_images: bool = True
    ) -> None:
        # The fingerprint names no file of a cache: nothing is cached.
        table = InMemoryTable(pa.table({"prompt_index": list(range(len(prompts)))}))
        super().__init__(table, fingerprint="vasari")
        self._prompts = prompts
        self._system = system
        self._reads_images = reads_images

    def __getitem__(self, key: Any) -> dict[str, Any]:
        """Return row `key`: `prompt`, `images` (possibly none), and columns for reward functions.

        These are `vasari_prompt` (the `Prompt`), `prompt_index`, `question`, `answer` and
        `solution` (both the reference answer; TRL's own functions call it so), `category`,
        `difficulty`.
        """
        prompt = self._prompts[int(key)]
        messages = chat_messages(prompt, system=self._system)
        if not self._reads_images:
            messages = as_text(messages)
        return {
            "prompt": messages,
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
    """Collator that makes a batch from prompt indices, with labels on the answers' tokens only.

    Prompts are encoded as they are for generation, and answers follow token by token
    (`answer_tokens.py`). It can be pickled, so that data loader workers run it.

    Args:
        prompts: What rows of a batch point to.
        processor: The model's processor, or the tokenizer of a text-only model.
        settings: Of supervised training.
        system: The system prompt; none for the target `facts`.
        seed: Chooses the facts of each visit.
        stops: Tokens at which generation stops (`model.sampling.end_ids`).
        context: Most tokens that the model reads; None: any number.
        always_shows: Whether a batch without images gets one more row, with a blank image, from
            which nothing is learned (`blank_messages`).
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        processor: Any,
        settings: SftSettings,
        *,
        system: str,
        seed: int = 0,
        stops: Sequence[int] = (),
        context: int | None = None,
        always_shows: bool = False,
    ) -> None:
        self._prompts = prompts
        self._processor = processor
        tokenizer = tokenizer_of(processor)
        self._reads_images = tokenizer is not processor
        own = tokenizer.pad_token_id
        self._pad = int(tokenizer.eos_token_id if own is None else own)
        self._settings = settings
        self._system = "" if settings.target == "facts" else system
        self._seed = seed
        self._answers = AnswerTokens(processor, stops=stops)
        self._context = context
        self._always_shows = always_shows and self._reads_images

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Return a batch: input_ids, attention_mask, labels, and the tensors of images, if any.

        Raises:
            DataError: A prompt has nothing to learn from, or is too long with its answer; names it.
        """
        prompts = [self._prompts[row["index"]] for row in rows]
        conversations = [
            self._conversation(prompt, int(row.get("visit", 0)))
            for prompt, row in zip(prompts, rows, strict=True)
        ]
        answers = [
            self._answered(prompt, conversation)
            for prompt, conversation in zip(prompts, conversations, strict=True)
        ]
        if self._always_shows and not any(prompt.images for prompt in prompts):
            conversations.append(blank_messages())
            answers.append(Continuation())
        batch = _with_answers(self._encoded(conversations), answers, pad=self._pad)
        for place, row in enumerate(rows):
            if row.get("visit") == FILLER:
                batch["labels"][place] = IGNORED
        lengths = batch["attention_mask"].sum(1).tolist()
        for prompt, length in zip(prompts, lengths, strict=False):
            if self._context is not None and length > self._context:
                raise DataError(
                    f"prompt {prompt.id!r} has {length} tokens with its answer, and the model reads"
                    f" {self._context}; leave it out, or lower model.max_pixels"
                )
        return batch

    def _answered(self, prompt: Prompt, conversation: Sequence[dict[str, Any]]) -> Continuation:
        try:
            return self._answers.after_prompt(conversation)
        except DataError as error:
            raise DataError(f"prompt {prompt.id!r}: {error}") from error

    def _encoded(self, conversations: Sequence[Sequence[Mapping[str, Any]]]) -> Any:
        """The conversations up to their first answer, as generation would continue them."""
        first = [
            list(itertools.takewhile(lambda turn: turn["role"] != "assistant", turns))
            for turns in conversations
        ]
        padding = {"padding": True, "padding_side": "right"}
        how = {"add_generation_prompt": True, "return_dict": True, "return_tensors": "pt"}
        if self._reads_images:
            return self._processor.apply_chat_template(
                first, tokenize=True, processor_kwargs=padding, **how
            )
        return self._processor.apply_chat_template(
            [as_text(turns) for turns in first],
            padding=True,
            tokenizer_kwargs={"padding_side": "right"},
            **how,
        )

    def _conversation(self, prompt: Prompt, visit: int) -> list[dict[str, Any]]:
        messages = chat_messages(prompt, system=self._system)
        images = [open_image(ref, where=f"prompt {prompt.id!r}") for ref in prompt.images]
        slots = [part for part in messages[-1]["content"] if part["type"] == "image"]
        for slot, image in zip(slots, images, strict=True):
            slot["image"] = image
        if self._settings.target != "facts":
            short = self._settings.target == "short"
            turns = [*messages, _said(target_text(prompt, short=short))]
        else:
            turns = []
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


def _with_answers(
    batch: Mapping[str, Any], answers: Sequence[Continuation], *, pad: int
) -> dict[str, torch.Tensor]:
    """Append the answers to the rows of an encoded batch, and add `labels`."""
    tokens = {"input_ids": pad, "attention_mask": 0, "token_type_ids": 0, "mm_token_type_ids": 0}
    shown = batch["attention_mask"].bool()
    prompts = {name: batch[name] for name in tokens if name in batch}
    prompts["labels"] = torch.full_like(batch["input_ids"], IGNORED)
    longer = {}
    for name, column in prompts.items():
        rows = [
            torch.cat([row[kept], _column(answer, name).to(row)])
            for row, kept, answer in zip(column, shown, answers, strict=True)
        ]
        fill = tokens.get(name, IGNORED)
        longer[name] = pad_sequence(rows, batch_first=True, padding_value=fill)
    return {**batch, **longer}


def _column(answer: Continuation, name: str) -> torch.Tensor:
    ones = torch.ones(len(answer.token_ids), dtype=torch.long)
    known = {"input_ids": answer.token_ids, "labels": answer.labels, "attention_mask": ones}
    # Zero is the type of a text's token.
    return torch.as_tensor(known.get(name, 0 * ones), dtype=torch.long)
