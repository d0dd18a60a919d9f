"""Shards: what is written is read again, and rows that are read lazily are the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import StateError
from vasari.curate.run.rows import ImageFacts, PromptRows, TextRows, read_shard, write_rows
from vasari.records import ImageRef, Prompt

texts = st.text(st.characters(codec="utf-8"), max_size=30)
facts = st.dictionaries(
    st.text("abc", min_size=1, max_size=4),
    st.one_of(texts, st.integers(-9, 9), st.none()),
    max_size=3,
)


@st.composite
def prompts(draw, size=6):
    found = []
    for number in range(draw(st.integers(1, size))):
        names = draw(st.lists(st.sampled_from(["a.png", "b.png", "c.png"]), max_size=2))
        found.append(
            Prompt(
                id=f"p{number}",
                question=draw(texts),
                answer=draw(texts),
                images=tuple(ImageRef(path=f"/data/{name}") for name in names),
                choices=draw(
                    st.one_of(st.none(), st.lists(texts, min_size=1, max_size=3).map(tuple))
                ),
                kind=draw(st.sampled_from([None, "number", "choice"])),
                category=draw(texts),
                difficulty=draw(texts),
                solution=draw(st.one_of(st.none(), texts)),
                metadata=draw(facts) | {"source": "s"},
            )
        )
    return found


def hashes():
    return {
        f"/data/{name}.png": ImageFacts(digest=name * 64, hash=bytes([place]) * 32)
        for place, name in enumerate("abc")
    }


@pytest.mark.slow
@settings(max_examples=15)
@given(prompts())
def test_a_shard_holds_what_was_written(tmp_path_factory, pool):
    root = tmp_path_factory.mktemp("run")

    write_rows(root / "part.parquet", pool, hashes(), root)
    rows = read_shard(root / "part.parquet", root)

    assert list(rows.prompts) == pool
    assert rows.facts == {ref.path: hashes()[ref.path] for prompt in pool for ref in prompt.images}


@pytest.mark.slow
@settings(max_examples=15)
@given(prompts(), prompts())
def test_rows_read_lazily_are_the_rows_of_the_shards_in_order(tmp_path_factory, first, second):
    root = tmp_path_factory.mktemp("run")
    pool = [*first, *second]
    for name, part in (("1.parquet", first), ("2.parquet", second)):
        write_rows(root / name, part, hashes(), root)
    paths = [root / "1.parquet", root / "2.parquet"]

    rows, light = PromptRows(paths, root), TextRows(paths)

    assert list(rows) == pool
    assert list(rows[1:]) == pool[1:]
    assert [(p.id, p.question, p.answer, p.choices, len(p.images)) for p in light] == [
        (p.id, p.question, p.answer, p.choices, len(p.images)) for p in pool
    ]
    for place, prompt in enumerate(pool):
        codes = light.images.codes[light.images.of(place)]
        expected = [
            np.frombuffer(hashes()[ref.path].hash, dtype=np.uint64) for ref in prompt.images
        ]
        assert np.array_equal(codes, np.array(expected, dtype=np.uint64).reshape(-1, 4))


def test_an_image_below_the_runs_folder_is_found_where_the_folder_was_moved_to(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    prompt = Prompt(
        id="p", question="q", answer="1", images=(ImageRef(path=str(old / "images" / "a.png")),)
    )
    write_rows(old / "part.parquet", [prompt], {}, old)

    old.rename(new)

    assert read_shard(new / "part.parquet", new).prompts[0].images[0].path == str(
        new / "images" / "a.png"
    )


def test_a_damaged_shard_is_named_with_what_to_do(tmp_path):
    (tmp_path / "part.parquet").write_bytes(b"PAR1 and no more")

    with pytest.raises(
        StateError, match=r"part\.parquet: a shard cannot be read .* remove its stage's folder"
    ):
        read_shard(tmp_path / "part.parquet", tmp_path)
