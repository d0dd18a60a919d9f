"""The last step of a rescoring: an LLM judges the outputs that the rules left undecided."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from operator import attrgetter
from typing import Any, Self

from vasari.core.files import write_bytes
from vasari.core.progress import Tell
from vasari.core.records import Outcome, Verdict
from vasari.endpoint import RateLimits, ResponseStore
from vasari.evaluate.protocols import StoredOutput
from vasari.evaluate.protocols.paper import paper_undecided
from vasari.evaluate.protocols.vasari_rule import as_letter, repair
from vasari.evaluate.rescore_settings import RescoreDir, RescoreSettings
from vasari.evaluate.verdicts import as_line, read_verdicts, verdict_file
from vasari.verify.judge import Judged, JudgeItem, JudgeSettings, is_undecided, judge_all
from vasari.verify.questions import options_in_question


class UndecidedOutputs:
    """The outputs that the rules left undecided, as a judge's input, on disk until it is asked.

    They are gathered while the rules run, so that the input is read once for both.
    """

    def __init__(self, protocols: Sequence[str]) -> None:
        self.num_outputs = 0
        self.places: dict[str, list[int]] = {name: [] for name in protocols}
        """Of the undecided outputs, among all, by protocol."""
        self._files = {
            name: tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - `__exit__` does
            for name in protocols
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def add(self, output: StoredOutput, verdicts: Mapping[str, Verdict]) -> None:
        """Take the next output with the verdicts of the rules, by protocol."""
        for name, file in self._files.items():
            item = judge_item(name, output, verdicts[name])
            if item.undecided:
                self.places[name].append(self.num_outputs)
                file.write(json.dumps(asdict(item), default=attrgetter("value")) + "\n")
        self.num_outputs += 1

    def items(self, protocol: str) -> Iterator[JudgeItem]:
        """Yield what was taken for a protocol, in order."""
        file = self._files[protocol]
        file.seek(0)
        for line in file:
            row = json.loads(line)
            verdict, choices = row.pop("verdict"), row.pop("choices")
            verdict["outcome"] = Outcome(verdict["outcome"])
            yield JudgeItem(verdict=Verdict(**verdict), choices=choices and tuple(choices), **row)


def judge_undecided(
    settings: RescoreSettings,
    judge: JudgeSettings,
    folder: RescoreDir,
    undecided: UndecidedOutputs,
    *,
    tell: Tell,
) -> dict[str, Any]:
    """Ask an LLM judge about outputs left undecided by rules; write verdicts, return counts.

    Raises:
        ConfigError: The judge's key is not set, or there is a budget and no price.
        StorageError: The disk refused.
    """
    found: dict[str, Any] = {}
    before = undecided.num_outputs
    limits = RateLimits.of(judge.endpoint)
    with ResponseStore(judge.store or folder.root / "judge") as store:
        for name in settings.judged:
            places = undecided.places[name]
            total = len(places)

            # Behind the outputs that the rules are done with, so that what is left is estimated
            # from both.
            def took(done: int, name: str = name, total: int = total, before: int = before) -> None:
                tell(before + done, before + total, f"judge, {name}")

            judged = judge_all(undecided.items(name), judge, store, took=took, limits=limits)
            settled = dict(zip(places, judged.verdicts, strict=True))
            lines = (
                as_line(identity, settled.get(place, verdict))
                for place, (identity, verdict) in enumerate(
                    read_verdicts(folder.by_rules(settings, name))
                )
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
