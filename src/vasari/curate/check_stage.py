"""A checker that every stage of curation must pass, ours or a user's."""

from __future__ import annotations

import copy
import io
from typing import Any

from PIL import Image

from vasari.curate.own_stage import Function, decided
from vasari.errors import StateError
from vasari.records import ImageRef, Prompt


def check_stage(function: Function, **settings: Any) -> None:
    """Return if a stage decides about every prompt and decides twice alike; say what is broken if not.

    Args:
        function: Called as `function(prompts, **settings)`; one that asks a model is given a small one as `model`.
        **settings: Its settings.

    Raises:
        AssertionError: It is broken; the message says how.
    """
    prompts = _prompts()
    given = copy.deepcopy(prompts)
    try:
        once, again = (decided(function(list(prompts), **settings), prompts, stage="stage") for _ in range(2))
        decided(function([], **settings), [], stage="stage")
        alone = [decided(function([prompt], **settings), [prompt], stage="stage") for prompt in prompts]
    except StateError as error:
        raise AssertionError(str(error)) from error
    if once != again:
        raise AssertionError("the same prompts were decided about in two ways")
    if prompts != given:
        raise AssertionError("the prompts that it was shown were changed; make new ones with dataclasses.replace")
    kept = [prompt.id for result in alone for prompt in result.kept]
    if kept != [prompt.id for prompt in once.kept]:
        raise AssertionError("a prompt's fate depends on the prompts beside it, which are those of its shard by chance")


def _prompts() -> list[Prompt]:
    def picture(colour: str) -> ImageRef:
        data = io.BytesIO()
        Image.new("RGB", (32, 32), colour).save(data, "PNG")
        return ImageRef(data=data.getvalue())

    return [
        Prompt(id="text", question="What is 2 + 2?", answer="4", kind="number", solution="Two and two are four."),
        Prompt(id="image", question="Which colour?", answer="red", images=(picture("red"),), metadata={"source": "check"}),
        Prompt(
            id="images", question="Which is blue?", answer="B", images=(picture("red"), picture("blue")), choices=("1", "2")
        ),
        Prompt(id="long", question="Count. " * 3000, answer="3000", kind="number", category="counting", difficulty="3"),
        Prompt(id="unicode", question="\u4e8c\u52a0\u4e8c\uff1f \u202e", answer="\u56db"),
        Prompt(id="bare", question="?", answer="0"),
    ]
