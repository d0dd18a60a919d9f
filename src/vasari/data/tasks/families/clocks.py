"""Clocks: read hands, then shift or compare times."""

from __future__ import annotations

from functools import partial

import numpy as np

from vasari.data.tasks.families.base import (
    CHOICE_SHARE,
    LeveledFamily,
    Question,
    near_numbers,
    pick,
    with_choices,
)
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Disc, Line, Mark, Point, Scene, around
from vasari.data.tasks.thinker import Thinker

_HOUR_COLOURS = ("red", "orange", "pink")
_MINUTE_COLOURS = ("blue", "green", "black")
_HALF_DAY = 720


def _clock_text(hour: int, minute: int) -> str:
    return f"{hour}:{minute:02d}"


def _time_of(minutes: int) -> str:
    """The dial's text for minutes after twelve."""
    hour, minute = divmod(minutes % _HALF_DAY, 60)
    return _clock_text(hour or 12, minute)


def _hour_of(minutes: int) -> int:
    return minutes // 60 or 12


def _read_hour(thinker: Thinker, minutes: int, what: str = "hour") -> int:
    return thinker.read(what, _hour_of(minutes), low=1, high=12)


def _read_minute(thinker: Thinker, minutes: int, what: str = "minute") -> int:
    """Read the minutes; a deliberate mistake reads the five-minute mark before or after."""
    minute = minutes % 60
    return thinker.look_number(what, minute, ((minute - 5) % 60, (minute + 5) % 60))


def _hours_later(rng: np.random.Generator, shown: int) -> Question:
    num = int(rng.integers(1, 6))

    def think(thinker: Thinker) -> str:
        hour, minute = _read_hour(thinker, shown), _read_minute(thinker, shown)
        later = thinker.add(hour, num)
        if later > 12:
            later = thinker.subtract(later, 12)
        return _clock_text(max(later, 1), minute)

    unit = "hour" if num == 1 else "hours"
    return Question(f"What time is it {num} {unit} later?", _time_of(shown + 60 * num), think)


def _minutes_to_hour(_: np.random.Generator, shown: int) -> Question:
    def think(thinker: Thinker) -> str:
        return str(thinker.subtract(60, _read_minute(thinker, shown)))

    return Question("How many minutes until the next hour?", str(60 - shown % 60), think)


def _minutes_later(rng: np.random.Generator, shown: int) -> Question:
    num = 5 * int(rng.integers(2, 12))

    def think(thinker: Thinker) -> str:
        hour, minute = _read_hour(thinker, shown), _read_minute(thinker, shown)
        minute = thinker.add(minute, num)
        if minute >= 60:
            minute = thinker.difference(minute, 60)
            hour = thinker.add(hour, 1)
            if hour > 12:
                hour = thinker.subtract(hour, 12)
        return _clock_text(max(hour, 1), minute % 60)

    return Question(f"What time is it {num} minutes later?", _time_of(shown + num), think)


def _minutes_between(left: int, right: int) -> Question:
    def think(thinker: Thinker) -> str:
        start = _read_hour(thinker, left, "left hour"), _read_minute(thinker, left, "left minute")
        end = _read_hour(thinker, right, "right hour"), _read_minute(thinker, right, "right minute")
        if start[0] == end[0]:
            return str(thinker.difference(end[1], start[1]))
        return str(thinker.add(thinker.subtract(60, start[1]), end[1]))

    text = "How many minutes from the left to the right clock?"
    return Question(text, str((right - left) % _HALF_DAY), think)


def _sample(level: str, rng: np.random.Generator) -> Problem:
    shown = [5 * int(rng.integers(_HALF_DAY // 5))]
    hands = pick(rng, _HOUR_COLOURS), pick(rng, _MINUTE_COLOURS)
    if level == "3":
        shown.append((shown[0] + 5 * int(rng.integers(1, 12))) % _HALF_DAY)
        question = _minutes_between(shown[0], shown[1])
    elif level == "2":
        question = _minutes_later(rng, shown[0])
    else:
        question = (_minutes_to_hour if rng.random() < 0.3 else _hours_later)(rng, shown[0])
    shown_key = f"clocks {hands[0]} {hands[1]} " + " ".join(map(_time_of, shown))
    problem = question.about(_draw(shown, hands), shown_key, _facts(shown))
    if rng.random() < CHOICE_SHARE:
        problem = with_choices(rng, problem, _distractors(rng, question.answer))
    return problem


def _facts(shown: list[int]) -> tuple[Fact, ...]:
    names = ("clock",) if len(shown) == 1 else ("left clock", "right clock")
    facts: list[Fact] = []
    for name, minutes in zip(names, shown, strict=True):
        facts.append(Fact(f"What hour is on the {name}?", str(_hour_of(minutes))))
        facts.append(Fact(f"What minute is on the {name}?", str(minutes % 60)))
    return tuple(facts)


def _distractors(rng: np.random.Generator, answer: str) -> tuple[str, ...]:
    """Neighbouring multiples of five for minutes; an hour or some minutes off for times."""
    if answer.isdigit():
        return tuple(str(5 * int(fifth)) for fifth in near_numbers(rng, int(answer) // 5))
    hour, _, minute = answer.partition(":")
    shown = int(hour) % 12 * 60 + int(minute)
    shifts = (-60, 60, -10, -5, 5, 10)
    return tuple(_time_of(shown + shifts[int(i)]) for i in rng.permutation(len(shifts))[:3])


def _draw(shown: list[int], hands: tuple[str, str]) -> Scene:
    marks: list[Mark] = []
    radius = 0.48 if len(shown) == 1 else 0.235
    centres = [(0.5, 0.5)] if len(shown) == 1 else [(0.25, 0.5), (0.75, 0.5)]
    for centre, minutes in zip(centres, shown, strict=True):
        marks += _dial(centre, radius, minutes, hands)
    return Scene(tuple(marks))


def _dial(
    centre: tuple[float, float], radius: float, minutes: int, hands: tuple[str, str]
) -> list[Mark]:
    thin = 0.02 if radius > 0.3 else 0.015

    def at(share: float, degrees: float) -> Point:
        return around(centre, share * radius, degrees)

    marks: list[Mark] = [Disc(centre, radius, outline="ink", width=thin)]
    for hour in range(12):
        quarter = hour % 3 == 0
        marks.append(
            Line(
                at(0.8 if quarter else 0.88, 30 * hour),
                at(0.97, 30 * hour),
                width=2 * thin if quarter else thin,
            )
        )
    marks.append(Line(centre, at(0.5, minutes / 2), colour=hands[0], width=0.17 * radius))
    marks.append(Line(centre, at(0.8, 6 * (minutes % 60)), colour=hands[1], width=0.09 * radius))
    marks.append(Disc(centre, 0.08 * radius, fill="ink"))
    return marks


CLOCKS = LeveledFamily("clocks", {level: partial(_sample, level) for level in ("1", "2", "3")})
"""One dial, or two less than an hour apart, in steps of five minutes."""
