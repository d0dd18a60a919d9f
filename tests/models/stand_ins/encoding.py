"""What a policy's model reads of several prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vasari.core.records import Prompt
from vasari.model.encoded_prompts import padded_inputs
from vasari.model.families import without_adapters
from vasari.model.template import tokenizer_of


def inputs_of(policy: Any, prompts: Sequence[Prompt], *, shown: str = "shown") -> dict[str, Any]:
    """Return the batch that a transformers policy's model reads of these prompts."""
    return padded_inputs(
        [policy.encode(prompt, shown=shown) for prompt in prompts],
        without_adapters(policy.model),
        pad_token_id=tokenizer_of(policy.processor).pad_token_id,
    )
