"""Validity stage: finds unverifiable references, unneeded images and doubtful answers.

Three checks, each of which can be left out. Benchmarks are full of prompts that a model solves
without seeing the picture and of wrong keys (`docs/curate_reference.md`); both waste training, the
first because it teaches guessing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field

from vasari.core.records import Outcome, Prompt, Verdict
from vasari.core.settings import Settings
from vasari.curate.ask.asking import ask_prompts, once, prompt_request
from vasari.curate.stage import AskedModel, Reason, StageResult, sort_out
from vasari.endpoint import Request, Response
from vasari.evaluate.votes import vote_of
from vasari.model.chat import MMR1_SYSTEM_PROMPT
from vasari.verify import verify

BLIND_PROMPT: Final = (
    "A problem is given without the picture that belongs to it. Answer it all the same: reason from"
    " the text, and where that does not settle it, give the most likely answer. Put the final"
    " answer in \\boxed{}; if options with letters are given, only the letter of one."
)


class ValiditySettings(Settings):
    """Settings of the validity stage: which checks prompts must pass, and their thresholds."""

    verify_reference: bool = True
    """Drop prompts whose own reference does not verify as an answer to them; needs no model."""
    num_blind: int = Field(default=8, ge=0, le=64)
    """Most rollouts without the images; 0 leaves this check out. Prompts without images are not
    checked."""
    max_blind_pass_rate: float = Field(default=0.5, ge=0.0, le=1.0)
    """A prompt whose blind pass rate is above this is answerable without its image."""
    max_guess_probability: float = Field(default=0.05, gt=0.0, le=1.0)
    """For multiple choice: the blind pass rate counts only if the probability that guessing among
    the options reaches it is below this."""
    num_sighted: int = Field(default=0, ge=0, le=64)
    """Rollouts with the images that look for another answer; 0 leaves this check out."""
    min_agreement: float = Field(default=0.75, gt=0.5, le=1.0)
    """Share of the sighted rollouts that must agree on one other answer for a prompt to be
    contested."""
    drop_contested: bool = False
    """Drop contested prompts; else they are kept with `metadata["contested"]`."""
    system: str = MMR1_SYSTEM_PROMPT
    """System prompt of the rollouts with the images."""
    blind_system: str = BLIND_PROMPT
    """System prompt of the rollouts without the images."""
    seed: int | None = None
    """Seed sent to the server; None for servers that take none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """A prompt's answer, other than its reference, on which enough of a model's rollouts agree."""

    answer: str
    share: float
    """Share of all rollouts that give this answer; those that are no answer give none."""
    num_rollouts: int


def validity(
    prompts: Sequence[Prompt], model: AskedModel, settings: ValiditySettings
) -> StageResult:
    """Keep the prompts that pass the validity checks (reference, need for images, other answers).

    Reasons of a drop: "reference_unverifiable", "answerable_blind", "contested".

    A prompt whose requests failed is not judged by that check and kept, except when the run stopped
    first ("not_asked") or no request could be made ("unreadable"). Kept prompts have
    `metadata["validity"]`: the blind rollouts and how many were right. Counts: `contested`,
    `blind_failed`, `sighted_failed`, `blind_rollouts`, `blind_correct`.
    """
    counts: Counter[str] = Counter()
    reasons: dict[int, Reason] = {}
    if settings.verify_reference:
        for index, prompt in enumerate(prompts):
            if why := unverifiable_reference(prompt):
                reasons[index] = "reference_unverifiable", why
    facts: dict[int, dict[str, Any]] = {}
    for num, check in ((settings.num_blind, _blind), (settings.num_sighted, _sighted)):
        wanted = [index for index in range(len(prompts)) if index not in reasons]
        for index, found in check(prompts, wanted, model, settings, counts).items() if num else ():
            if isinstance(found, dict):
                facts[index] = facts.get(index, {}) | found
            else:
                reasons[index] = found

    def decide(index: int, prompt: Prompt) -> Prompt | Reason:
        if index in reasons:
            return reasons[index]
        metadata = dict(prompt.metadata) | facts.get(index, {})
        return dataclasses.replace(prompt, metadata=metadata)

    result = sort_out(prompts, decide)
    return dataclasses.replace(result, counts=+counts)


def blind_request(prompt: Prompt, model: AskedModel, settings: ValiditySettings) -> Request:
    """Build the request for rollouts of a prompt without its images.

    Raises DataError where the prompt's image marks do not fit.
    """
    return prompt_request(
        prompt, model, system=settings.blind_system, seed=settings.seed, with_images=False
    )


def sighted_request(prompt: Prompt, model: AskedModel, settings: ValiditySettings) -> Request:
    """Build the request for rollouts of a prompt with its images.

    Raises DataError where an image cannot be sent.
    """
    return prompt_request(prompt, model, system=settings.system, seed=settings.seed)


def unverifiable_reference(prompt: Prompt) -> str:
    """Why the verifier does not accept a prompt's own reference answer; empty if it does."""
    verdict = verify(f"\\boxed{{{prompt.answer}}}", prompt)
    if verdict.outcome is Outcome.CORRECT:
        return ""
    return (
        verdict.reason
        or f"{prompt.answer[:120]!r} is not equal to itself by rule {verdict.decided_by!r}"
    )


def guess_probability(num_correct: int, num_rollouts: int, num_options: int) -> float:
    """Probability that of `num_rollouts` random guesses at least `num_correct` are right.

    The upper tail of Binomial(num_rollouts, 1 / num_options).
    """
    chance = 1 / num_options
    return sum(
        math.comb(num_rollouts, right) * chance**right * (1 - chance) ** (num_rollouts - right)
        for right in range(num_correct, num_rollouts + 1)
    )


