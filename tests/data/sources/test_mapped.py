"""Every mapped source reads a miniature of its documented layout: question, answer and number of
images by hand."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from vasari.data.sources import SOURCES, describe_source, read_source
from vasari.records import Prompt


def _png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (5, 5), "blue").save(out, "PNG")
    return out.getvalue()


IMAGE = {"bytes": _png(), "path": "x.png"}
P = "PICTURE"
SAID = [{"from": "human", "value": "<image>\nHow many?"}, {"from": "gpt", "value": "3"}]

# name -> files, and of the first prompt: id, question, answer, number of images
CASES = {
    "math": (
        {
            "train/algebra/1.json": {
                "problem": "1+1?",
                "solution": "It is \\boxed{\\frac{4}{2}}.",
                "level": "Level 1",
                "type": "Algebra",
            }
        },
        "train/algebra/1.json",
        "1+1?",
        "\\frac{4}{2}",
        0,
    ),
    "mm_mathinstruct": (
        {
            "train.parquet": [
                {"id": "m1", "image": IMAGE, "question": "q?", "solution": "so \\boxed{7}"}
            ]
        },
        "m1",
        "q?",
        "7",
        1,
    ),
    "mmmu_pro": (
        {
            "standard (10 options)/test-0.parquet": [
                {
                    "id": "h1",
                    "question": "<image 1>?",
                    "options": "['a', 'b']",
                    "answer": "B",
                    "image_1": IMAGE,
                    "image_2": None,
                }
            ]
        },
        "h1",
        "<image 1>?",
        "B",
        1,
    ),
    "mathv360k": (
        {
            "train_samples_all_tuning.json": [
                {"id": "t1", "image": "TabMWP/images/1.png", "conversations": SAID}
            ],
            "data_images/TabMWP/images/1.png": P,
        },
        "t1",
        "<image>\nHow many?",
        "3",
        1,
    ),
    "multimath": (
        {
            "multimath-300k-a.json": [{"id": "u1", "image": "a/1.png", "conversations": SAID}],
            "a/1.png": P,
        },
        "u1",
        "<image>\nHow many?",
        "3",
        1,
    ),
    "clevr_math": (
        {
            "train.json": {
                "questions": [
                    {
                        "id": 4,
                        "image": "c.png",
                        "question": "Subtract 1. How many?",
                        "label": 2,
                        "template": "subtraction",
                    }
                ]
            },
            "images/c.png": P,
        },
        "4",
        "Subtract 1. How many?",
        "2",
        1,
    ),
    "clevr": (
        {
            "questions/CLEVR_train_questions.json": {
                "info": {},
                "questions": [
                    {
                        "image_filename": "CLEVR_train_000000.png",
                        "question": "Any cubes?",
                        "answer": "yes",
                        "question_index": 0,
                    }
                ],
            },
            "images/train/CLEVR_train_000000.png": P,
        },
        "train/0",
        "Any cubes?",
        "yes",
        1,
    ),
    "iconqa": (
        {
            "iconqa_data/iconqa/train/choose_img/12/data.json": {
                "question": "Which?",
                "choices": ["choice_0.png", "choice_1.png"],
                "answer": 1,
            },
            **{
                f"iconqa_data/iconqa/train/choose_img/12/{n}.png": P
                for n in ("image", "choice_0", "choice_1")
            },
        },
        "12",
        "Which?",
        "B",
        3,
    ),
    "iconqa_text": (
        {
            "train/choose_txt/5/data.json": {
                "question": "More?",
                "choices": ["yes", "no"],
                "answer": 0,
            },
            "train/choose_txt/5/image.png": P,
        },
        "5",
        "More?",
        "A",
        1,
    ),
    "iconqa_blank": (
        {
            "train/fill_in_blank/6/data.json": {"question": "How many?", "answer": "4"},
            "train/fill_in_blank/6/image.png": P,
        },
        "6",
        "How many?",
        "4",
        1,
    ),
    "mavis": (
        {
            "a.parquet": [
                {
                    "id": "v",
                    "image_text_dominant": IMAGE,
                    "answer_index": "B",
                    "choices": ["30", "40"],
                    "text_en": {"question": "Angle?", "CoT_reasoning": "so"},
                }
            ]
        },
        "v",
        "Angle?",
        "B",
        1,
    ),
    "rcot": (
        {"GeoMM.json": [{"id": "r", "image": "r.png", "conversations": SAID}], "r.png": P},
        "GeoMM.json/r",
        "<image>\nHow many?",
        "3",
        1,
    ),
    "geoqa_plus": (
        {
            "data/train-0.parquet": [
                {"image": IMAGE, "problem": "Find x", "solution": "<answer> 145° </answer>"}
            ]
        },
        "data/train-0.parquet#1",
        "Find x",
        "145°",
        1,
    ),
    "geomverse": (
        {
            "TRAIN/D1/data.jsonl": [
                {"question": "Area?", "cot": "so", "label": 12.5, "image_path": "images/1.png"}
            ],
            "TRAIN/D1/images/1.png": P,
        },
        "TRAIN/D1/data.jsonl#1",
        "Area?",
        "12.5",
        1,
    ),
    "scienceqa": (
        {
            "problems.json": {
                "7": {
                    "question": "Which?",
                    "choices": ["salt", "iron"],
                    "answer": 1,
                    "hint": "A magnet.",
                    "image": "image.png",
                    "split": "train",
                    "topic": "physics",
                    "grade": "grade4",
                }
            },
            "images/train/7/image.png": P,
        },
        "7",
        "A magnet. Which?",
        "B",
        1,
    ),
    "ai2d": (
        {
            "questions/1.png.json": {
                "imageName": "1.png",
                "questions": {
                    "What eats grass?": {
                        "answerTexts": ["cow", "cat"],
                        "correctAnswer": 0,
                        "questionId": "1.png-0",
                    }
                },
            },
            "images/1.png": P,
        },
        "1.png-0",
        "What eats grass?",
        "A",
        1,
    ),
    "chartqa": (
        {
            "train/train_human.json": [{"imgname": "2.png", "query": "Highest?", "label": "West"}],
            "train/png/2.png": P,
        },
        "train_human/1",
        "Highest?",
        "West",
        1,
    ),
    "spiqa": (
        {
            "SPIQA_train.json": {
                "1611.0": {
                    "paper_id": "1611.0",
                    "all_figures": {},
                    "qa": [
                        {
                            "question": "What rises?",
                            "answer": "The loss.",
                            "explanation": "e",
                            "reference": "f1.png",
                        }
                    ],
                }
            },
            "images/1611.0/f1.png": P,
        },
        "1611.0/0",
        "What rises?",
        "The loss.",
        1,
    ),
    "dvqa": (
        {
            "train_qa.json": [
                {
                    "image": "bar_train_00000001.png",
                    "question": "How many bars?",
                    "answer": "two",
                    "question_id": 1,
                }
            ],
            "images/bar_train_00000001.png": P,
        },
        "1",
        "How many bars?",
        "two",
        1,
    ),
    "plotqa": (
        {
            "train/qa_pairs_V1.json": {
                "qa_pairs": [
                    {"image_index": 0, "question_string": "Title?", "answer": "Rain", "qid": 3}
                ]
            },
            "train/png/0.png": P,
        },
        "train/qa_pairs_V1.json/3",
        "Title?",
        "Rain",
        1,
    ),
    "docvqa": (
        {
            "train_v1.0.json": {
                "data": [
                    {
                        "questionId": 9,
                        "question": "Date?",
                        "image": "documents/d.png",
                        "answers": ["1/8/93", "1-8-93"],
                    }
                ]
            },
            "documents/d.png": P,
        },
        "9",
        "Date?",
        "1/8/93",
        1,
    ),
    "infovqa": (
        {
            "infographicsVQA_train_v1.0.json": {
                "data": [
                    {
                        "questionId": 8,
                        "question": "Share?",
                        "image_local_name": "i.png",
                        "answers": ["5%"],
                    }
                ]
            },
            "images/i.png": P,
        },
        "8",
        "Share?",
        "5%",
        1,
    ),
    "wikitablequestions": (
        {
            "data/training.tsv": (
                "id\tutterance\tcontext\ttargetValue\nnt-0\twho"
                " won?\tcsv/200-csv/0.csv\tAnn\\pBo|Cy\n"
            ),
            "csv/200-csv/0.csv": '"Name","Points"\n"Ann \\"A\\"","3"\n',
        },
        "nt-0",
        "who won?",
        "Ann|Bo; Cy",
        1,
    ),
    "visualmrc": (
        {
            "train.jsonl": [
                {
                    "id": "p1",
                    "image_filename": "images/p.png",
                    "qa_data": [{"question": {"text": "When?"}, "answer": {"text": "In May."}}],
                }
            ],
            "images/p.png": P,
        },
        "p1/0",
        "When?",
        "In May.",
        1,
    ),
    "sherlock": (
        {
            "sherlock_train_v1_1.json": [
                {
                    "inputs": {"image": {"url": "http://x/VG_100K/5.png"}, "clue": "wet road"},
                    "targets": {"inference": "it rained"},
                    "instance_id": "s1",
                }
            ],
            "VG_100K/5.png": P,
        },
        "s1",
        "In the picture there is a clue: wet road. What can be inferred from it?",
        "it rained",
        1,
    ),
    "aokvqa": (
        {
            "aokvqa_v1p0_train.json": [
                {
                    "image_id": 299207,
                    "question_id": "k",
                    "question": "What for?",
                    "choices": ["sun", "rain"],
                    "correct_choice_idx": 1,
                    "rationales": ["because"],
                }
            ],
            "train2017/000000299207.jpg": P,
        },
        "k",
        "What for?",
        "B",
        1,
    ),
    "pisc": (
        {"relation.json": {"00001": {"1 2": "4"}}, "image/00001.jpg": P},
        "00001/1 2",
        (
            "What is the relation of the people 1 2: friends, family, couple, professional,"
            " commercial or no relation?"
        ),
        "professional",
        1,
    ),
    "gqa": (
        {
            "train_balanced_questions.json": {
                "q9": {
                    "imageId": "23",
                    "question": "Is it red?",
                    "answer": "no",
                    "types": {"semantic": "attr"},
                }
            },
            "images/23.jpg": P,
        },
        "q9",
        "Is it red?",
        "no",
        1,
    ),
    "mm_iq": (
        {
            "test.parquet": [
                {
                    "data_id": 1,
                    "question": "Which next?",
                    "answer": "C",
                    "image": IMAGE,
                    "category": "2D",
                }
            ]
        },
        "1",
        "Which next?",
        "C",
        1,
    ),
}


def test_every_mapped_source_has_a_miniature():
    assert {name for name in SOURCES if describe_source(name).tier == "mapped"} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_mapped_source_reads_its_documented_layout(name, plant):
    files, native_id, question, answer, num_images = CASES[name]
    (prompt,) = read_source(name, plant(files), allow_test=True)
    assert isinstance(prompt, Prompt), prompt
    assert (prompt.metadata["native_id"], prompt.question, prompt.answer, len(prompt.images)) == (
        native_id,
        question,
        answer,
        num_images,
    )


def test_a_mapped_source_says_that_it_was_not_seen():
    assert describe_source("chartqa").tier_note == "mapped, not seen on real files"
