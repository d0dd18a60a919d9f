"""What trainers demand of the rows of their files, as rules that need none of them installed.

Each rule reads one row as its trainer's loader does, and compares it with the prompt that the set
holds at its place. Sources: LLaMA-Factory's `data/README.md` and its checks of `<image>` marks;
verl's `RLHFDataset`, which splits every message at `<image>`, `<video>` and `<audio>`; EasyR1's
`RLHFDataset` and the keys of its examples; TRL's dataset formats.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.curate.ask.rationale_checks import is_target
from vasari.curate.choose.marks import marks_reason
from vasari.model.chat import target_text
from vasari.model.template_tokens import IMAGE_MARK

Row = Mapping[str, Any]
Rule = Callable[[Row, Prompt, str], str]
"""Row, the set's prompt at its place, kind of set -> what is wrong; empty if nothing is."""

_MEDIA = re.compile(r"<image>|<video>|<audio>")

SHAREGPT_COLUMNS: Final = {"messages": "messages", "images": "images"}
SHAREGPT_TAGS: Final = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}
"""Columns and tags of `dataset_info.json` as we write them."""


def set_rule(prompt: Prompt, kind: str) -> str:
    """Return what is wrong with a prompt of a set as `vasari sft` and `vasari train` read it."""
    for name in ("id", "question", "answer"):
        if not str(getattr(prompt, name) or "").strip():
            return f"no {name}"
    if odd := marks_reason(prompt):
        return f"{odd[0]}: {odd[1]}"
    if kind != "sft":
        return ""
    try:
        target = target_text(prompt)
    except DataError as error:
        return str(error)
    return (
        ""
        if is_target(target, prompt.answer)
        else (
            "what it teaches is not one thought and one answer with the reference in a box:"
            f" {target[:60]!r} ... {target[-60:]!r}"
        )
    )


def _sharegpt(row: Row, prompt: Prompt, kind: str) -> str:
    turns = row["messages"]
    roles = [turn["role"] for turn in turns]
    if roles not in (["system", "user", "assistant"], ["user", "assistant"]):
        return f"roles {roles}, not system, user, assistant"
    texts = [turn["content"] for turn in turns]
    if odd := _marks(texts, row["images"]):
        return odd
    taught = target_text(prompt) if kind == "sft" else f"\\boxed{{{prompt.answer}}}"
    return "" if texts[-1] == taught else f"teaches {texts[-1][-80:]!r}, not the set's answer"


def _trl(row: Row, prompt: Prompt, kind: str) -> str:
    turns = row["prompt"]
    if [turn["role"] for turn in turns] not in (["system", "user"], ["user"]):
        return f"roles {[turn['role'] for turn in turns]} of the prompt, not system, user"
    parts = [part for turn in turns for part in turn["content"]]
    marked = sum(part["type"] == "image" for part in parts)
    if marked != len(row["images"]):
        return f"{marked} image parts for {len(row['images'])} images"
    if odd := _marks([part["text"] or "" for part in parts], ()):
        return odd
    if kind != "sft":
        return "" if row["solution"] == prompt.answer else f"the solution is {row['solution']!r}"
    (turn,) = row["completion"]
    said = "".join(part["text"] for part in turn["content"])
    right = turn["role"] == "assistant" and said == target_text(prompt)
    return "" if right else f"completes with {said[-80:]!r}, not the set's answer"


def _easyr1(row: Row, prompt: Prompt, kind: str) -> str:
    del kind
    if odd := _marks([row["problem"]], row["images"]):
        return odd
    return "" if row["answer"] == prompt.answer else f"the answer is {row['answer']!r}"


def _slime(row: Row, prompt: Prompt, kind: str) -> str:
    if odd := _asked(row):
        return odd
    if not all(image.startswith("data:image/") for image in row["images"]):
        return "an image is no data URI"
    facts = row["metadata"]
    if (facts["id"], facts["set"]) != (prompt.id, kind):
        return f"metadata is of {facts['id']!r} in {facts['set']!r}"
    return "" if row["label"] == prompt.answer else f"the label is {row['label']!r}"


def _asked(row: Row) -> str:
    """What is wrong with a conversation whose texts mark its images."""
    if [turn["role"] for turn in row["prompt"]] not in (["system", "user"], ["user"]):
        return f"roles {[turn['role'] for turn in row['prompt']]}, not system, user"
    return _marks([turn["content"] for turn in row["prompt"]], row["images"])


def _verl(row: Row, prompt: Prompt, kind: str) -> str:
    del kind
    if odd := _asked(row):
        return odd
    if row["reward_model"] != {"style": "rule", "ground_truth": prompt.answer}:
        return f"reward_model is {row['reward_model']}"
    if row["extra_info"]["index"] != prompt.id:
        return f"extra_info.index is {row['extra_info']['index']!r}"
    return "" if isinstance(row["data_source"], str) else "data_source is no text"


RULES: Mapping[str, Rule] = {
    "sharegpt": _sharegpt,
    "trl": _trl,
    "easyr1": _easyr1,
    "verl": _verl,
    "slime": _slime,
}
"""Rule of each export, by its name."""


def row_problem(rule: Rule, row: Row, prompt: Prompt, kind: str) -> str:
    """Return what is wrong with a row by its trainer's rule; a missing field is a fault too."""
    try:
        return rule(row, prompt, kind)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, DataError) as error:
        return f"not of the form: {type(error).__name__}: {error}"[:200]


def _marks(texts: Sequence[str], images: Sequence[Any]) -> str:
    """What is wrong with the marks of pictures, videos and sounds in a row's texts."""
    found = [mark for text in texts for mark in _MEDIA.findall(text)]
    if other := sorted({mark for mark in found if mark != IMAGE_MARK}):
        return f"marks {', '.join(other)}, and there is none"
    return "" if len(found) == len(images) else f"{len(found)} <image> for {len(images)} images"
