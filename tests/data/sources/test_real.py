"""Real files of the verified sources, where VASARI_DATA names a folder of them: counts and facts
read off the files by hand."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from vasari.data.images import open_image
from vasari.data.sources import BadRow, read_source
from vasari.records import Prompt
from vasari.verify import verify_answer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("VASARI_DATA" not in os.environ, reason="needs VASARI_DATA"),
]


def read(name, folder, **options):
    path = Path(os.environ["VASARI_DATA"]) / folder
    if not path.is_dir():
        pytest.skip(f"no {folder}")
    found = list(read_source(name, path, **options))
    return [p for p in found if isinstance(p, Prompt)], [
        row for row in found if isinstance(row, BadRow)
    ]


# name, folder, split -> prompts, bad rows. Missing pictures of LogicVista (161 of 448 are here) are
# bad rows, and one question of it has no answer. The sharegpt rows of LLaMA-Factory with a picture
# have none here.
COUNTS = [
    ("geometry3k", "geometry3k", "train", 715, 0),
    ("geometry3k", "geometry3k", "val", 92, 0),
    ("geometry3k", "geometry3k", "test", 193, 0),
    ("geometry3k", "geometry3k_native", "train", 10, 0),
    ("mathvision", "mathvision", "testmini", 304, 0),
    ("logicvista", "logicvista", "test", 160, 288),
    ("dynamath", "dynamath", "test", 501, 0),
    ("puzzlevqa", "puzzlevqa", "test", 200, 0),
    ("tabmwp", "tabmwp", "val", 1000, 0),
    ("sharegpt", "llamafactory_demo", "train", 500, 24),
    ("mathverse", "mathverse", "testmini_text_only", 788, 0),
]


@pytest.mark.parametrize(("name", "folder", "split", "num_prompts", "num_bad"), COUNTS)
def test_a_real_data_set_is_read_whole(name, folder, split, num_prompts, num_bad):
    prompts, bad = read(name, folder, split=split, allow_test=True)
    assert (len(prompts), len(bad)) == (num_prompts, num_bad), bad[:3]
    for prompt in prompts[:5]:
        for image in prompt.images:
            assert open_image(image).width > 8


@pytest.mark.parametrize(
    ("name", "folder"), [("mathvision", "mathvision"), ("mathvista", "mathvista_questions")]
)
def test_every_question_of_a_benchmark_is_read_without_its_images(name, folder):
    prompts, bad = read(name, folder, allow_test=True, images=False)
    assert (len(prompts), bad) == ({"mathvision": 3040, "mathvista": 1000}[name], [])
    choices = {"mathvision": 1532, "mathvista": 540}[name]
    assert sum(prompt.choices is not None for prompt in prompts) == choices


@pytest.mark.parametrize(
    ("name", "folder", "count"), [("raven", "raven_style", 126), ("arc_agi", "arc_agi", 416)]
)
def test_drawn_puzzles_can_be_opened(name, folder, count):
    path = Path(os.environ["VASARI_DATA"]) / folder
    if not path.is_dir():
        pytest.skip(f"no {folder}")
    num = 0
    for prompt in read_source(name, path):
        assert isinstance(prompt, Prompt), prompt
        num += 1
        if num % 40 == 1:
            assert min(open_image(prompt.images[0]).size) > 40
    assert num == count


def test_raven_letters_agree_with_an_index_made_beside_the_archives():
    prompts, _ = read("raven", "raven_style")
    index = json.loads((Path(os.environ["VASARI_DATA"]) / "raven_style" / "index.json").read_text())
    answers = {row["id"]: row["answer"] for row in index}
    assert all(answers[prompt.metadata["native_id"]] == prompt.answer for prompt in prompts)


def test_the_formats_of_llamafactory_are_read_when_their_pictures_are_there(tmp_path):
    demo = Path(os.environ["VASARI_DATA"]) / "llamafactory_demo" / "data"
    if not demo.is_dir():
        pytest.skip("no llamafactory_demo")
    for name in ("dataset_info.json", "mllm_demo.json"):
        shutil.copy(demo / name, tmp_path / name)
    (tmp_path / "mllm_demo_data").mkdir()
    for number in (1, 2, 3):
        Image.new("RGB", (9, 9)).save(tmp_path / "mllm_demo_data" / f"{number}.jpg")
    prompts = list(read_source("llamafactory", tmp_path))
    assert [(prompt.question, len(prompt.images)) for prompt in prompts[:3]] == [
        ("<image>Who are they?", 1), ("<image>Who is he?", 1), ("<image>Please describe this image", 1),
    ]  # fmt: skip
    assert prompts[0].answer == "They're Kane and Gretzka from Bayern Munich."


@pytest.mark.parametrize(
    ("name", "folder", "split"),
    [
        ("geometry3k", "geometry3k", "train"),
        ("tabmwp", "tabmwp", "val"),
        ("puzzlevqa", "puzzlevqa", "test"),
    ],
)
def test_a_real_reference_verifies_itself(name, folder, split):
    prompts, _ = read(name, folder, split=split, allow_test=True)
    for prompt in prompts[::20]:
        verdict = verify_answer(
            f"\\boxed{{{prompt.answer}}}", prompt.answer, choices=prompt.choices, kind=prompt.kind
        )
        assert verdict.value == 1.0, (prompt.id, verdict)
