"""A test that every curation stage must pass, whether built in or written by a user."""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image

from vasari.core.errors import StateError
from vasari.core.records import ImageRef, Prompt
from vasari.curate.own_stage import Function, decided
from vasari.curate.stage import StageResult


def check_stage(function: Function, **settings: Any) -> None:
    """Raise unless a curation stage decides on each prompt independently, and always the same.

    Args:
        function: Called as `function(prompts, **settings)`.
        **settings: Its settings, and `model=` for one that asks a model.

    Raises:
        AssertionError: It is broken; the message says how.
    """
    prompts = _prompts()
    given = copy.deepcopy(prompts)
    _decide(function, [], settings)
    once, again = _decide(function, prompts, settings), _decide(function, prompts, settings)
    if prompts != given:
        raise AssertionError(
            "the prompts that it was shown were changed; make new ones with dataclasses.replace"
        )
    if once != again:
        raise AssertionError("the same prompts were decided about in two ways")
    alone = [_decide(function, [prompt], settings) for prompt in prompts]
    kept = [prompt for result in alone for prompt in result.kept]
    reasons = [(drop.id, drop.reason) for result in alone for drop in result.dropped]
    if kept != list(once.kept) or reasons != [(drop.id, drop.reason) for drop in once.dropped]:
        raise AssertionError(
            "what becomes of a prompt depends on the prompts beside it, which are in its shard by"
            " chance; decide about each alone"
        )


def _decide(function: Function, prompts: Sequence[Prompt], settings: dict[str, Any]) -> StageResult:
    shown = [prompt.id for prompt in prompts]
    try:
        returned = function(list(prompts), **settings)
    except Exception as error:
        raise AssertionError(
            f"it raised {type(error).__name__} on the prompts {shown}: {error}"
        ) from error
    try:
        return decided(returned, prompts, stage=getattr(function, "__name__", "stage"))
    except StateError as error:
        raise AssertionError(str(error)) from error


def _prompts() -> list[Prompt]:
    """Sample prompts of many kinds, on which `check_stage` runs a stage.

    With no, one and two images, with options, without a solution, long, of other scripts, and with
    nothing but a question and an answer.
    """

    def picture(colour: str) -> ImageRef:
        data = io.BytesIO()
        Image.new("RGB", (32, 32), colour).save(data, "PNG")
        return ImageRef(data=data.getvalue())

    return [
        Prompt(
            id="text",
            question="What is 2 + 2?",
            answer="4",
            kind="number",
            solution="Two and two are four.",
        ),
        Prompt(
            id="image",
            question="Which colour?",
            answer="red",
            images=(picture("red"),),
            metadata={"source": "check"},
        ),
        Prompt(
            id="images",
            question="Which is blue?",
            answer="B",
            images=(picture("red"), picture("blue")),
            choices=("1", "2"),
        ),
        Prompt(
            id="long",
            question="Count. " * 3000,
            answer="3000",
            kind="number",
            category="counting",
            difficulty="3",
        ),
        Prompt(id="unicode", question="\u4e8c\u52a0\u4e8c\uff1f \u202e", answer="\u56db"),
        Prompt(id="bare", question="?", answer="0"),
    ]