def is_answerable_blind(
    verdicts: Sequence[float], num_options: int, settings: ValiditySettings
) -> bool:
    """Whether the verdicts of rollouts without a prompt's image show that it needs no image.

    Args:
        verdicts: 1 right, 0 wrong (unreadable rollouts included: they did not find the answer).
        num_options: Options of a multiple-choice prompt; 0 for an open one, which is not guessed.
        settings: The thresholds.
    """
    right = int(sum(verdicts))
    if not verdicts or right <= settings.max_blind_pass_rate * len(verdicts):
        return False
    return (
        num_options < 2
        or guess_probability(right, len(verdicts), num_options) < settings.max_guess_probability
    )


def contest(
    answers: Sequence[tuple[str | None, Verdict]], num_rollouts: int, settings: ValiditySettings
) -> Contest | None:
    """Answer, other than the reference, on which enough of a prompt's rollouts agree, or None.

    Args:
        answers: What each rollout that was read votes for (`vote_of`), and its verdict.
        num_rollouts: All rollouts, cut off and failed ones included.
        settings: The share that must agree.
    """
    votes = Counter(
        vote for vote, verdict in answers if vote and verdict.outcome is Outcome.INCORRECT
    )
    if not votes:
        return None
    answer, count = max(votes.items(), key=lambda one: (one[1], one[0]))
    share = count / num_rollouts
    return (
        Contest(answer=answer, share=share, num_rollouts=num_rollouts)
        if share >= settings.min_agreement
        else None
    )


Outcomes = Mapping[int, Reason | dict[str, Any]]
"""By position of the prompt: why it is dropped, or the entries added to its metadata."""


def _blind(
    prompts: Sequence[Prompt],
    wanted: Sequence[int],
    model: AskedModel,
    settings: ValiditySettings,
    counts: Counter[str],
) -> Outcomes:
    """Find the prompts with images that rollouts without the images solve too often.

    Rollouts are drawn until no further one can change the outcome.
    """
    wanted = [index for index in wanted if prompts[index].images]
    verdict = once(
        lambda index, response: float(
            not response.truncated and _verdict(prompts[index], response).outcome is Outcome.CORRECT
        )
    )

    async def settled(index: int, responses: Sequence[Response]) -> bool:
        await asyncio.to_thread(verdict, index, responses[-1])
        so_far = [verdict(index, response) for response in responses]
        left, options = settings.num_blind - len(so_far), len(prompts[index].choices or ())
        at_best = is_answerable_blind([*so_far, *[1.0] * left], options, settings)
        at_worst = is_answerable_blind([*so_far, *[0.0] * left], options, settings)
        return at_best == at_worst

    found = ask_prompts(
        prompts,
        model,
        lambda prompt: blind_request(prompt, model, settings),
        positions=wanted,
        num_responses=settings.num_blind,
        settled=settled,
    )
    counts.update(found.lost("blind"))
    outcomes: dict[int, Reason | dict[str, Any]] = {}
    for index in wanted:
        reason = found.unanswered(index, failed="blind_failed")
        if reason is not None:
            if reason[0] == "blind_failed":
                counts["blind_failed"] += 1
            else:
                outcomes[index] = reason
            continue
        answers = found.answers[index]
        group = [verdict(index, one) for one in answers.responses if not one.truncated]
        right, options = int(sum(group)), len(prompts[index].choices or ())
        # What was asked and brought no answer.
        lost = len(answers.responses) - len(group) + len(answers.failures)
        rollouts = {"blind_rollouts": len(group), "blind_correct": right}
        counts.update(rollouts, blind_truncated=len(answers.responses) - len(group))
        outcomes[index] = {"validity": rollouts}
        if found.stopped(index) and is_answerable_blind([*group, *[1.0] * lost], options, settings):
            detail = f"the run was stopped after {len(group)} blind rollouts"
            outcomes[index] = "not_asked", detail
        # What is no answer says nothing for the prompt to be dropped.
        elif is_answerable_blind([*group, *[0.0] * lost], options, settings):
            detail = f"right in {right} of {len(group)} rollouts without the image"
            outcomes[index] = "answerable_blind", detail
    return outcomes


def _sighted(
    prompts: Sequence[Prompt],
    wanted: Sequence[int],
    model: AskedModel,
    settings: ValiditySettings,
    counts: Counter[str],
) -> Outcomes:
    """Find another answer on which rollouts with images agree, for each prompt."""
    found = ask_prompts(
        prompts,
        model,
        lambda prompt: sighted_request(prompt, model, settings),
        positions=wanted,
        num_responses=settings.num_sighted,
    )
    counts.update(found.lost("sighted"))
    outcomes: dict[int, Reason | dict[str, Any]] = {}
    for index in wanted:
        prompt = prompts[index]
        reason = found.unanswered(index, failed="sighted_failed", whole=True)
        if reason is not None:
            if reason[0] == "sighted_failed":
                counts["sighted_failed"] += 1
            else:
                outcomes[index] = reason
            continue
        read = [
            _verdict(prompt, response)
            for response in found.answers[index].responses
            if not response.truncated
        ]
        other = contest(
            [(vote_of(one.extraction, prompt), one) for one in read], settings.num_sighted, settings
        )
        if other is None:
            continue
        counts["contested"] += 1
        outcomes[index] = {"contested": dataclasses.asdict(other)}
        if settings.drop_contested:
            detail = f"{other.share:.0%} of {other.num_rollouts} rollouts answer {other.answer!r}"
            outcomes[index] = "contested", detail
    return outcomes


def _verdict(prompt: Prompt, response: Response) -> Verdict:
    return verify(response.text, prompt)
