"""Prompts as the rows that TRL's GRPOTrainer reads: messages, opened images, and the prompt's place in the pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vasari.imagefile import open_image
from vasari.policy.chat import chat_messages
from vasari.records import Prompt


def prompt_row(prompts: Sequence[Prompt], index: int, *, system: str) -> dict[str, Any]:
    """One row: `prompt`, `images` (possibly none), `prompt_index`. Images are opened here and not before."""
    prompt = prompts[index]
    images = [open_image(ref, where=f"prompt {prompt.id!r}") for ref in prompt.images]
    return {"prompt": chat_messages(prompt, system=system), "images": images, "prompt_index": index}
