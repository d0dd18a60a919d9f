"""Finds prompts whose texts a trainer would not read as text: marks of images, template tokens."""

from __future__ import annotations

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.curate.stage import Reason
from vasari.model.chat import chat_messages, user_text
from vasari.model.template_tokens import IMAGE_MARK, template_tokens


def marks_reason(prompt: Prompt) -> Reason | None:
    """Return why a prompt's question, options and reference are not plain text; None if they are.

    "image_marks": another number of `<image>` than images in the question and its options, or one
    in the reference. "template_token": a token that a chat template, model or trainer takes for its
    own, such as `<|im_end|>` or `<video>`.
    """
    try:
        chat_messages(prompt, system="")
    except DataError as error:
        return "image_marks", str(error)
    if IMAGE_MARK in prompt.answer:
        return "image_marks", f"the reference {prompt.answer[:80]!r} marks an image"
    if found := template_tokens(user_text(prompt)) or template_tokens(prompt.answer):
        return "template_token", f"the text holds {', '.join(dict.fromkeys(found))}"[:200]
    return None
