"""What a family's model must learn to answer, written by hand from its published chat template."""

from __future__ import annotations

from checks.plain import Plain
from vasari.records import Prompt

_ENDS = {
    "gemma3": "<end_of_turn>",
    "gemma4": "<turn|>",
    "smolvlm": "<end_of_utterance>",
    "idefics3": "<end_of_utterance>",
    "llava_next": "</s>",
    # Nothing ends a turn but the token that opens the next one, at which generation stops.
    "glm4v": "<|user|>",
}
"""The token that ends an answer, by `model_type`; all others write ChatML."""


def answer_text(plain: Plain, prompt: Prompt) -> str:
    """Return the text that follows a prompt: reasoning, answer and the token that ends the turn."""
    kind = plain.config["model_type"]
    final = str(prompt.metadata.get("final") or prompt.answer)
    answer = f"<answer>\\boxed{{{final}}}</answer>"
    said = f"<think>{prompt.solution}</think>{answer}"
    if kind == "qwen3":
        said = f"<think>\n{prompt.solution}\n</think>\n\n{answer}"
    elif kind == "qwen3_5":
        # The prompt has opened the thoughts.
        said = f"{prompt.solution}\n</think>\n\n{answer}"
    elif kind in ("smolvlm", "idefics3", "llava_next"):
        said = f" {said}"
    return said + _ENDS.get(kind, "<|im_end|>")


def answer_ids(plain: Plain, prompt: Prompt) -> list[int]:
    """Return the tokens of `answer_text`, the last of which is a token that stops generation."""
    text = answer_text(plain, prompt)
    ids: list[int] = plain.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
