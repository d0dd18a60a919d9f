r"""Rephrasing stage: rewrites prompts so that the answer is short and a rule can verify it.

arXiv:2509.21268, section 5: prompts for RL are rephrased so that their answers are short and
verifiable. Here a rule does it where it can (an option that is a number, an answer in a box) and a
model where it must; in both cases the new answer has to verify against the original one, and the
new question has to keep what the old one said.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field

from vasari.core.records import Outcome, Prompt
from vasari.core.settings import Settings
from vasari.curate.ask.asking import ask_prompts
from vasari.curate.ask.rationale_checks import words_of
from vasari.curate.choose.marks import marks_reason
from vasari.curate.match.question_text import read_question
from vasari.curate.stage import AskedModel, Reason, StageResult, sort_out
from vasari.endpoint import Message, Request, Response, user_message
from vasari.verify import extract_answer, infer_kind, verify_answer
from vasari.verify.choices import named_letters
from vasari.verify.limits import LimitExceededError
from vasari.verify.normalise import loosen, normalise

REPHRASE_PROMPT: Final = (
    "You are given a question with its right answer, and with its options if it has any. Write the"
    " question anew so that it can be answered without options by one short value: a number, an"
    " expression, a name or a few words.\nKeep every number, name and condition, and every mark"
    " like <image>. Do not give the answer away. Where it is not plain in which form or unit the"
    " answer is wanted, say so in the question. The answer stays the same; write it as short as it"
    " can be.\nReply with nothing but\n<question>the question</question>\n<answer>the short"
    " answer</answer>\nor, where the question makes no sense without its options, with the one word"
    " IMPOSSIBLE."
)

REFUSALS: Final = (
    "truncated",
    "unreadable_reply",
    "needs_options",
    "answer_not_short",
    "answer_changed",
    "answer_given",
    "question_changed",
)
"""Reasons to refuse a rephrased prompt, in the order in which they are checked."""

_REPLY = re.compile(
    r"<question>([^<]*(?:<image\d*>[^<]*)*)</question>\s*<answer>([^<]*)</answer>", re.IGNORECASE
)
# "Look at the following table" speaks of a table; "which of the following", "the following is true"
# of options.
_OPTIONS = re.compile(
    r"\bof (?:the following|these|those)\b|\bfollowing\s*[:?]|\bfollowing"
    r" (?:is|are|was|has|have|best|could|can|must|will)\b"
    r"|\bfollowing"
    r" (?:options?|choices?|answers?|statements?|values?|numbers?|expressions?|equations?|figures?"
    r"|shapes?)\b"
    r"|\boptions?\b|\bchoices?\b|\bchoose\b|\bselect\b|\bwhich one\b|\banswers? (?:below|above)\b",
    re.IGNORECASE,
)
# An option that means other options is no answer without them.
_OF_OPTIONS = re.compile(
    r"(?i:\b(?:none|all|both|neither|any|each|some|two|three) of"
    r" (?:the|these|those|them)\b|\b(?:above|others)\b)"
    r"|(?i:^\s*(?:none|all|both|neither)\s*\.?\s*$)|(?<![A-Za-z])\(?[A-J]\)? (?:and|or|&)"
    r" \(?[A-J]\)?(?![A-Za-z])"
)
_MARK = re.compile(r"<image\d*>")


class RephraseSettings(Settings):
    """Settings of rephrasing: which prompts, longest answers, what becomes of a failed prompt."""

    system: str = REPHRASE_PROMPT
    """System prompt of the rephrasing model."""
    open_choices: bool = True
    """Turn multiple-choice prompts into open ones; else they stay as they are."""
    max_answer_words: int = Field(default=6, ge=1)
    max_answer_chars: int = Field(default=60, ge=1)
    """Longer answers are rephrased, and a new answer that is longer is refused."""
    refused: Literal["drop", "keep"] = "drop"
    """What becomes of a prompt whose rephrasing is refused: it is dropped, or kept as it was."""
    seed: int | None = None
    """Seed sent to the server; None for servers that take none."""


@dataclass(frozen=True, slots=True)
class Rephrased:
    """Result of rephrasing a prompt: the new question and short answer, or why it is refused."""

    question: str = ""
    answer: str = ""
    refused: str = ""
    """One of `REFUSALS`; empty if question and answer are accepted."""
    detail: str = ""


def rephrase(
    prompts: Sequence[Prompt], model: AskedModel, settings: RephraseSettings
) -> StageResult:
    """Rewrite prompts to have short open answers; drop or leave unchanged prompts that fail.

    A rephrased prompt has no `choices`, a `kind` of its own, and in `metadata["rephrased"]` who did
    it ("rule" or the model) and the question, answer and options as they were.

    Counts: `short_already`, `by_rule`, `by_model`, and `refused_...` for each reason of `REFUSALS`.
    Further reasons for a drop: "rephraser_failed" (no answer from the server), "not_asked" (the run
    stopped first).
    """
    by_rule = {
        index: new
        for index, prompt in enumerate(prompts)
        if (new := rephrase_by_rule(prompt, settings)) is not None
    }
    open_ones = [index for index in range(len(prompts)) if index not in by_rule]
    found = ask_prompts(
        prompts,
        model,
        lambda prompt: rephrase_request(prompt, model, settings),
        positions=open_ones,
    )
    counts = found.lost("replies")

    def decide(index: int, prompt: Prompt) -> Prompt | Reason:
        new, by = by_rule.get(index), "rule"
        if new is None:
            if reason := found.unanswered(index, failed="rephraser_failed"):
                return reason
            new, by = read_reply(prompt, found.answers[index].responses[0], settings), model.model
        if new.refused:
            counts[f"refused_{new.refused}"] += 1
            return prompt if settings.refused == "keep" else (new.refused, new.detail)
        same = (new.question, new.answer) == (prompt.question, prompt.answer)
        counts["short_already" if same else "by_rule" if by == "rule" else "by_model"] += 1
        return prompt if same else _renewed(prompt, new, by)

    result = sort_out(prompts, decide)
    return dataclasses.replace(result, counts=counts)


def rephrase_request(prompt: Prompt, model: AskedModel, settings: RephraseSettings) -> Request:
    """Build the rephrasing request: a prompt's question, options and right answer, no images."""
    lines = [f"Question: {prompt.question}"]
    if prompt.choices:
        lines += [f"{chr(65 + place)}) {text}" for place, text in enumerate(prompt.choices)]
    lines.append(f"Right answer: {prompt.answer}")
    messages = (Message(role="system", parts=(settings.system,)), user_message("\n".join(lines)))
    return Request(
        model=model.model,
        messages=messages,
        sampling=model.sampling,
        seed=settings.seed,
        id=prompt.id,
    )


