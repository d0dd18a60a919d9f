"""Turning a prompt into chat messages, with its images, options and system prompt."""

from __future__ import annotations

import re
from typing import Any

from PIL import Image

from vasari.core.errors import DataError
from vasari.core.records import Prompt

# arXiv:2509.21268, appendix D: reasoning in <think>, the result boxed in <answer>; the wording here
# is ours.
MMR1_SYSTEM_PROMPT = (
    "Solve the problem by reasoning first and answering after. Write the full reasoning between"
    " <think> and </think>, then the result between <answer> and </answer>, with the final answer"
    " in \\boxed{}: <think> reasoning </think><answer> \\boxed{final answer} </answer>. For a"
    " multiple-choice question, put only the letter of the option in \\boxed{}."
)
SMALL_SYSTEM_PROMPT = "Think, then answer."
SYSTEM_PROMPTS = {"mmr1": MMR1_SYSTEM_PROMPT, "small": SMALL_SYSTEM_PROMPT, "none": ""}
"""Named system prompts; a recipe may also give its own text."""

_PLACEHOLDER = re.compile(r"<image>")


def user_text(prompt: Prompt) -> str:
    """Return a prompt's question and its lettered answer options as one text."""
    if not prompt.choices:
        return prompt.question
    options = " ".join(f"{chr(65 + i)}) {text}" for i, text in enumerate(prompt.choices))
    return f"{prompt.question} {options}"


def chat_messages(prompt: Prompt, *, system: str, with_images: bool = True) -> list[dict[str, Any]]:
    """Return a prompt as chat messages for transformers, one `{"type": "image"}` per image.

    Images go where the question says `<image>`; without such marks, before the text.

    Raises:
        DataError: The question marks another number of images than the prompt has.
    """
    text = user_text(prompt)
    marks = len(_PLACEHOLDER.findall(text))
    if marks and marks != len(prompt.images):
        raise DataError(
            f"prompt {prompt.id!r}: the question marks {marks} images with <image>, the prompt has"
            f" {len(prompt.images)}"
        )
    content: list[dict[str, Any]] = []
    if not with_images:
        content.append({"type": "text", "text": _PLACEHOLDER.sub("", text)})
    elif marks:
        for position, piece in enumerate(_PLACEHOLDER.split(text)):
            if position:
                content.append({"type": "image"})
            if piece:
                content.append({"type": "text", "text": piece})
    else:
        content += [{"type": "image"} for _ in prompt.images]
        content.append({"type": "text", "text": text})
    messages = [{"role": "user", "content": content}]
    if system:
        messages.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
    return messages


def blank_messages() -> list[dict[str, Any]]:
    """Return a user's message with a blank image, for a batch that must have one.

    Where weights are spread over processes, each of them has to ask for those of the vision encoder
    in every forward pass, or the others wait for it for ever.
    """
    image = {"type": "image", "image": Image.new("RGB", (64, 64))}
    return [{"role": "user", "content": [image, {"type": "text", "text": "What?"}]}]


def target_text(prompt: Prompt, *, short: bool = False) -> str:
    """Return a prompt's SFT target text: reasoning and answer, or only the answer if `short`.

    The answer in the target is the one that the worked reasoning reached (`metadata["final"]`),
    which an imperfect teacher may have got wrong; without it, the reference answer.

    Raises:
        DataError: Worked reasoning is asked for and the prompt has none.
    """
    if short:
        return prompt.answer
    if not prompt.solution:
        raise DataError(
            f"prompt {prompt.id!r} has no 'solution' to learn from; supervised training needs"
            " worked reasoning"
        )
    final = str(prompt.metadata.get("final") or prompt.answer)
    return f"<think>{prompt.solution}</think><answer>\\boxed{{{final}}}</answer>"
