"""A row of TRL's conversational format, prepared by TRL's own code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trl.data_utils import is_conversational, prepare_multimodal_messages

from vasari.core.errors import DataError


def prepared(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row's messages with its images in their places, as TRL's trainers make them.

    Raises:
        ValueError: TRL refuses the messages, e.g. since their image parts and images differ.
        DataError: TRL does not take the row for a conversation.
    """
    if not is_conversational({"prompt": row["prompt"]}):
        raise DataError("TRL does not take the prompt for a conversation")
    asked = prepare_multimodal_messages(list(row["prompt"]), images=list(row["images"] or ()))
    said = prepare_multimodal_messages(list(row.get("completion") or ()), images=[])
    return [*asked, *said]