def rephrase_by_rule(prompt: Prompt, settings: RephraseSettings) -> Rephrased | None:
    """Rephrase a prompt by rules, without a model; None if a model has to be asked.

    A short answer stays, a numeric option or a boxed answer becomes one.
    """
    if prompt.choices or prompt.kind == "choice":
        if not settings.open_choices:
            return Rephrased(prompt.question, prompt.answer)
        option = right_option(prompt)
        if option is None:
            return Rephrased(
                refused="needs_options",
                detail=(
                    "the options are no texts, several are right, or the right one is about the"
                    " others"
                ),
            )
        if _OPTIONS.search(prompt.question) or infer_kind(option) not in ("number", "expression"):
            return None
        return check(prompt, prompt.question, option, settings)
    if _is_short(prompt.answer, settings):
        return Rephrased(prompt.question, prompt.answer)
    try:
        stated = extract_answer(prompt.answer)
    except LimitExceededError:
        return None
    if stated.text is None or stated.source not in ("box", "phrase"):
        return None
    new = check(prompt, prompt.question, stated.text.strip(" ."), settings)
    return None if new.refused else new


def right_option(prompt: Prompt) -> str | None:
    """Text of a prompt's correct option; None if the text cannot serve as an open answer.

    It cannot if there are no texts, several options are right, or it is about the other options.
    """
    if not prompt.choices:
        return None
    letters = named_letters(normalise(prompt.answer), prompt.choices)
    if len(letters) != 1:
        return None
    place = ord(next(iter(letters))) - ord("A")
    if not 0 <= place < len(prompt.choices):
        return None
    option = prompt.choices[place].strip()
    # "A" for the picture marked A.
    return (
        option
        if option and infer_kind(option) != "choice" and not _OF_OPTIONS.search(option)
        else None
    )


