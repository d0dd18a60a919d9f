"""Water-filling is fair, exact, independent of order, and says what is missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, DataError
from vasari.curate.choose.balance import balance_prompts, water_fill
from vasari.records import Prompt

supplies = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2), st.integers(0, 30), min_size=1, max_size=8
)


def pool(**counts):
    return [
        Prompt(id=f"{name}{i}", question="?", answer="1", category=name)
        for name, num in counts.items()
        for i in range(num)
    ]


def test_small_categories_give_all_and_the_others_share_the_rest():
    # 12 over three: a has only 2; 10 are left for b and c, 5 each. An equal share is 4: a misses it
    # by 2.
    found = water_fill({"a": 2, "b": 9, "c": 7}, 12)
    assert (found.counts, found.shortfall, found.missing) == ({"a": 2, "b": 5, "c": 5}, {"a": 2}, 0)


def test_a_supply_below_the_target_is_taken_whole_and_the_gap_said():
    found = water_fill({"graphs": 3, "topology": 0}, 10)
    assert (found.counts, found.shortfall, found.missing) == (
        {"graphs": 3, "topology": 0},
        {"graphs": 2, "topology": 5},
        7,
    )


@given(supplies, st.integers(0, 120), st.integers(0, 5))
def test_no_category_gives_more_than_it_has_and_the_target_is_met_where_it_can(
    supply, target, seed
):
    counts = water_fill(supply, target, seed=seed).counts
    assert sum(counts.values()) == min(target, sum(supply.values()))
    assert all(0 <= counts[name] <= supply[name] for name in supply)


@given(supplies, st.integers(0, 120))
def test_a_category_gives_fewer_than_another_by_two_only_when_it_has_no_more(supply, target):
    counts = water_fill(supply, target).counts
    assert all(counts[a] >= counts[b] - 1 or counts[a] == supply[a] for a in counts for b in counts)


@given(supplies, st.integers(0, 120), st.integers(0, 5))
def test_the_order_of_the_categories_changes_nothing(supply, target, seed):
    turned = dict(reversed(supply.items()))
    assert water_fill(supply, target, seed=seed) == water_fill(turned, target, seed=seed)


@given(supplies, st.integers(0, 120))
def test_a_larger_target_takes_nothing_from_a_category(supply, target):
    less, more = water_fill(supply, target).counts, water_fill(supply, target + 1).counts
    assert all(more[name] >= less[name] for name in supply)


def test_the_seed_decides_who_gives_the_remainder():
    found = {
        tuple(water_fill({"a": 5, "b": 5, "c": 5}, 4, seed=seed).counts.items())
        for seed in range(30)
    }
    assert len(found) == 3


def test_every_prompt_is_kept_or_dropped_with_a_reason():
    found = balance_prompts(pool(a=2, b=5, z=1), 6, categories=["a", "b", "c"])
    assert sorted([*found.kept, *(row.index for row in found.dropped)]) == list(range(8))
    assert {(row.reason, row.detail) for row in found.dropped} == {
        ("over_quota", "category 'b' gives 4 of 5"),
        ("category_not_wanted", "category 'z' is none of the 3 wanted"),
    }
    assert found.allocation.shortfall == {"c": 2}


def test_the_choice_depends_on_ids_and_seed_not_on_the_order_of_rows():
    prompts = pool(a=20, b=20)
    turned = prompts[::-1]

    def chosen(rows, seed):
        return {rows[i].id for i in balance_prompts(rows, 10, seed=seed).kept}

    assert chosen(prompts, 1) == chosen(turned, 1) != chosen(prompts, 2)


def test_one_more_prompt_displaces_at_most_one():
    prompts = pool(a=20)
    before = {prompts[i].id for i in balance_prompts(prompts, 10).kept}
    longer = [*prompts, Prompt(id="new", question="?", answer="1", category="a")]
    after = {longer[i].id for i in balance_prompts(longer, 10).kept}
    assert len(before - after) <= 1


def test_two_prompts_of_one_id_are_refused():
    with pytest.raises(DataError, match=r"prompts 0 and 1 have the same id 'a0'"):
        balance_prompts([*pool(a=1), *pool(a=1)], 1)


def test_bad_numbers_are_refused():
    with pytest.raises(ConfigError, match=r"no category"):
        water_fill({}, 3)
    with pytest.raises(ConfigError, match=r"target must be at least 0, got -1"):
        water_fill({"a": 1}, -1)
    with pytest.raises(DataError, match=r"category 'a': supply must be at least 0, got -2"):
        water_fill({"a": -2}, 1)
