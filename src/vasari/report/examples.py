"""Choose prompts for the page: examples before and after training, and probable wrong labels."""

from __future__ import annotations

import base64
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vasari.core.errors import VasariError
from vasari.core.records import Prompt
from vasari.data.images import open_image
from vasari.report.inputs import Groups, Run, read_rollouts, shown, solved_share

MAX_EXAMPLES = 8
MAX_SUSPECTS = 9
"""Probable wrong labels that are shown with their picture; all are counted."""

MIN_VISITS, STEADY = 3, 0.8
"""Fewest visits of a suspect, and the share of them that must have the same majority answer."""

MAX_TEXT = 1_600
"""Characters of a rollout that are shown."""

_THUMBNAIL = 256
"""Longest side of a picture, in pixels."""

_TAG = re.compile(r"(</?(?:think|answer)>)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A prompt with a probably wrong label: its rollouts agree on an answer judged incorrect."""

    prompt_id: str
    answer: str
    """The answer that the rollouts agree on."""
    share: float
    """Share of rollouts with this answer, among the rollouts that state one."""
    num_visits: int
    num_steady: int
    """Visits (groups of rollouts) in which this answer had the most votes."""
    num_rollouts: int
    """Rollouts that state an answer."""


def pick_examples(
    run: Run, pool: Sequence[Prompt], *, before: str, after: str | None
) -> list[dict[str, Any]]:
    """Choose test prompts to show with rollouts: most improved, still unsolved, worsened, others.

    Within each of these, prompts of families that are not yet shown come first.
    """
    first = read_rollouts(run, before)
    last = read_rollouts(run, after) if after else {}
    shared = [p for p in pool if p.id in first and (p.id in last or not last)]
    gains = {
        p.id: solved_share(last[p.id]["verdicts"]) - solved_share(first[p.id]["verdicts"])
        if last
        else 0.0
        for p in shared
    }
    ranked = sorted(shared, key=lambda p: (-gains[p.id], p.id))
    failing = [p for p in ranked if solved_share((last or first)[p.id]["verdicts"]) == 0.0]
    gained = [p for p in ranked if gains[p.id] > 0]
    lost = [p for p in reversed(ranked) if gains[p.id] < 0]
    chosen: dict[str, str] = {}
    for reason, candidates, limit in (
        ("gained", gained, 4),
        ("still wrong", failing, 2),
        ("lost", lost, 1),
        ("", ranked, MAX_EXAMPLES),
    ):
        _take(chosen, candidates, reason, min(limit, MAX_EXAMPLES - len(chosen)))
    by_id = {p.id: p for p in shared}
    return [
        _card(by_id[key], key)
        | {"reason": reason, "before": _said(first.get(key)), "after": _said(last.get(key))}
        for key, reason in chosen.items()
    ]


def probable_wrong_labels(arms: Sequence[Groups]) -> list[Suspect]:
    """Find prompts whose rollouts mostly agree on an answer judged incorrect, the surest first.

    A visit is a group of rollouts that state at least one answer; its majority is the answer with
    the most votes, ignoring case and spaces. A prompt is suspect if its most frequent majority
    answer holds in a share `STEADY` of at least `MIN_VISITS` visits, is given by more than half of
    all rollouts that state an answer, and was never judged correct.
    """
    votes: dict[str, list[Counter[str]]] = {}
    spelled: dict[tuple[str, str], str] = {}
    right: set[tuple[str, str]] = set()
    for groups in arms:
        for prompt_id, said, verdicts in zip(
            groups.prompt_id, groups.extractions, groups.verdicts, strict=True
        ):
            counts: Counter[str] = Counter()
            for answer, verdict in zip(said, verdicts, strict=False):
                if answer is None or math.isnan(verdict):
                    continue
                key = _spelling(answer)
                counts[key] += 1
                spelled.setdefault((prompt_id, key), answer)
                if verdict == 1.0:
                    right.add((prompt_id, key))
            if counts:
                votes.setdefault(prompt_id, []).append(counts)
    found = [
        suspect
        for prompt_id, visits in votes.items()
        if len(visits) >= MIN_VISITS
        and (suspect := _suspect(prompt_id, visits, spelled, right)) is not None
    ]
    return sorted(found, key=lambda s: (-s.share * math.log1p(s.num_rollouts), s.prompt_id))


def suspect_cards(suspects: Sequence[Suspect], pool: Mapping[str, Prompt]) -> list[dict[str, Any]]:
    """Return page entries for the first `MAX_SUSPECTS` prompts with probably wrong labels."""
    return [
        _card(pool.get(s.prompt_id), s.prompt_id)
        | {
            "suspect": s,
            "steady": _with_option(s.answer, pool.get(s.prompt_id)),
            "planted": planted(pool.get(s.prompt_id)),
        }
        for s in suspects[:MAX_SUSPECTS]
    ]


def planted(prompt: Prompt | None) -> str | None:
    """Return the defect planted in a generated prompt, e.g. "wrong_label"; None if it has none."""
    found = prompt.metadata.get("imperfection") if prompt is not None else None
    return shown(found, 40) if found else None


def _suspect(
    prompt_id: str,
    visits: Sequence[Counter[str]],
    spelled: Mapping[tuple[str, str], str],
    right: set[tuple[str, str]],
) -> Suspect | None:
    majorities = Counter(
        min(counts, key=lambda answer: (-counts[answer], answer)) for counts in visits
    )
    answer = min(majorities, key=lambda key: (-majorities[key], key))
    given = sum(counts[answer] for counts in visits)
    answered = sum(counts.total() for counts in visits)
    if (
        majorities[answer] < STEADY * len(visits)
        or given <= answered / 2
        or (prompt_id, answer) in right
    ):
        return None
    return Suspect(
        prompt_id=prompt_id,
        answer=spelled[prompt_id, answer],
        share=given / answered,
        num_visits=len(visits),
        num_steady=majorities[answer],
        num_rollouts=answered,
    )


def _spelling(answer: str) -> str:
    return " ".join(answer.split()).casefold()


def _take(chosen: dict[str, str], candidates: Sequence[Prompt], reason: str, limit: int) -> None:
    """Add up to `limit` candidates to the chosen prompts, spread over task families."""
    families: Counter[str] = Counter()
    rest = [p for p in candidates if p.id not in chosen]
    for _ in range(limit):
        if not rest:
            return
        best = min(range(len(rest)), key=lambda place: (families[rest[place].category], place))
        prompt = rest.pop(best)
        families[prompt.category] += 1
        chosen[prompt.id] = reason


def _card(prompt: Prompt | None, prompt_id: str) -> dict[str, Any]:
    """Return the parts of a prompt that the page shows; only the id if it is not in the pool."""
    if prompt is None:
        words = dict.fromkeys(("question", "category", "difficulty"), "")
        lists: dict[str, list[Any]] = {"choices": [], "images": []}
        return {"id": shown(prompt_id, 120), **words, **lists, "reference": "\u2013"}
    return {
        "id": shown(prompt.id, 120),
        "question": shown(prompt.question, MAX_TEXT),
        "choices": [shown(choice, 300) for choice in prompt.choices or ()][:26],
        "reference": _with_option(prompt.answer, prompt),
        "category": shown(prompt.category, 60),
        "difficulty": shown(prompt.difficulty, 60),
        "images": [thumbnail(prompt, place) for place in range(min(len(prompt.images), 4))],
    }


def _with_option(answer: str, prompt: Prompt | None) -> str:
    """Return the answer; an option's letter is followed by the option's text."""
    letter = answer.strip().strip("()").upper()
    choices = prompt.choices if prompt is not None else None
    if choices and len(letter) == 1 and 0 <= (place := ord(letter) - ord("A")) < len(choices):
        return shown(f"{letter}: {choices[place]}", 200)
    return shown(answer, 200)


def thumbnail(prompt: Prompt, place: int) -> dict[str, str]:
    """Return image number `place` of a prompt, scaled down, as a `data:` URL with alt text."""
    alt = f"Image {place + 1} of {len(prompt.images)} of prompt {shown(prompt.id, 120)}" + (
        f", {shown(prompt.category, 60)}" if prompt.category else ""
    )
    try:
        image = open_image(prompt.images[place], where=f"prompt {prompt.id!r}")
    except VasariError:
        return {"address": "", "alt": f"{alt}: it could not be read"}
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    best = b""
    # Drawings are smaller as PNG, photographs as JPEG.
    for kind, mime in (("PNG", "image/png"), ("JPEG", "image/jpeg")):
        sink = io.BytesIO()
        image.save(sink, format=kind, optimize=True, quality=82)
        if not best or sink.tell() < 0.6 * len(best):
            best, chosen = sink.getvalue(), mime
    return {"address": f"data:{chosen};base64,{base64.b64encode(best).decode()}", "alt": alt}


def _said(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a prompt's verdicts and two of its rollouts' texts, one correct if possible."""
    if row is None:
        return None
    verdicts, texts = list(row["verdicts"]), list(row["texts"])
    marks = [_mark(verdict) for verdict in verdicts]
    firsts = [marks.index(mark) for mark in ("correct", "incorrect") if mark in marks]
    order = list(dict.fromkeys([*firsts, *range(len(marks))]))
    rollouts = [
        {"mark": marks[i], "parts": _parts(texts[i])}
        for i in sorted(order[:2])
        if i < len(texts) and texts[i] is not None
    ]
    return {"marks": marks, "num_correct": marks.count("correct"), "rollouts": rollouts}


def _mark(verdict: float) -> str:
    return "unverifiable" if math.isnan(verdict) else "correct" if verdict == 1.0 else "incorrect"


def _parts(text: str) -> list[tuple[bool, str]]:
    """Split the text at the tags of the answer format, e.g. `<think>`; True marks a tag."""
    return [
        (bool(_TAG.fullmatch(piece)), piece) for piece in _TAG.split(shown(text, MAX_TEXT)) if piece
    ]
