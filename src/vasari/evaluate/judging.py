"""The last step of a rescoring: an LLM judges the outputs that the rules left undecided."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from vasari.core.files import write_bytes
from vasari.core.progress import Tell
from vasari.core.records import Verdict
from vasari.endpoint import RateLimits, ResponseStore
from vasari.evaluate.protocols import StoredOutput
from vasari.evaluate.protocols.paper import paper_undecided
from vasari.evaluate.protocols.vasari_rule import as_letter, repair
from vasari.evaluate.rescore_settings import RescoreDir, RescoreSettings
from vasari.evaluate.verdicts import as_line, read_verdicts, verdict_file
from vasari.verify.judge import Judged, JudgeItem, JudgeSettings, is_undecided, judge_all
from vasari.verify.questions import options_in_question

Outputs = Callable[[], Iterator[StoredOutput]]
"""Function that reads the stored outputs anew, from the first on."""


def judge_undecided(
    settings: RescoreSettings,
    judge: JudgeSettings,
    folder: RescoreDir,
    outputs: Outputs,
    *,
    tell: Tell,
) -> dict[str, Any]:
    """Ask an LLM judge about outputs left undecided by rules; write verdicts, return counts.

    Raises:
        ConfigError: The judge's key is not set, or there is a budget and no price.
        StorageError: The disk refused.
    """
    found: dict[str, Any] = {}
    before = sum(1 for _ in outputs())
    limits = RateLimits.of(judge.endpoint)
    with ResponseStore(judge.store or folder.root / "judge") as store:
        for name in settings.judged:

            def items(name: str = name) -> Iterator[JudgeItem]:
                rules = read_verdicts(folder.by_rules(settings, name))
                for output, (_, verdict) in zip(outputs(), rules, strict=True):
                    yield judge_item(name, output, verdict)

            total = sum(bool(item.undecided) for item in items())

            # Behind the outputs that the rules are done with, so that what is left is estimated
            # from both.
            def took(done: int, name: str = name, total: int = total, before: int = before) -> None:
                tell(before + done, before + total, f"judge, {name}")

            judged = judge_all(items(), judge, store, took=took, limits=limits)
            lines = (
                as_line(output.id, verdict)
                for output, verdict in zip(outputs(), judged.verdicts, strict=True)
            )
            path = verdict_file(folder.root, settings.protocols, name)
            write_bytes(path, "".join(lines).encode())
            found[name] = _as_json(judged)
            before += total
    return {"model": judge.model, "format": judge.format, "protocols": found}


def judge_item(protocol: str, output: StoredOutput, verdict: Verdict) -> JudgeItem:
    """Return an LLM judge's input on a stored output: texts, and the verdict of the rules."""
    answer = repair("; ".join(output.answers) if len(output.answers) > 1 else output.answer)
    if len(output.alternatives) > 1:
        answer = repair(" or ".join(output.alternatives))
    choices = tuple(map(repair, output.choices)) if output.choices else None
    if choices:
        answer = as_letter(answer, choices, by_text=output.question_type == "multi_choice")
    if protocol == "paper":
        undecided = paper_undecided(output, verdict)
    else:
        undecided = is_undecided(verdict, answer, choices or options_in_question(output.question))
    return JudgeItem(
        verdict=verdict,
        answer=answer,
        response=output.response,
        question=output.question,
        choices=choices,
        undecided=undecided,
        id=f"{output.benchmark} {output.model} {output.id}",
    )


def _as_json(judged: Judged) -> dict[str, Any]:
    report = judged.report
    return {
        "num_undecided": judged.num_undecided,
        "num_kept": judged.num_kept,
        "num_asked": judged.num_asked,
        "num_without_verdict": judged.num_without_verdict,
        "replies_bought": report.answered,
        "replies_from_store": report.from_store,
        "failed": dict(report.failed),
        "input_tokens": sum(usage.input_tokens for usage in report.usage.values()),
        "output_tokens": sum(usage.output_tokens for usage in report.usage.values()),
        "money": str(report.money),
        "stopped_by": report.stopped_by,
    }
