"""The tokens of a conversation's answers, as a model would generate them, for any chat template.

An answer begins where the template's generation prompt ends and goes up to the first token at which
generation stops, that token included. What the template writes behind it (a newline, in most) is
read and not learned: nobody generates it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from trl.chat_template_utils import get_training_chat_template

from vasari.core.errors import DataError
from vasari.model.template import opened_tag, tokenizer_of, written

IGNORED = -100
"""Label of a token that is read and not learned."""

_TAGS = re.compile(r"</?think>|</?answer>")
_THINK = re.compile(r"</?think>")

Message = dict[str, Any]


@dataclass(slots=True)
class Continuation:
    """Tokens that follow the first prompt of a conversation, and which of them are learned."""

    token_ids: list[int] = field(default_factory=list)
    """Of answers, and of the turns between them."""
    labels: list[int] = field(default_factory=list)
    """The same tokens, `IGNORED` in the place of those that are not learned."""

    def add(self, token_ids: Sequence[int], *, learned: int = 0) -> None:
        """Append tokens, of which the first `learned` are to be learned."""
        self.token_ids += token_ids
        self.labels += [*token_ids[:learned], *[IGNORED] * (len(token_ids) - learned)]


class AnswerTokens:
    """Finds the tokens of answers in conversations that a processor's chat template writes.

    Args:
        processor: A processor, or the tokenizer of a text-only model.
        stops: Tokens at which generation stops; none: the tokenizer's end-of-sequence token.
    """

    def __init__(self, processor: Any, *, stops: Sequence[int] = ()) -> None:
        self._processor = processor
        self._tokenizer = tokenizer_of(processor)
        self._stops = tuple(stops) or (self._tokenizer.eos_token_id,)
        self._special = _special_tokens(self._tokenizer)
        self._opened = opened_tag(processor)

    def after_prompt(self, messages: Sequence[Message]) -> Continuation:
        """Return what follows the messages before the first answer, which are encoded elsewhere.

        Args:
            messages: A conversation that ends with an answer (role `assistant`).

        Raises:
            DataError: An answer holds a special token as text, or the chat template writes earlier
                answers in another way once a question follows, and TRL has no template that does
                not.
        """
        try:
            return self._after_prompt(messages, self._processor)
        except _RewrittenError:
            return self._after_prompt(messages, _for_training(self._processor))

    def _after_prompt(self, messages: Sequence[Message], processor: Any) -> Continuation:
        found, so_far = Continuation(), ""
        for place, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt = written(processor, messages[:place], prompt=True)
            if so_far:
                if not prompt.startswith(so_far):
                    raise _RewrittenError
                between = self._tokens_after(so_far, prompt[len(so_far) :])
                # Where an answer ends with the token that opens the next turn, it is there already.
                shared = found.labels[-1] != IGNORED and between[:1] == found.token_ids[-1:]
                found.add(between[shared:])
            so_far = written(processor, messages[: place + 1])
            answer = so_far[len(prompt) :] if so_far.startswith(prompt) else ""
            self._add_answer(found, messages[: place + 1], prompt, answer, processor)
        return found

    def _add_answer(
        self,
        found: Continuation,
        messages: Sequence[Message],
        prompt: str,
        answer: str,
        processor: Any,
    ) -> None:
        """Append the tokens of the last message, an answer, up to the end of what is written."""
        target = _text_of(messages[-1])
        self._check(target)
        if not all(part.strip() in answer for part in _THINK.split(target)):
            # The template does not write an answer as it asks for one: it leaves reasoning out, or
            # puts another space in front (LLaVA-OneVision). Its end is kept.
            answer = target.removeprefix(self._opened) + _end_of_answers(messages, processor)
        tokens = self._tokens_after(prompt, answer)
        stop = next((place for place, token in enumerate(tokens) if token in self._stops), None)
        if stop is None:
            answer = answer.removesuffix(_end_of_answers(messages, processor))
            tokens = [*self._tokens_after(prompt, answer), self._stop_after(messages, processor)]
            stop = len(tokens) - 1
        found.add(tokens, learned=stop + 1)

    def _stop_after(self, messages: Sequence[Message], processor: Any) -> int:
        """The token that stops an answer to which the template writes no end."""
        # GLM stops at the token that opens the next turn.
        asked = next(message for message in messages if message["role"] == "user")
        answered, more = (written(processor, turns) for turns in (messages, [*messages, asked]))
        following = self._tokens(more[len(answered) :])[:1] if more.startswith(answered) else []
        return following[0] if set(following) & set(self._stops) else self._stops[0]

    def _tokens(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _tokens_after(self, before: str, text: str) -> list[int]:
        """The tokens of a text after another, whose own tokens it does not change.

        A tokenizer may merge the end of a prompt with the beginning of an answer, which a model
        that continues the prompt cannot do; the answer then has its own tokens.
        """
        head, both = self._tokens(before), self._tokens(before + text)
        return both[len(head) :] if both[: len(head)] == head else self._tokens(text)

    def _check(self, target: str) -> None:
        for token in self._tokens(_TAGS.sub(" ", target)):
            if token in self._special:
                raise DataError(
                    f"the answer holds {self._tokenizer.convert_ids_to_tokens(token)!r}, a special"
                    " token of the model and no text; take it out of the solution or the answer"
                )


class _RewrittenError(Exception):
    """An earlier answer is written in another way once a question follows it."""


def _for_training(processor: Any) -> Any:
    """The processor with TRL's template for training, which writes all answers alike."""
    try:
        template = get_training_chat_template(processor)
    except ValueError:
        template = None
    if template is None:
        raise DataError(
            "the chat template writes an answer in another way once a question follows it, so"
            " several answers cannot be learned from one conversation; choose the target"
            " `reasoning` or `short`"
        )
    changed = copy.copy(processor)
    changed.chat_template = template
    return changed


def _end_of_answers(messages: Sequence[Message], processor: Any) -> str:
    """What the template writes behind a last answer."""
    probe = "0123456789"
    answer = {**messages[-1], "content": [{"type": "text", "text": probe}]}
    return written(processor, [*messages[:-1], answer]).rpartition(probe)[2]


def _special_tokens(tokenizer: Any) -> frozenset[int]:
    marked = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    # What the vocabulary lacks is `unk`.
    return frozenset((marked | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id})


def _text_of(message: Message) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
