r"""Reads the solutions that sources carry, with the checks that a teacher's rationale must pass.

A source may have wrapped its solutions in the form that a model is taught
(`<think>...</think><answer>...</answer>`). The tags are taken off once, and put on again when the
target of training is made; any other use of them is refused.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

from vasari.core.records import Prompt
from vasari.curate.ask.rationale_checks import (
    LanguageName,
    TextChecks,
    boxes_reason,
    is_cut_off,
    is_plain,
    is_target,
    pieces_of,
    tags_in,
    text_reason,
    verdict_reason,
    words_of,
)
from vasari.curate.stage import Reason
from vasari.model.chat import target_text
from vasari.verify import extract_answer, verify
from vasari.verify.limits import LimitExceededError

FINAL: Final = "final"
"""Metadata key of the answer that a generated solution reaches, which may be a wrong one."""


class SolutionSettings(TextChecks):
    """Settings of the checks of sources' solutions: a teacher's, with bounds for short ones."""

    min_words: int = 1
    """Least number of words; published solutions are short."""
    language: LanguageName = "any"


@dataclass(frozen=True, slots=True)
class _Parts:
    """A source's solution without the tags around its parts."""

    thought: str
    answer: str | None = None
    """Content of its answer block; None without one."""
    rest: str = ""
    """What follows the thought, where there is no answer block."""


def taught(prompt: Prompt, settings: SolutionSettings) -> Prompt | Reason:
    """Return a prompt with its solution as plain reasoning, or why it cannot be taught.

    Its target for training ends in the reference answer. Reasons: "no_solution", or one of a
    teacher's (`annotate.REASONS`).
    """
    text = (prompt.solution or "").strip()
    if not text:
        return "no_solution", f"prompt {prompt.id!r} has no 'solution' to learn from"
    parts = _parts(text)
    pieces = [] if parts is None else [parts.thought, parts.answer, parts.rest or None]
    if parts is None or not all(is_plain(piece) for piece in pieces if piece is not None):
        reason = "truncated" if is_cut_off(text) else "off_format"
        return reason, _shown("not one thought and one answer of plain text", text)
    if reason := _answer_reason(prompt, parts):
        return reason, _shown(f"for a reference of {prompt.answer[:40]!r}", text, end=True)
    if reason := text_reason(parts.thought, words_of(parts.thought), settings):
        return reason, _shown(f"{len(words_of(parts.thought))} words", text)
    metadata = {name: value for name, value in prompt.metadata.items() if name != FINAL}
    found = dataclasses.replace(prompt, solution=parts.thought, metadata=metadata)
    if not is_target(target_text(found), prompt.answer):
        return "unverifiable", f"the reference {prompt.answer[:80]!r} cannot stand in a box"
    return found


def _parts(text: str) -> _Parts | None:
    """A solution's parts; None where its tags have another order than we know."""
    tags, pieces = tags_in(text), pieces_of(text)
    if not tags:
        return _Parts(text)
    outside = pieces[::2]
    if tags == ["<think>", "</think>", "<answer>", "</answer>"] and not any(outside):
        return _Parts(pieces[1], answer=pieces[3])
    if tags == ["<think>", "</think>"] and not outside[0]:
        return _Parts(pieces[1], rest=pieces[2])
    if tags == ["<answer>", "</answer>"] and not outside[1]:
        return _Parts(pieces[0], answer=pieces[1])
    return None


def _answer_reason(prompt: Prompt, parts: _Parts) -> str:
    """Reason to refuse a solution for the answers that it states; empty if they are the reference.

    Prose that states no answer in a box, a block or after "the answer is" is not judged: of
    published solutions that are right, a verifier finds no answer in one of five.
    """
    if parts.answer is not None:
        verdict = verify(f"<answer>{parts.answer}</answer>", prompt)
        if reason := verdict_reason(verdict):
            return reason
    last = parts.rest or ("" if parts.answer is not None else parts.thought)
    try:
        stated = extract_answer(last) if last else None
    except LimitExceededError:
        return "off_format"
    if stated is not None and stated.source == "phrase":
        # The reference word for word needs no comparison, which takes most of the time.
        same = (stated.text or "").strip().removesuffix(".") == prompt.answer
        if not same and (reason := verdict_reason(verify(last, prompt))):
            return reason
    # The generator of a problem says what its own reasoning reaches.
    final = str(prompt.metadata.get(FINAL) or "")
    if final and (reason := verdict_reason(verify(f"\\boxed{{{final}}}", prompt))):
        return reason
    return boxes_reason(parts.thought, prompt) or boxes_reason(parts.rest, prompt)


def _shown(why: str, text: str, *, end: bool = False) -> str:
    return (
        f"{why}: the solution {f'ends in {text[-80:]!r}' if end else f'begins with {text[:80]!r}'}"
    )