def read_reply(prompt: Prompt, response: Response, settings: RephraseSettings) -> Rephrased:
    """Parse and check a model's reply: the new question and answer, or why they are refused."""
    if response.truncated:
        return Rephrased(
            refused="truncated", detail=f"the answer ends after {response.limit} tokens"
        )
    text = response.text.rsplit("</think>", 1)[-1].strip()
    if text.strip(" .*").upper() == "IMPOSSIBLE":
        return Rephrased(refused="needs_options", detail=f"{response.model or 'the model'} says so")
    found = _REPLY.fullmatch(text)
    if found is None or not found[1].strip() or not found[2].strip():
        return Rephrased(refused="unreadable_reply", detail=f"the reply begins with {text[:80]!r}")
    return check(prompt, found[1].strip(), found[2].strip(), settings)


def check(prompt: Prompt, question: str, answer: str, settings: RephraseSettings) -> Rephrased:
    """Check a rephrased question and answer: return both, or the first reason to refuse them."""
    if _OPTIONS.search(question) and prompt.choices:
        return Rephrased(
            refused="needs_options",
            detail=f"the new question still speaks of options: {question[:120]!r}",
        )
    if not _is_short(answer, settings) or infer_kind(answer) == "choice":
        return Rephrased(refused="answer_not_short", detail=f"{answer[:120]!r}")
    if not _same_answer(prompt, answer):
        return Rephrased(
            refused="answer_changed",
            detail=f"{answer!r} does not verify against {prompt.answer[:120]!r}",
        )
    if _gives_answer(prompt.question, question, answer):
        return Rephrased(refused="answer_given", detail=f"the new question holds {answer!r}")
    lost = _lost(prompt.question, question)
    if lost:
        return Rephrased(
            refused="question_changed", detail=f"the new question lacks {', '.join(lost)}"[:300]
        )
    new = dataclasses.replace(prompt, question=question, answer=answer, choices=None)
    if odd := marks_reason(new):
        return Rephrased(refused="question_changed", detail=odd[1][:300])
    return Rephrased(question, answer)


def _same_answer(prompt: Prompt, answer: str) -> bool:
    """Whether the new answer is the right one, verifies against itself, and is no wrong option."""
    if not _is_right(answer, answer):
        return False
    if prompt.choices:
        # Against the option's text, not its letter: a reply of "B" is no answer to an open
        # question.
        right = right_option(prompt)
        wrong = [
            text
            for text in prompt.choices
            if right is not None and loosen(normalise(text)) != loosen(normalise(right))
        ]
        return (
            right is not None
            and _is_right(answer, right)
            and not any(_is_right(answer, text) for text in wrong)
        )
    boxed = (
        verify_answer(f"\\boxed{{{answer}}}", prompt.answer, None, prompt.kind).outcome
        is Outcome.CORRECT
    )
    # A long original is no reference that a rule can read, but it can be read as a response to the
    # new one.
    return boxed or verify_answer(prompt.answer, answer).outcome is Outcome.CORRECT


def _is_right(answer: str, reference: str) -> bool:
    return verify_answer(f"\\boxed{{{answer}}}", reference, None).outcome is Outcome.CORRECT


def _gives_answer(old: str, new: str, answer: str) -> bool:
    """Whether the new question holds the answer and the old one did not."""
    wanted = [word.casefold() for word in words_of(answer)]
    return bool(wanted) and _holds(new, wanted) and not _holds(old, wanted)


def _holds(text: str, wanted: list[str]) -> bool:
    words = [word.casefold() for word in words_of(text)]
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1))


def _lost(old: str, new: str) -> list[str]:
    """Numbers, names and image marks of the old question that the new one lacks."""
    before, after = read_question(old), read_question(new)
    missing = Counter(before.numbers) - Counter(after.numbers)
    marks = Counter(_MARK.findall(old)) - Counter(_MARK.findall(new))
    return [
        *missing.elements(),
        *sorted(set(before.symbols) - set(after.symbols)),
        *marks.elements(),
    ]


def _is_short(answer: str, settings: RephraseSettings) -> bool:
    return (
        len(words_of(answer)) <= settings.max_answer_words
        and len(answer) <= settings.max_answer_chars
    )


def _renewed(prompt: Prompt, new: Rephrased, by: str) -> Prompt:
    before = {
        "by": by,
        "question": prompt.question,
        "answer": prompt.answer,
        "choices": list(prompt.choices) if prompt.choices else None,
    }
    # "final" is the answer of the solution as it was; the target of training ends in the new
    # reference.
    metadata = {name: value for name, value in prompt.metadata.items() if name != "final"} | {
        "rephrased": before
    }
    return dataclasses.replace(
        prompt,
        question=new.question,
        answer=new.answer,
        choices=None,
        kind=infer_kind(new.answer),
        metadata=metadata,
    )
