"""The same problem told otherwise is recognised, and another one with like words is not."""

import time

import pytest

from vasari.curate.match.decontaminate import BenchmarkIndex, LeakSettings
from vasari.curate.match.image_hash import index_images
from vasari.curate.match.problem_text import read_problem, same_problem
from vasari.records import Prompt

PARALLEL = (
    "As shown in the figure, in triangle ABC, it is known that angle A = 80.0, angle B = 60.0, DE"
    " parallel BC, then the size of angle CED is ()\nChoices:\nA:40°\nB:60°\nC:120°\nD:140°"
)
LADDER = (
    "A ladder of 13 m leans on a wall, and its foot is 5 m away from the wall. How high does the"
    " ladder reach?"
)


def reported(benchmark, training, **options):
    tests, prompts = (
        [Prompt(id=name, question=text, answer="")]
        for name, text in (("test", benchmark), ("train", training))
    )
    index = BenchmarkIndex(tests, index_images(tests, crops=True), LeakSettings(**options))
    return [drop.reason for drop in index.leaks(prompts, index_images(prompts))]


@pytest.mark.parametrize(
    ("benchmark", "training"),
    [
        (PARALLEL, "In △ABC, ∠A = 80°, ∠B = 60°, DE ∥ BC. Then the size of ∠CED is ()"),
        (PARALLEL, "In $\\triangle ABC$, $\\angle A=80^\\circ$, $\\angle B=60^{\\circ}$ and"
         " $DE \\parallel BC$. Find $\\angle CED$."),
        (PARALLEL, "DE is parallel to BC. Angle B is 60 degrees and angle A is eighty degrees in"
         " triangle ABC. What is angle CED?"),
        (PARALLEL, "In △PQR, ∠P = 80°, ∠Q = 60°, ST ∥ QR, then the size of ∠RTS is"),
        (PARALLEL, "Consider the following geometry problem. DE ∥ BC, ∠A = 80.0, ∠B = 60.0 in △ABC,"
         " then the degree of ∠CED is (). Explain how you obtained this."),
        (LADDER, "The foot of a ladder is 5.0 meters away from the wall on which it leans. The"
         " ladder is 13 meters long. How high does it reach?"),
        # Spaced names on both sides of a full stop, as MathVerse writes them.
        ("In trapezoid J K L M, J K is parallel to M L. J M = 6, K L = 6, and \\angle J M L is 80 degrees. Find m \\angle K.",
         "In trapezoid JKLM, JK ∥ ML. JM = 6, KL = 6, and ∠JML is 80 degrees. Find m ∠K."),
        ("A B \\cong D F. C E is perpendicular to A B and D F. C B = 9 x and D E = 2 x + 14. Find x.",
         "AB ≅ DF. CE ⊥ AB and DF. CB = 9 x and DE = 2 x + 14. Find x."),
        # Names and numbers alone, beside any words.
        ("In ⊙M, FL = 24, HJ = 48, and m \\widehat{HP} = 65. Find m \\widehat{HJ}.",
         "Here is a question about the drawing. In ⊙W, GV = 24, SN = 48, and m \\widehat{SJ} = 65. Find m \\widehat{SN}."
         " Give your answer as a number."),
        ("In $\\odot S$, $m \\widehat {PQR}=98$, Find $m \\widehat {PQ}$.",
         "In ⊙S, m \\widehat {PQR} = 98. Find m \\widehat {PQ}. Justify each step of your reasoning."),
        ("⊙O 中，弦AB＝8，半径为5，则圆心O到AB的距离是（）", "⊙O中，半径为5，弦AB=8.0，圆心O到AB的距离是多少？"),
        ("If $A C=\\frac{1}{2} B D$ and $B D=\\sqrt{3}$, find the area of rhombus $A B C D$.",
         "Find the area of the rhombus ABCD if AC = ½ BD and BD = √3."),
        ("Which of the shapes <image1> has 4 sides of length 12 and an area of 100?\n(A) 1 (B) 2",
         "Which of the shapes has four sides of length twelve and an area of 100?"),
    ],
)  # fmt: skip
def test_a_problem_told_otherwise_is_found(benchmark, training):
    assert reported(benchmark, training) == ["benchmark_leak_text"]
    assert reported(training, benchmark) == ["benchmark_leak_text"]


@pytest.mark.parametrize(
    ("benchmark", "training"),
    [
        (PARALLEL, PARALLEL.replace("60.0", "50.0")),
        (
            "In ⊙M, FL = 24, HJ = 48, and m \\widehat{HP} = 65. Find m \\widehat{HJ}.",
            "In ⊙M, FL = 48, HJ = 24, and m \\widehat{HP} = 65. Find m \\widehat{HL}.",
        ),
        (PARALLEL, PARALLEL.replace("80.0", "60.0").replace("B = 60.0", "B = 80.0")),
        (LADDER, LADDER.replace("13", "15")),
        (LADDER, "A rope of 13 m hangs from a tower, and a bird sits 5 m above. How long is it?"),
        (
            "In Rt△ABC, ∠C = 90°, AC = 4, AB = 5, then the value of sinB is ()",
            "In Rt△ABC, ∠C = 90°, AC = 4, AB = 5, then the value of cosA is ()",
        ),
        (
            "AC is the diameter of circle O, if ∠OBC = 40°, then the degree of ∠AOB is ()",
            "AB is the diameter of circle O, if ∠BDC = 40°, then the degree of ∠BOC is ()",
        ),
        ("In ⊙O, chord AB = 8 and the radius is 5.", "In ⊙O, chord AB = 8 and the radius is 6."),
        ("Find x.", "Find x."),
        ("Find m \\angle 3.", "Find the measure of ∠3."),
        ("Find the area.", "Find the area."),
    ],
)
def test_another_problem_is_not(benchmark, training):
    assert reported(benchmark, training) == []


def test_other_wordings_are_not_looked_for_where_they_are_not_wanted():
    other = "DE is parallel to BC. ∠B is 60° and ∠A is 80° in △ABC. What is angle CED?"
    assert reported(PARALLEL, other, paraphrases=False) == []
    assert reported(PARALLEL, PARALLEL, paraphrases=False) == ["benchmark_leak_text"]


@pytest.mark.parametrize(
    "text",
    [
        "triangle ABC " * 50_000,
        "A B C D E F G H " * 30_000,
        " ".join(f"angle {a}{b}{c} = 5" for a in "ABCDEF" for b in "GHIJKL" for c in "MNOPQR"),
        " ".join(f"{a}{b}" for a in "ABCDE" for b in "FGHIJ"),
        "two three four five six seven eight nine " * 20_000,
    ],
)
def test_hostile_texts_take_no_longer_than_long_ones(text):
    started = time.process_time()
    same_problem(read_problem(text), read_problem(text.replace("A", "Z")))
    # A search over all renamings of these would not end.
    assert time.process_time() - started < 30
