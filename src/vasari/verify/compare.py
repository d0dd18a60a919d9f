"""Whether an answer is a reference that is a value, a formula, a list, a set or a matrix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from vasari.verify.answer import Answer
from vasari.verify.normalise import compact, loosen
from vasari.verify.quantities import Decision, quantities_equal
from vasari.verify.single import JUXTAPOSED, is_region, single_match, written_forms_match

_MAX_UNORDERED = 64
_DIGIT = re.compile(r"[0-9]")
_PLAIN = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?")


def values_match(found: Answer, reference: Answer) -> Decision | None:
    """Compare an answer with a reference that is no option and no plain words.

    Returns:
        The decision; None if only computer algebra can tell.

    Raises:
        LimitExceededError: One nests too deep or grows too large.
    """
    if _PLAIN.fullmatch(found.text) and _PLAIN.fullmatch(reference.text):
        # The most frequent case: figures, which can be nothing else.
        return quantities_equal(found, reference)
    side_by_side = JUXTAPOSED.search(found.text) or JUXTAPOSED.search(reference.text)
    if not side_by_side and compact(found.text) == compact(reference.text):
        return Decision(True, "exact")
    for rule in (written_forms_match, _matrices, _several):
        decision = rule(found, reference)
        if decision is not None:
            return decision
    return single_match(found, reference)


def _matrices(found: Answer, reference: Answer) -> Decision | None:
    """Matrices entry by entry, in any environment; a vector as a row, a column or a tuple."""
    if found.matrix is None and reference.matrix is None:
        return None
    left, right = _rows(found), _rows(reference)
    if left is None or right is None:
        return Decision(False, "symbolic", "one of the two is a matrix, the other is not")
    vectors = min(len(left), len(left[0])) == 1 == min(len(right), len(right[0]))
    one_is_tuple = found.matrix is None or reference.matrix is None
    if vectors and (one_is_tuple or len(left) == len(right)):
        left, right = (_flat(left),), (_flat(right),)
    if [len(row) for row in left] != [len(row) for row in right]:
        return Decision(False, "symbolic", "the matrices have different shapes")
    return _all_match(_flat(left), _flat(right), "an entry")


def _rows(answer: Answer) -> Sequence[tuple[str, ...]] | None:
    if answer.matrix is not None:
        return answer.matrix
    listed = answer.listed
    return (listed.items,) if listed is not None and listed.brackets not in ("", "{}") else None


def _flat(rows: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(entry for row in rows for entry in row)


def _all_match(left: Sequence[str], right: Sequence[str], what: str) -> Decision | None:
    """Item by item: wrong as soon as one is, None if one cannot be told."""
    unknown = False
    for one, other in zip(left, right, strict=True):
        decision = values_match(Answer(one), Answer(other))
        if decision is not None and not decision.right:
            return Decision(False, "symbolic", f"{what} is {one}, not {other}")
        unknown = unknown or decision is None
    return None if unknown else Decision(True, "symbolic")


def _several(found: Answer, reference: Answer) -> Decision | None:
    """Lists, tuples and sets; assignments by their names, in any order."""
    ours, theirs = found.listed, reference.listed
    if theirs is None:
        is_one = reference.constant is not None and found.number is not None
        if is_one or ours is None or _may_be_interval(found):
            return None
        return _one_of_several(found, reference)
    if is_region(found) and _may_be_interval(reference):
        return None
    if ours is None:
        if len(theirs.items) == 1:
            return values_match(found, reference.items[0])
        if found.constant is None and "\\" in found.signs:
            return None
        return Decision(False, "set" if not theirs.in_order else "symbolic", "it is one of several")
    if _named(reference) or _named(found):
        return _assignments(found, reference)
    return _tuples(found, reference) if theirs.in_order else _unordered(found, reference)


def _tuples(found: Answer, reference: Answer) -> Decision | None:
    """Points, vectors and intervals: in order, with the same brackets."""
    ours, theirs = found.listed, reference.listed
    if ours is None or theirs is None:
        return None
    if ours.brackets != theirs.brackets and not _point_like(ours.brackets, theirs.brackets):
        return Decision(False, "symbolic", "the brackets differ")
    if len(ours.items) != len(theirs.items):
        reason = f"{len(ours.items)} items, and not {len(theirs.items)}"
        return Decision(False, "symbolic", reason)
    return _all_match(ours.items, theirs.items, "an item")


def _point_like(ours: str, theirs: str) -> bool:
    """Whether brackets may stand for each other: (2; 3), ⟨2, 3⟩ and 2, 3 for the point (2, 3)."""
    points = {"()", "⟨⟩"}
    return theirs in points and ours in points | {""}


def _one_of_several(found: Answer, reference: Answer) -> Decision | None:
    listed = found.listed
    if listed is None or (listed.brackets and len(listed.items) == 1):
        return None
    items = found.items
    if sum(item.constant is not None or bool(_DIGIT.search(item.text)) for item in items) == 1:
        return None  # "seven and a bit" is no list.
    first = items[0]
    if len(items) <= 3 and all(_agrees(item, first) for item in items[1:]):
        return values_match(first, reference)
    return Decision(False, "ambiguous", f"{len(items)} different answers")


def _agrees(item: Answer, first: Answer) -> bool:
    """Whether a further item restates the first: "12π, 37.7"."""
    decision = quantities_equal(item, first)
    return decision is not None and decision.right


def _named(answer: Answer) -> dict[str, list[Answer]] | None:
    """The values by name of a list of assignments, else None."""
    if answer.listed is None:
        return None
    found: dict[str, list[Answer]] = {}
    for item in answer.items:
        if not item.name:
            return None
        found.setdefault(item.name.replace(" ", ""), []).append(item)
    return found


def _assignments(found: Answer, reference: Answer) -> Decision | None:
    ours, theirs = _named(found), _named(reference)
    if ours is None or theirs is None:
        # The values of one name are a set; of several names, "(2, 3)" says them in order.
        named, plain = (theirs, found) if ours is None else (ours, reference)
        if named is None or plain.listed is None:
            return None
        if (
            ours is None
            and len({name[:1] for name in named}) > 1
            and plain.listed.brackets in ("", "{}")
        ):
            return Decision(False, "set", "the names of the values are missing")
        in_order = len({name[:1] for name in named}) > 1 or plain.listed.in_order
        return _in_order(found, reference) if in_order else _unordered(found, reference)
    if set(ours) != set(theirs):
        return Decision(False, "set", "the names differ")
    if len(theirs) == 1:
        return _unordered(found, reference)
    for name, values in theirs.items():
        if len(values) != 1 or len(ours[name]) != 1:
            return Decision(False, "set", f"{name} has several values")
        decision = values_match(ours[name][0], values[0])
        if decision is None or not decision.right:
            return decision and Decision(False, "set", f"{name} differs: {decision.reason}")
    return Decision(True, "set")


def _in_order(found: Answer, reference: Answer) -> Decision | None:
    left, right = found.items, reference.items
    if len(left) != len(right):
        return Decision(False, "set", f"{len(left)} items, and not {len(right)}")
    for one, other in zip(left, right, strict=True):
        decision = values_match(one, other)
        if decision is None or not decision.right:
            return decision
    return Decision(True, "set")


def _unordered(found: Answer, reference: Answer) -> Decision | None:
    """The same items in any order, none twice."""
    ours, theirs = list(found.items), list(reference.items)
    if len(ours) > _MAX_UNORDERED or len(theirs) > _MAX_UNORDERED:
        return None
    if len(ours) != len(theirs):
        return Decision(False, "set", f"{len(ours)} items, and not {len(theirs)}")
    unknown = False
    for item in ours:
        for place, wanted in enumerate(theirs):
            decision = items_match(item, wanted)
            if decision is None:
                unknown = True
            elif decision.right:
                del theirs[place]
                break
        else:
            return None if unknown else Decision(False, "set", f"{item.text} is not among them")
    return Decision(True, "set")


def items_match(found: Answer, reference: Answer) -> Decision | None:
    """Compare two items of a set: by value, else by their words."""
    if loosen(found.text) == loosen(reference.text):
        return Decision(True, "set")
    if found.constant is None and reference.constant is None and not _is_formula(found, reference):
        return Decision(False, "set")
    return values_match(found, reference)


def _is_formula(found: Answer, reference: Answer) -> bool:
    text = found.text + reference.text
    return (
        bool(re.search(r"[\\^=+*/√_]|(?<=\w)-", text))
        or max(len(found.text), len(reference.text)) <= 3
    )


def _may_be_interval(answer: Answer) -> bool:
    return answer.interval is not None


def sets_match(found: Answer, reference: Answer) -> Decision:
    """Compare an answer with a reference that is a set: the same items in any order, none twice."""
    if _named(reference) is not None and _named(found) is not None:
        decision = _assignments(found, reference)
        return decision or Decision(False, "set", "an item cannot be compared")
    ours, theirs = _set_items(found), _set_items(reference)
    keys = [item_key(item) for item in ours]
    if len(set(keys)) < len(keys):
        reason = f"a set of {len(keys)} items has {len(set(keys))} different ones"
        return Decision(False, "set", reason)
    if len(ours) != len(theirs):
        return Decision(False, "set", f"{len(ours)} items, and not {len(theirs)}")
    wanted = {item_key(item): item for item in theirs}
    rest = [item for item, key in zip(ours, keys, strict=True) if wanted.pop(key, None) is None]
    left = list(wanted.values())
    if len(rest) > _MAX_UNORDERED:
        return Decision(False, "set", f"{len(rest)} items are not among them")
    for item in rest:
        place = next((at for at, other in enumerate(left) if _is_item(item, other)), None)
        if place is None:
            return Decision(False, "set", f"{item.text[:60]} is not among them")
        del left[place]
    return Decision(True, "set")


def _set_items(answer: Answer) -> list[Answer]:
    return list(answer.items) if answer.listed is not None else [answer]


def item_key(item: Answer) -> str:
    """Return a spelling under which equal items of a set are mostly equal: by value or words."""
    constant = item.constant
    if isinstance(constant, Fraction):
        return f"number {constant} {item.unit}"
    return "text " + (loosen(item.signs) or item.text)


def _is_item(found: Answer, reference: Answer) -> bool:
    decision = items_match(found, reference)
    return decision is not None and decision.right
