"""Reading by name: provenance, splits, refusals, and what a bad row costs."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from vasari.core.errors import ConfigError, DataError
from vasari.data.images import open_image
from vasari.data.prompt_file import COLUMNS, read_prompts, write_prompts
from vasari.data.sources import SOURCES, BadRow, describe_source, read_source
from vasari.data.sources.spec import read_spec
from vasari.records import Prompt

HEAD = "name: a\ntitle: t\nlicence: l"
QUIZ = {"question": "Q?", "answer": "1"}


def bomb() -> bytes:
    out = io.BytesIO()
    Image.new("1", (5000, 5000)).save(out, "PNG")
    return out.getvalue()


def good(found):
    return [item for item in found if isinstance(item, Prompt)]


def bad(found):
    return [item for item in found if isinstance(item, BadRow)]


def test_a_prompt_says_where_it_comes_from(plant):
    folder = plant(
        {
            "training/ab.json": {
                "train": [{"input": [[0]], "output": [[1]]}],
                "test": [{"input": [[2]], "output": [[3, 4]]}],
            }
        }
    )
    (prompt,) = read_source("arc_agi", folder)
    assert prompt.id == "arc_agi/ab/0"
    assert dict(prompt.metadata) == {
        "source": "arc_agi", "native_id": "ab/0", "split": "train", "licence": "Apache-2.0", "domain": "puzzle",
        "category": "grid rule", "tier": "verified", "columns": {"num_examples": 1},
    }  # fmt: skip
    assert (prompt.answer, prompt.kind) == ("[[3, 4]]", "text")


def test_a_drawn_grid_shows_the_colour_of_each_digit(plant):
    folder = plant(
        {
            "training/ab.json": {
                "train": [{"input": [[2]], "output": [[1]]}],
                "test": [{"input": [[3]], "output": [[4]]}],
            }
        }
    )
    (prompt,) = read_source("arc_agi", folder)
    colours = set(open_image(prompt.images[0]).getdata())
    # Red, blue and green are shown; yellow is the answer.
    assert {(255, 65, 54), (0, 116, 217), (46, 204, 64)} <= colours
    assert (255, 220, 0) not in colours


def test_the_name_of_a_shipped_source_is_that_of_its_file():
    assert all(describe_source(name).name == name for name in SOURCES)


def test_prompts_that_were_written_are_read_with_their_metadata(plant):
    folder = plant({"notes.txt": "n"})
    written = Prompt(
        id="a",
        question="Q?",
        answer="B",
        choices=("x", "y"),
        kind="choice",
        metadata={"style": "plain", "seed": 3, "source": "geometry3k", "licence": "MIT"},
    )
    write_prompts(folder / "train.parquet", [written])
    (prompt,) = read_source("parquet", folder)
    assert (prompt.question, prompt.answer, prompt.choices, prompt.kind) == (
        "Q?",
        "B",
        ("x", "y"),
        "choice",
    )
    facts = prompt.metadata
    assert (facts["native_id"], facts["source"], facts["licence"]) == ("a", "parquet", "MIT")
    assert prompt.columns == written.metadata


@pytest.mark.parametrize("name", [name for name in SOURCES if describe_source(name).test_only])
def test_a_set_for_testing_alone_needs_the_flag(name, plant):
    with pytest.raises(ConfigError, match=r"published for testing alone.*allow_test=True"):
        read_source(name, plant({"x": "y"}))


def test_the_benchmarks_are_for_testing_alone():
    assert all(
        describe_source(name).test_only
        for name in ("mathvision", "mathvista", "mathverse", "logicvista")
    )


def test_a_test_set_gives_its_test_split_and_says_so(plant):
    folder = plant(
        {
            "test.jsonl": [
                {
                    "id": "4",
                    "question": "How many?",
                    "options": [],
                    "answer": "6",
                    "level": 1,
                    "subject": "counting",
                }
            ]
        }
    )
    (prompt,) = read_source("mathvision", folder, allow_test=True)
    assert (prompt.metadata["split"], prompt.category, prompt.difficulty) == (
        "test",
        "counting",
        "1",
    )


def test_a_test_split_needs_the_flag(plant):
    folder = plant({"train.jsonl": [QUIZ], "test.jsonl": [QUIZ]})
    with pytest.raises(ConfigError, match=r"'test' is a test split; allow_test=True reads it"):
        read_source("jsonl", folder, split="test")


def test_the_index_of_geometry3k_splits_by_the_official_numbers(plant):
    rows = [
        {"id": f"Geometry3k-{n}", "question": f"Find x of {n}.", "answer": str(n)}
        for n in (0, 2100, 2101, 2400, 2401)
    ]
    folder = plant({"problems.jsonl": rows})
    found = {
        s: [p.answer for p in read_source("geometry3k", folder, split=s, allow_test=True)]
        for s in ("train", "val", "test")
    }
    assert found == {"train": ["0", "2100"], "val": ["2101", "2400"], "test": ["2401"]}


def test_a_split_that_no_row_has_is_named(plant):
    folder = plant({"problems_dev1k.json": {"3": {"question": "q", "answer": "1", "split": "dev"}}})
    with pytest.raises(
        DataError, match=r"no row of TabMWP is of the split 'train'; its rows are of val"
    ):
        list(read_source("tabmwp", folder))


def test_an_unknown_split_is_refused(plant):
    with pytest.raises(ConfigError, match=r"no split 'dev'; there are train, val, test"):
        read_source("jsonl", plant({"train.jsonl": [QUIZ]}), split="dev")


def test_an_unknown_source_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"there is no source 'imagenet'; there are ai2d, .*or the path of a YAML"
    ):
        read_source("imagenet", tmp_path)


def test_a_source_of_unknown_layout_says_so(tmp_path):
    with pytest.raises(ConfigError, match=r"EasyArc's layout is not known"):
        read_source("easyarc", tmp_path)


def test_a_folder_of_another_shape_says_what_was_expected_and_found(plant):
    with pytest.raises(
        DataError,
        match=(
            r"not the shape of ARC-AGI-1\. Expected .*training/\*\.json.*Found: notes\.txt, pics/\."
        ),
    ):
        read_source("arc_agi", plant({"notes.txt": "n", "pics/a.png": "PICTURE"}))


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no such folder; MATH was expected in it"):
        read_source("math", tmp_path / "none")


def test_a_pickle_is_refused_with_a_safe_form(plant):
    with pytest.raises(DataError, match=r"runs code.*not read.*GEOQA_R1V_Train_8K"):
        read_source("geoqa_plus", plant({"train.pk": b"cos\nsystem\n(S'true'\ntR."}))


def test_the_id_0_is_an_id(plant):
    (prompt,) = read_source("jsonl", plant({"train.jsonl": [QUIZ | {"id": 0}]}))
    assert prompt.id == "jsonl/0"


def test_a_limit_below_one_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"limit must be at least 1, got 0"):
        read_source("jsonl", tmp_path, limit=0)


def test_a_limit_counts_prompts_and_not_bad_rows(plant):
    folder = plant(
        {
            "train.jsonl": [
                QUIZ | {"answer": ""},
                QUIZ | {"id": 1},
                QUIZ | {"id": 2},
                QUIZ | {"id": 3},
            ]
        }
    )
    found = list(read_source("jsonl", folder, limit=2))
    assert ([p.metadata["native_id"] for p in good(found)], len(bad(found))) == (["1", "2"], 1)


def test_without_images_their_names_are_kept(plant):
    folder = plant(
        {
            "testmini.json": {
                "1": {
                    "question": "q",
                    "answer": "1.2",
                    "image": "images/1.jpg",
                    "pid": "1",
                    "metadata": {},
                }
            }
        }
    )
    (prompt,) = read_source("mathvista", folder, allow_test=True, images=False)
    assert (prompt.images, prompt.metadata["image_names"]) == ((), ["images/1.jpg"])


def test_an_option_as_text_becomes_its_letter_and_is_kept(plant):
    folder = plant(
        {
            "testmini.json": {
                "3": {"question": "q", "answer": "145°", "choices": ["135°", "145°"], "pid": "3"}
            }
        }
    )
    (prompt,) = read_source("mathvista", folder, allow_test=True)
    assert (prompt.answer, prompt.kind, prompt.metadata["native_answer"]) == ("B", "choice", "145°")


def test_options_in_a_question_are_taken_out_of_it(plant):
    question = "Is it periodic? Choices: (A) Yes (B) No"
    folder = plant(
        {
            "dataset.json": {"6": {"question": question, "answer": "A", "image": "image/i.png"}},
            "image/i.png": "PICTURE",
        }
    )
    (prompt,) = read_source("dynamath", folder, allow_test=True)
    assert (prompt.question, prompt.choices, prompt.answer) == (
        "Is it periodic?",
        ("Yes", "No"),
        "A",
    )


def test_the_generic_sources_read_the_columns_of_prompt_files():
    for name in ("jsonl", "parquet"):
        fields = describe_source(name).layouts[0].fields
        for field in (
            "id",
            "question",
            "answer",
            "choices",
            "category",
            "difficulty",
            "solution",
            "kind",
            "images",
        ):
            named = COLUMNS[field]
            assert tuple(getattr(fields, field)) == (
                (named,) if isinstance(named, str) else named
            ), field


def test_the_generic_source_agrees_with_the_reader_of_prompt_files(plant):
    rows = [
        {"pid": 3, "problem": "2+3?", "answer": 5.0, "level": 2},
        {"pid": 4, "query": "Which?", "options": ["x", "y"], "answer": "B"},
    ]
    folder = plant({"train.jsonl": rows})
    ours, theirs = list(read_source("jsonl", folder)), read_prompts(folder / "train.jsonl")
    assert [(p.question, p.answer, p.choices, p.difficulty) for p in ours] == [
        (p.question, p.answer, p.choices, p.difficulty) for p in theirs
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "is not YAML"),
        ("name: A b\ntitle: t\nlicence: l\nfiles: {train: a}\nfields: {question: q, answer: a}", "name: String should match"),
        (HEAD + "\nfiles: {train: ../a}\nfields: {question: q, answer: a}", "must stay below the folder"),
        (HEAD + "\nfiles: {train: a}\nfields: {question: q, answer: a, wrong: b}", "Extra inputs are not permitted"),
        (HEAD + "\nfiles: {'*': a}\nfields: {question: q, answer: a}", "need split_field or split_ranges"),
        (HEAD, "has layouts unless"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)  # fmt: skip
def test_a_description_is_parsed_and_not_trusted(text, message, tmp_path):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_spec(tmp_path / "own.yaml")
