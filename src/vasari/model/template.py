"""What a model's chat template writes: the end of an answer, and tags that it opens itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError
from transformers.processing_utils import ProcessorMixin

from vasari.core.errors import ConfigError, DataError

_PLAIN_ROLES = ("system", "assistant")
_JOIN_PARTS = (
    "{%- set joined = namespace(messages=[]) -%}{%- for message in messages -%}"
    "{%- if message['role'] in ROLES and message['content'] is iterable"
    " and message['content'] is not string -%}"
    "{%- set text = message['content'] | map(attribute='text') | join -%}"
    "{%- set joined.messages = joined.messages + [dict(message, content=text)] -%}"
    "{%- else -%}{%- set joined.messages = joined.messages + [message] -%}{%- endif -%}"
    "{%- endfor -%}{%- set messages = joined.messages -%}"
)
_OPENED = re.compile(r"(<think>)\s*\Z")
_THINKING = "enable_thinking"


def tokenizer_of(processor: Any) -> Any:
    """Return a processor's tokenizer; a tokenizer, the processor of a text-only model, as it is."""
    return processor.tokenizer if isinstance(processor, ProcessorMixin) else processor


def written(processor: Any, messages: Sequence[Mapping[str, Any]], *, prompt: bool = False) -> str:
    """Return a conversation as the chat template writes it.

    Args:
        processor: A processor, or the tokenizer of a text-only model.
        messages: With `content` as text, or as parts of text and images.
        prompt: Whether the beginning of an answer follows, for the model to continue.

    Raises:
        ConfigError: The template does not take these messages, e.g. none with a system prompt.
    """
    turns = [dict(message) for message in messages]
    if tokenizer_of(processor) is processor:
        turns = as_text(turns)
    try:
        text: str = processor.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=prompt
        )
    except (TemplateError, TypeError) as error:
        roles = ", ".join(str(turn["role"]) for turn in turns)
        raise ConfigError(
            f"the model's chat template does not take a conversation of {roles}: {error}; if it is"
            " the system prompt, set model.system_prompt to none"
        ) from error
    return text


def as_text(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return messages with their parts joined to one text, as templates of text models take them.

    Raises:
        DataError: A message has an image.
    """
    joined = []
    for message in messages:
        content = message["content"]
        if not isinstance(content, str):
            if any(part["type"] != "text" for part in content):
                raise DataError("a message has an image, and the model reads text only")
            content = "".join(part["text"] for part in content)
        joined.append({**message, "content": content})
    return joined


def opened_tag(processor: Any) -> str:
    """Return "<think>" where the template opens it for the answer, as Qwen3.5's does; else "".

    The model then writes neither this tag nor the space behind it: put the tag before the text of a
    rollout, to verify, score and store what was said as a whole.
    """
    found = _OPENED.search(written(processor, _conversation(processor), prompt=True))
    return found[1] if found else ""


def end_of_turn(processor: Any) -> int | None:
    """Return the id of the special token that the template writes right after an answer, if any."""
    probe = "0123456789"
    asked = _conversation(processor)
    answer = {"role": "assistant", "content": _content(processor, probe)}
    after = written(processor, [*asked, answer]).rpartition(probe)[2]
    tokenizer = tokenizer_of(processor)
    tokens = tokenizer(after, add_special_tokens=False)["input_ids"] if after else []
    special = tokenizer.added_tokens_decoder
    if not tokens or tokens[0] not in special or not special[tokens[0]].special:
        return None
    return int(tokens[0])


def join_parts_for(processor: Any) -> None:
    """Let a template read messages in parts that it would write as Python objects.

    TRL gives a vision-language model all messages as parts of text and images; GLM-4.1V's template
    expects the system prompt and answers as text.
    """
    roles = [role for role in _PLAIN_ROLES if _writes_parts(processor, role)]
    if roles:
        joining = _JOIN_PARTS.replace("ROLES", str(roles))
        processor.chat_template = f"{joining}{processor.chat_template}"


def _writes_parts(processor: Any, role: str) -> bool:
    turns = [*_conversation(processor), {"role": role, "content": _content(processor, "Hello")}]
    try:
        return "'text'" in written(processor, turns[:: -1 if role == "system" else 1])
    except ConfigError:  # it takes none, which whoever uses one is told
        return False


def set_thinking(processor: Any, *, thinking: bool) -> None:
    """Let the template ask for a reasoning, or for none, where it has a switch for that.

    Raises:
        ConfigError: The template has none, or is one of several.
    """
    template = processor.chat_template
    if not isinstance(template, str) or _THINKING not in template:
        raise ConfigError(
            f"model.thinking: the model's chat template has no {_THINKING}; leave it out"
        )
    value = "true" if thinking else "false"
    processor.chat_template = f"{{%- set {_THINKING} = {value} -%}}{template}"


def _conversation(processor: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": _content(processor, "Hello")}]


def _content(processor: Any, text: str) -> Any:
    return text if tokenizer_of(processor) is processor else [{"type": "text", "text": text}]
