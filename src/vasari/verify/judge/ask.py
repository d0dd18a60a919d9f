"""Asking an LLM judge about undecided verdicts, many at once; every reply is stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from vasari.core.records import Outcome, Verdict
from vasari.endpoint import (
    RETRIABLE,
    Answers,
    RateLimits,
    Request,
    Response,
    ResponseStore,
    RunReport,
    ask_all,
    user_message,
)
from vasari.verify.choices import named_letters
from vasari.verify.judge.formats import FORMATS, JudgeFormat, Reading
from vasari.verify.judge.settings import JudgeSettings
from vasari.verify.judge.shown import (
    addresses_judge,
    clean,
    cut_middle,
    cut_start,
    secret_code,
    spelled_out,
    visible_end,
    with_options,
)
from vasari.verify.normalise import normalise
from vasari.verify.numbers import is_value

_SPOKEN = re.compile(r"\w")
_WORD = re.compile(r"(?<![\\a-zA-Z])[^\W\d_]{3,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeItem:
    """Input of an LLM judge: a response, the reference answer, and the verdict of the rules."""

    verdict: Verdict
    """The verdict of the rules."""
    answer: str
    """The reference answer."""
    response: str
    question: str = ""
    choices: tuple[str, ...] | None = None
    undecided: bool | None = None
    """Whether a judge may be asked; None: as `is_undecided` says of a verdict by
    `verify_answer`."""
    id: str = ""
    """Name of the item in the table of failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Verdicts after an LLM judge was asked, with counts of judged responses and the cost."""

    verdicts: tuple[Verdict, ...]
    """One for each item, in order: the judge's where it was asked, else the rules'."""
    num_undecided: int
    num_kept: int
    """Undecided but not sent to the judge, for the reason in the verdict: the answer addresses the
    judge, or is too long."""
    num_asked: int
    num_without_verdict: int
    """Sent to the judge and still UNVERIFIABLE: it failed, was unreadable, or could not decide."""
    report: RunReport
    """Requests, failures, tokens and money of this run."""


def judge_verdicts(
    items: Iterable[JudgeItem], settings: JudgeSettings, store: ResponseStore
) -> list[Verdict]:
    """Return a verdict per response, in order: the LLM judge's if it was asked, else the rules'."""
    return list(judge_all(items, settings, store).verdicts)


def judge_all(
    items: Iterable[JudgeItem],
    settings: JudgeSettings,
    store: ResponseStore,
    *,
    took: Callable[[int], None] | None = None,
    limits: RateLimits | None = None,
) -> Judged:
    """Ask an LLM judge about responses that the rules left undecided; return verdicts and counts.

    A judge that fails, or whose reply holds no label, is UNVERIFIABLE, `decided_by: judge`, with
    the reason. An answer that addresses the judge, or is one of its labels, is not sent to it and
    keeps the verdict of the rules. Replies in `store` cost nothing; failures that may pass (a
    server that is down, an account without credit) are asked again.

    Args:
        items: Taken as there is room; only verdicts are kept in memory.
        settings: The judge.
        store: Where replies are kept and looked up.
        took: Called with the number of items judged so far.
        limits: Of the server, where others ask it too (`vasari.endpoint.RateLimits`).

    Raises:
        StorageError: The disk refuses to keep replies.
        ConfigError: The key's variable is not set, or there is a budget and no price.
    """
    judging = _Judging(settings, took)
    asked = ask_all(
        settings.endpoint,
        store,
        judging.requests(items),
        num_responses=settings.num_replies,
        decided=judging.readable if settings.num_replies > 1 else None,
        # What was billed (an empty reply) is not bought again in each run.
        retry_failed=RETRIABLE - {"withheld", "declined", "empty"},
        limits=limits,
        take=judging.take,
    )
    return Judged(
        verdicts=tuple(judging.verdicts),
        num_undecided=len(judging.places) + judging.num_kept,
        num_kept=judging.num_kept,
        num_asked=len(judging.places),
        num_without_verdict=sum(
            judging.verdicts[place].outcome is Outcome.UNVERIFIABLE for place in judging.places
        ),
        report=asked.report,
    )


def is_undecided(verdict: Verdict, answer: str, choices: Sequence[str] | None = None) -> bool:
    """Whether the rules left a verdict of `verify_answer` undecided, so a judge may be asked.

    A judge may be asked where it can help and cannot make a right verdict wrong:

    | the rules say | undecided |
    | --- | --- |
    | CORRECT | never |
    | INCORRECT by "text" | always: other words may mean the same |
    | INCORRECT by "set" | where the reference has words |
    | INCORRECT by "number" or "symbolic" | where the answer is in words, and no value |
    | INCORRECT by "choice" | where the answer names no option and is no number |
    | INCORRECT by "no_answer", "ambiguous", "limit" | never: no answer, several, or too large |
    | UNVERIFIABLE by "symbolic" | always: the comparison failed on our side |
    | UNVERIFIABLE by "reference" | where there is a reference and there are no options |
    """
    rule, stated = verdict.decided_by, verdict.extraction
    if not answer.strip() or verdict.outcome is Outcome.CORRECT:
        return False
    if verdict.outcome is Outcome.UNVERIFIABLE:
        return rule == "symbolic" or (rule == "reference" and not choices)
    if stated is None or not _SPOKEN.search(stated):
        return False
    if rule == "set":
        return bool(_WORD.search(answer))
    if rule == "choice":
        return bool(choices) and not named_letters(stated, choices) and not is_value(stated)
    if rule in ("number", "symbolic"):
        return bool(_WORD.search(normalise(stated))) and not is_value(stated)
    return rule == "text"


@dataclass(slots=True)
class _Judging:
    """The requests of a run, and the verdicts from its replies."""

    settings: JudgeSettings
    took: Callable[[int], None] | None
    verdicts: list[Verdict] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    """Where in `verdicts` the answers to each request belong."""
    codes: dict[str, str] = field(default_factory=dict)
    """By request key."""
    num_kept: int = 0
    num_taken: int = 0

    @property
    def format(self) -> JudgeFormat:
        return FORMATS[self.settings.format]

    def requests(self, items: Iterable[JudgeItem]) -> Iterator[Request]:
        """Yield a request to the LLM judge for each undecided response, in input order."""
        for item in items:
            place = len(self.verdicts)
            self.verdicts.append(item.verdict)
            undecided = item.undecided
            if undecided is None:
                undecided = is_undecided(item.verdict, item.answer, item.choices)
            if not undecided:
                continue
            request, code, why_not = _request(item, self.settings, self.format)
            if request is None:
                self.num_kept += 1
                self.verdicts[place] = replace(
                    item.verdict, reason=f"not put to the judge: {why_not}"
                )
                continue
            self.places.append(place)
            self.codes[request.key] = code
            yield request

    def read(self, request: Request, response: Response) -> Reading:
        """Return the verdict read from one reply of the LLM judge."""
        if response.truncated:
            return Reading(None, f"its reply was cut at {response.limit or 'some'} tokens")
        return self.format.read(response.text, self.codes[request.key])

    def readable(self, request: Request, responses: Sequence[Response]) -> bool:
        """Whether the judge's last reply is readable, so that no further reply is drawn."""
        return self.read(request, responses[-1]).outcome is not None

    def take(self, answers: Answers) -> None:
        """Replace the rules' verdict on a response by the verdict in the LLM judge's replies."""
        place = self.places[answers.position]
        self.verdicts[place] = self._verdict(self.verdicts[place], answers)
        self.num_taken += 1
        if self.took is not None:
            self.took(self.num_taken)

    def _verdict(self, before: Verdict, answers: Answers) -> Verdict:
        readings = [self.read(answers.request, response) for response in answers.responses]
        for reading in readings:
            if reading.outcome is Outcome.UNVERIFIABLE:
                return _failed(before, reading.reason)
            if reading.outcome is not None:
                return Verdict(reading.outcome, before.extraction, "judge")
        if readings:
            return _failed(before, readings[-1].reason)
        failure = answers.failures[-1]
        return _failed(
            before, f"{failure.reason}{': ' if failure.detail else ''}{failure.detail[:200]}"
        )


