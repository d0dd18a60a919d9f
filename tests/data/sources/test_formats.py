"""RAVEN archives, conversations and LLaMA-Factory's formats, answers and columns."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest

from vasari.core.errors import DataError
from vasari.data.images import open_image
from vasari.data.sources import BadRow, read_source
from vasari.data.sources.answers import last_boxed, listed, reference_answer, split_choices
from vasari.data.sources.columns import column_value
from vasari.records import Prompt


def archive(**arrays) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


PANELS = np.zeros((16, 8, 8), dtype=np.uint8)


def test_a_raven_problem_gives_its_letter_and_one_picture(plant):
    folder = plant({"center_single/RAVEN_0_train.npz": archive(image=PANELS, target=np.int64(3))})
    (prompt,) = read_source("raven", folder)
    # The fourth option, counted from 0, is D.
    assert (prompt.id, prompt.answer, prompt.choices) == (
        "raven/center_single/RAVEN_0_train",
        "D",
        tuple("ABCDEFGH"),
    )
    # Four options in a line of 8 + 6 pixels each, and a margin of 6.
    assert open_image(prompt.images[0]).width == 62


class Evil:
    def __reduce__(self):
        return (print, ("loaded",))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04 cut", "not a RAVEN archive"),
        (archive(image=PANELS), "no item named"),
        (archive(image=PANELS[:4], target=0), "expected 'image' of 16 gray panels"),
        (archive(image=PANELS, target=np.int64(9)), "no index of 8 options"),
        (archive(image=np.array([Evil()] * 16, dtype=object), target=0), "Python objects"),
    ],
)
def test_a_damaged_raven_archive_costs_one_row(content, reason, plant, capsys):
    folder = plant(
        {"a/RAVEN_0_train.npz": content, "a/RAVEN_1_train.npz": archive(image=PANELS, target=0)}
    )
    first, second = read_source("raven", folder)
    assert isinstance(first, BadRow)
    assert reason in first.reason
    assert isinstance(second, Prompt)
    assert capsys.readouterr().out == ""


def test_an_archive_that_claims_a_huge_array_is_refused_by_its_header(plant):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (16, 10**6, 10**6)}
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("image.npy", header.getvalue())
    (row,) = read_source("raven", plant({"a/RAVEN_0_train.npz": out.getvalue()}))
    assert "would take 16,000,000,000,000 bytes" in row.reason


def test_a_pickle_named_as_an_archive_is_not_loaded(plant, capsys):
    (row,) = read_source("raven", plant({"a/RAVEN_0_train.npz": pickle.dumps(Evil())}))
    assert "not a RAVEN archive" in row.reason
    assert capsys.readouterr().out == ""


def test_an_arc_task_with_a_ragged_grid_costs_one_row(plant):
    task = {
        "train": [{"input": [[1]], "output": [[1]]}],
        "test": [{"input": [[1, 2], [3]], "output": [[1]]}],
    }
    (row,) = read_source("arc_agi", plant({"training/x.json": task}))
    assert (row.where, row.reason[:26]) == ("training/x.json: test 1", "expected at most 20 pairs ")


CHAT = [
    {"role": "user", "content": "<image>Who?"}, {"role": "assistant", "content": "Kane."},
    {"role": "user", "content": "Where?<image>"}, {"role": "assistant", "content": "Munich."},
]  # fmt: skip


def test_a_conversation_gives_its_first_question_with_the_images_that_this_marks(plant):
    folder = plant(
        {
            "chats.jsonl": [{"messages": CHAT, "images": ["1.png", "2.png"]}],
            "1.png": "PICTURE",
            "2.png": "PICTURE",
        }
    )
    (prompt,) = read_source("sharegpt", folder)
    assert (prompt.question, prompt.answer, prompt.columns["num_turns"]) == (
        "<image>Who?",
        "Kane.",
        2,
    )
    assert [image.path.rpartition("/")[2] for image in prompt.images] == ["1.png"]


def test_parts_of_a_message_keep_their_order(plant):
    parts = [{"type": "image_url", "value": "data/1.png"}, {"type": "text", "value": "Who?"}]
    said = [{"role": "system", "content": "Be short."}, {"role": "user", "content": parts},
            {"role": "assistant", "content": [{"type": "text", "text": "Kane."}]}]  # fmt: skip
    (prompt,) = read_source(
        "sharegpt", plant({"chats.jsonl": [{"messages": said}], "data/1.png": "PICTURE"})
    )
    assert (prompt.question, prompt.answer, len(prompt.images), prompt.columns["system"]) == (
        "<image>Who?",
        "Kane.",
        1,
        "Be short.",
    )


def test_llava_reads_human_and_gpt(plant):
    said = [{"from": "human", "value": "<image>\nColour?"}, {"from": "gpt", "value": "red"}]
    (prompt,) = read_source(
        "llava",
        plant(
            {
                "llava.json": [{"id": "1", "image": "1.png", "conversations": said}],
                "images/1.png": "PICTURE",
            }
        ),
    )
    assert (prompt.id, prompt.answer, len(prompt.images)) == ("llava/1", "red", 1)


def test_llamafactory_reads_what_its_catalogue_has_on_disk(plant):
    tags = {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
    }
    folder = plant({
        "dataset_info.json": {
            "seen": {"file_name": "seen.json", "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": tags},
            "plain": {"file_name": "plain.json"}, "hub": {"hf_hub_url": "x/y"}, "gone": {"file_name": "gone.json"},
            "pairs": {"file_name": "pairs.json", "ranking": True}, "out": {"file_name": "../../x.json"},
        },
        "seen.json": [{"messages": CHAT, "images": ["1.png", "1.png"]}, {"messages": CHAT, "images": [], "videos": ["v.mp4"]}],
        "plain.json": [{"instruction": "Add.", "input": "2 and 3", "output": "5"}], "pairs.json": [{}], "1.png": "PICTURE",
    })  # fmt: skip
    found = list(read_source("llamafactory", folder))
    assert [(p.id, p.question, p.answer) for p in found if isinstance(p, Prompt)] == [
        ("llamafactory/seen#1", "<image>Who?", "Kane."),
        ("llamafactory/plain#3", "Add.\n2 and 3", "5"),
    ]
    reasons = [row.reason for row in found if isinstance(row, BadRow)]
    assert [reason[:24] for reason in reasons] == [
        "the row has videos, whic",
        "pairs holds preference p",
        "the path '../../x.json' ",
    ]


def test_llamafactory_reads_no_file_outside_through_a_link_in_a_folder_it_names(plant, tmp_path):
    row = [{"instruction": "Add.", "input": "2 and 3", "output": "5"}]
    folder = plant(
        {"dataset_info.json": {"all": {"file_name": "all"}}, "all/in.json": row, "../out.json": row}
    )
    (folder / "all" / "link.json").symlink_to(tmp_path / "out.json")
    found = list(read_source("llamafactory", folder))
    assert [type(row) for row in found] == [Prompt, BadRow]
    assert found[1] == BadRow(
        "llamafactory", "all/link.json", "it is a link that leaves the folder"
    )


@pytest.mark.parametrize(
    ("value", "choices", "form", "answer"),
    [
        ("145°", ["135°", "145°"], "auto", "B"),
        ("b", ["a", "b"], "auto", "B"),
        ("(B)", ["x", "y"], "auto", "B"),
        # The letter A is also the text of the second option: which is meant cannot be told, and
        # letters win.
        ("A", ["B", "A"], "auto", "A"),
        ("A", ["B", "A"], "option", "B"),
        ("B, D", list("ABCD"), "auto", "B, D"),
        ("D\nC", ["1", "2", "3", "4"], "auto", "C, D"),
        (1, ["x", "y"], "index0", "B"),
        ("1", ["x", "y"], "index1", "A"),
        ("so \\boxed{1} and \\boxed{\\frac{1}{2}}", None, "boxed", "\\frac{1}{2}"),
        (["", "two", "2"], None, "first", "two"),
        (["a", "b", "b"], None, "most", "b"),
        (3.0, None, "auto", "3"),
        ("<answer> 145° </answer>", None, "auto", "145°"),
    ],
)
def test_an_answer_becomes_the_reference(value, choices, form, answer):
    assert reference_answer(value, choices, form) == answer


@pytest.mark.parametrize(
    ("value", "choices", "form", "message"),
    [
        ("E", ["x", "y"], "auto", "none of the 2 options"),
        (2, ["x", "y"], "index0", "no index of 2 options, counted from 0"),
        (-1, ["x", "y"], "index0", "no index"),
        (0, ["x", "y"], "index1", "no index"),
        ("no box", None, "boxed", "there is no answer"),
        (True, None, "auto", "must be text or a number, got bool"),
    ],
)
def test_an_answer_that_names_nothing_is_refused(value, choices, form, message):
    with pytest.raises(DataError, match=message):
        reference_answer(value, choices, form)


def test_braces_of_a_box_are_counted():
    assert last_boxed("\\boxed{\\{1, \\frac{2}{3}\\}} ends") == "\\{1, \\frac{2}{3}\\}"
    assert last_boxed("\\boxed{1} then \\boxed{2") == ""


@pytest.mark.parametrize(
    ("question", "rest", "choices"),
    [
        ("Find x ()\nChoices:\nA:40°\nB:60°", "Find x ()", ("40°", "60°")),
        ("Find z?\nChoices:\nA.80\nB.60\nC.50", "Find z?", ("80", "60", "50")),
        ("Connected?  choice: (A) Yes (B) No", "Connected?", ("Yes", "No")),
        ("f(A) and (B)? Choices: (B) x (C) y", "f(A) and (B)? Choices: (B) x (C) y", None),
        ("No options here.", "No options here.", None),
    ],
)
def test_options_are_read_from_a_question(question, rest, choices):
    assert split_choices(question) == (rest, choices)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("a", 1), ("b.c", "x"), ("l.1", "z"), ("l.7", None), ("a.b.c", None), ("d.e", "dotted"), ("=As it is", "As it is"),
        ("i/{a}.png", "i/1.png"), ("{a:05d}", "00001"), ("{u|name}", "p.png"), ("{u|stem}", "p"), ("{none}/x", None),
        ("f/{l}", ["f/y", "f/z"]), ("{__class__}", None),
    ],
)  # fmt: skip
def test_a_column_names_a_value(column, value):
    row = {"a": 1, "b": {"c": "x"}, "l": ["y", "z"], "d.e": "dotted", "u": "http://h/q/p.png?w=3"}
    assert column_value(row, column) == value


@pytest.mark.parametrize(
    "text",
    ["a, b", "['a'", "__import__('os').getcwd()", "[" * 10_000, "{'a': 1}", "[1]" + " " * 200_000],
)
def test_choices_that_are_no_list_written_as_text_cost_their_row_and_run_nothing(text):
    with pytest.raises(DataError, match=r"the choices must be a list written as text, got"):
        listed(text)


def test_choices_written_as_text_are_read_and_lists_stay_as_they_are():
    assert listed("['a', \"b's\", 3]") == ["a", "b's", 3]
    assert listed(["x"]) == ["x"]
