"""Steps of reasoning that walk along a list and say after each item what is known so far.

Each step follows from the one before it, so nobody has to look back over the whole list. Worked
reasoning about pictures and questions about lists in a text use the same steps, so that the one
prepares for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vasari.data.tasks.thinker import Thinker


def running_best(
    thinker: Thinker, read: Callable[[str], int], names: Sequence[str], *, word: str, largest: bool
) -> str:
    """The name of the largest (or smallest) number, found as one walks along: after each number the
    best so far is said again.

    "red 5. blue 3. larger red 5. green 7. larger green 7". The first of equals stays.

    Args:
        thinker: Writes the steps.
        read: Reads the number of a name off the picture and writes it.
        names: In the order in which they are read, at least one.
        word: Written before the best so far: "larger".
        largest: Otherwise the smallest is sought.
    """
    best = names[0]
    held = read(best)
    for name in names[1:]:
        value = read(name)
        ahead = name if (value > held if largest else value < held) else best
        if thinker.settle(ahead, (best, name)) == name:
            best, held = name, value
        thinker.say(f"{word} {best} {held}")
    return best


def running_set(
    thinker: Thinker,
    read: Callable[[str], int],
    names: Sequence[str],
    *,
    word: str,
    fits: Callable[[int], bool],
) -> str:
    """The names whose numbers fit, as a set; after each number the names found so far are said
    again, "none" at first.
    """
    found: list[str] = []
    for name in names:
        inside = fits(read(name))
        if thinker.settle("in" if inside else "out", ("in", "out")) == "in":
            found.append(name)
        thinker.say(f"{word} {' '.join(found) or 'none'}")
    return braces(found)


def running_count(
    thinker: Thinker, read: Callable[[str], int], names: Sequence[str], *, limit: int
) -> int:
    """How many numbers are above the limit; after each number limit and count are said again:
    "green 9. over 7 1".
    """
    count = 0
    for name in names:
        above = read(name) > limit
        count += thinker.settle("in" if above else "out", ("in", "out")) == "in"
        thinker.say(f"over {limit} {count}")
    return count


def running_match(thinker: Thinker, sought: str, options: Mapping[str, str]) -> str:
    """The letter of the option that says what is sought, compared one after the other: "7 A 9 no. 7
    B 7 yes".

    Args:
        thinker: Writes the steps.
        sought: The text of one of the options; the first of equals is taken.
        options: Letter to text, in order.
    """
    letter = thinker.settle(
        next(each for each, text in options.items() if text == sought), tuple(options)
    )
    for each, text in options.items():
        thinker.say(f"{sought} {each} {text} {'yes' if each == letter else 'no'}")
        if each == letter:
            break
    return letter


def braces(names: Sequence[str]) -> str:
    """A set as text, sorted: "{blue, red}"."""
    return "{" + ", ".join(sorted(names)) + "}"