def _failed(before: Verdict, why: str) -> Verdict:
    return Verdict(Outcome.UNVERIFIABLE, before.extraction, "judge", f"judge: {why}")


def _request(
    item: JudgeItem, settings: JudgeSettings, form: JudgeFormat
) -> tuple[Request | None, str, str]:
    """The request and its code, or why there is none."""
    if len(item.answer) > settings.max_reference_chars:
        return None, "", f"the reference is longer than {settings.max_reference_chars} characters"
    stated = item.verdict.extraction
    if form.reads_response or stated is None:
        shown = visible_end(item.response, settings.max_response_chars)
    else:
        shown = cut_start(stated.strip(), settings.max_response_chars)
    if not shown.strip():
        return None, "", "the response is empty"
    if addresses_judge(shown):
        return None, "", "the answer speaks to the judge"
    question = clean(
        cut_middle(with_options(item.question, item.choices), settings.max_question_chars)
    )
    answer, shown = clean(spelled_out(item.answer, item.choices)), clean(shown)
    code = secret_code(question, answer, shown)
    if form.read(shown, code).outcome is not None:
        return None, "", "the answer is a label of the judge"
    prompt = form.prompt(
        question=question, answer=answer, response=shown, code=code, template=settings.template
    )
    request = Request(
        model=settings.model,
        messages=(user_message(prompt),),
        sampling=settings.sampling(),
        seed=settings.seed,
        id=clean(item.id)[:200],
    )
    return request, code, ""
