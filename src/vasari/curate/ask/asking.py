"""Sends prompts to a model as requests, and collects its answers by prompt.

The reference answer is no part of a request made here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vasari.core.errors import DataError
from vasari.core.records import Prompt, Verdict
from vasari.curate.stage import AskedModel, Dropped, Reason
from vasari.endpoint import Answers, Request, Response, ask_all, image_part
from vasari.model.endpoint_policy import request_messages
from vasari.verify.judge import Judged, JudgeItem

T = TypeVar("T")
Case = TypeVar("Case")

Appeal = Callable[[Sequence[JudgeItem]], Judged]
"""Function that asks the recipe's judge model for verdicts that the rules leave undecided."""

_NO_ANSWER = ("withheld", "declined", "empty")
"""Reasons of failures that a server sent as answers."""

Settled = Callable[[int, Sequence[Response]], "bool | Awaitable[bool]"]
"""Function of a prompt's position and its answers so far: whether no further answer is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptAnswers:
    """A model's answers to prompts, and why no request could be made for some prompts."""

    answers: Mapping[int, Answers]
    """Answers by position of the prompt; what is none of the model is among the failures."""
    unreadable: Mapping[int, str]
    """Why no request could be made, by position: an image is missing, or the question marks more
    images than there are."""

    def unanswered(self, index: int, *, failed: str, whole: bool = False) -> Reason | None:
        """Reason and detail for dropping a prompt that the model did not answer; None if it did.

        Args:
            index: Position of the prompt.
            failed: The reason to give when the server failed. Where the run stopped first it is
                "not_asked", and another run asks; where no request could be made it is
                "unreadable".
            whole: A prompt that the run stopped before all its answers is "not_asked" too.
        """
        if index in self.unreadable:
            return "unreadable", self.unreadable[index]
        found = self.answers[index]
        if found.responses:
            return ("not_asked", "the run stopped first") if whole and self.stopped(index) else None
        failure = found.failures[-1]
        reason = "not_asked" if self.stopped(index) else failed
        return reason, f"{failure.reason}: {failure.detail}"[:500]

    def dropped(self, index: int, prompt: Prompt, *, failed: str) -> Dropped | None:
        """The `Dropped` record of a prompt that the model did not answer; None if it did."""
        reason = self.unanswered(index, failed=failed)
        if reason is None:
            return None
        return Dropped(index=index, id=prompt.id, reason=reason[0], detail=reason[1])

    def lost(self, of: str) -> Counter[str]:
        """Counts of what came and is no answer: `OF_withheld`, `OF_empty` and `OF_declined`."""
        return Counter(
            f"{of}_{failure.reason}"
            for found in self.answers.values()
            for failure in found.failures
            if failure.reason in _NO_ANSWER
        )

    def stopped(self, index: int) -> bool:
        """Whether the run stopped before the model was asked for all answers to a prompt.

        The next run asks for the rest.
        """
        return index in self.answers and any(
            failure.reason == "not_sent" for failure in self.answers[index].failures
        )


def once(judge: Callable[[int, Response], T]) -> Callable[[int, Response], T]:
    """Wrap `judge` in a cache, so that each response to each prompt is judged only once."""
    known: dict[tuple[int, int], T] = {}

    def remembered(index: int, response: Response) -> T:
        place = (index, response.index)
        if place not in known:
            known[place] = judge(index, response)
        return known[place]

    return remembered


def ask_judge(
    cases: Mapping[Case, tuple[Prompt, Verdict, str]],
    appeal: Appeal | None,
    counts: Counter[str],
) -> tuple[dict[Case, Verdict], bool]:
    """Return a judge model's verdict on each case (prompt and text), and whether it was stopped.

    Args:
        cases: Prompt, the verdict of the rules, and the text that is judged.
        appeal: The judge; without one no case gets a verdict.
        counts: Takes `judge_asked` and `judge_without_verdict`.
    """
    if appeal is None:
        return {}, False
    items = [
        JudgeItem(
            verdict=verdict,
            answer=prompt.answer,
            response=text,
            question=prompt.question,
            choices=prompt.choices,
            id=prompt.id,
        )
        for prompt, verdict, text in cases.values()
    ]
    found = appeal(items)
    counts["judge_asked"] += found.num_asked
    counts["judge_without_verdict"] += found.num_without_verdict
    return dict(zip(cases, found.verdicts, strict=True)), bool(found.report.stopped_by)


def prompt_request(
    prompt: Prompt,
    model: AskedModel,
    *,
    system: str = "",
    seed: int | None = None,
    with_images: bool = True,
) -> Request:
    """Build the request that sends a prompt to a model: question, lettered options, images.

    Raises:
        DataError: An image is missing or of a kind that servers do not take, or the marks do not
            fit the images.
    """
    messages = request_messages(
        prompt,
        system=system,
        with_images=with_images,
        image=lambda ref: image_part(ref, where=f"prompt {prompt.id!r}"),
    )
    return Request(
        model=model.model,
        messages=messages,
        sampling=model.sampling,
        seed=seed,
        id=prompt.id,
    )


def ask_prompts(
    prompts: Sequence[Prompt],
    model: AskedModel,
    make: Callable[[Prompt], Request],
    *,
    positions: Sequence[int] | None = None,
    num_responses: int = 1,
    settled: Settled | None = None,
) -> PromptAnswers:
    """Get a model's answers to each prompt, from the store if it has them, else from the server.

    Args:
        prompts: The stage's prompts.
        model: The model that is asked.
        make: Builds the request of a prompt; a DataError from it costs that prompt only.
        positions: Which prompts to ask about; all by default.
        num_responses: Most answers per prompt.
        settled: Called after each answer but the last: whether to stop asking about that prompt.

    Raises:
        StorageError: The disk refuses to keep answers.
        ConfigError: The key's variable is not set, or a model has no price and there is a budget.
    """
    wanted = range(len(prompts)) if positions is None else positions
    asked: list[int] = []
    unreadable: dict[int, str] = {}
    answers: dict[int, Answers] = {}
    place_of: dict[int, int] = {}

    def requests() -> Iterator[Request]:
        for index in wanted:
            try:
                request = make(prompts[index])
            except DataError as error:
                unreadable[index] = str(error)
                continue
            # By identity: two prompts may ask the same with different references.
            place_of[id(request)] = index
            asked.append(index)
            yield request

    def take(found: Answers) -> None:
        answers[asked[found.position]] = found
        if model.progress is not None:
            model.progress(len(answers) + len(unreadable), len(wanted))

    def decided(request: Request, responses: Sequence[Response]) -> bool | Awaitable[bool]:
        return settled is not None and settled(place_of[id(request)], responses)

    ask_all(
        model.settings,
        model.store,
        requests(),
        num_responses=num_responses,
        decided=decided if settled is not None else None,
        retry_failed=model.retry_failed,
        limits=model.limits,
        take=take,
    )
    return PromptAnswers(answers=answers, unreadable=unreadable)
