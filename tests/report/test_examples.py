import numpy as np

from vasari.report.examples import probable_wrong_labels
from vasari.report.inputs import Groups

NAN = float("nan")


def visits(*rows) -> Groups:
    """Groups of one prompt: (extractions, verdicts) of each visit."""
    count = len(rows)
    return Groups(
        batch=np.arange(count),
        index=np.zeros(count, dtype=np.int64),
        prompt_id=["p"] * count,
        purpose=np.array(["train"] * count),
        role=np.array(["uniform"] * count),
        verdicts=[list(row[1]) for row in rows],
        extractions=[list(row[0]) for row in rows],
        pass_rate=np.zeros(count),
    )


WRONG = (["7", "7", "7", "3"], [0, 0, 0, 1])


def test_a_steady_answer_that_is_never_right_is_suspect():
    (suspect,) = probable_wrong_labels([visits(WRONG, WRONG, WRONG)])
    assert (suspect.prompt_id, suspect.answer, suspect.num_visits, suspect.num_steady) == (
        "p",
        "7",
        3,
        3,
    )
    assert suspect.share == 9 / 12


def test_visits_of_several_arms_count_together():
    assert len(probable_wrong_labels([visits(WRONG, WRONG), visits(WRONG)])) == 1


def test_two_visits_are_too_few():
    assert probable_wrong_labels([visits(WRONG, WRONG)]) == []


def test_a_steady_right_answer_is_no_suspect():
    right = (["7", "7", "7", "3"], [1, 1, 1, 0])
    assert probable_wrong_labels([visits(right, right, right)]) == []


def test_an_answer_judged_right_once_is_no_suspect():
    flaky = (["7", "7", "7", "3"], [0, 1, 0, 0])
    assert probable_wrong_labels([visits(WRONG, WRONG, flaky)]) == []


def test_answers_that_change_from_visit_to_visit_are_no_suspect():
    other = (["5", "5", "5", "7"], [0, 0, 0, 0])
    assert probable_wrong_labels([visits(WRONG, other, WRONG)]) == []


def test_a_majority_of_less_than_half_is_no_suspect():
    split = (["7", "7", "1", "2", "3"], [0, 0, 0, 0, 0])
    assert probable_wrong_labels([visits(split, split, split)]) == []


def test_spelling_does_not_split_the_votes():
    spelled = (["Blue", "blue ", "BLUE"], [0, 0, 0])
    assert len(probable_wrong_labels([visits(spelled, spelled, spelled)])) == 1


def test_rollouts_without_an_answer_or_a_verdict_do_not_vote():
    silent = ([None, "7", "7"], [0, NAN, NAN])
    assert probable_wrong_labels([visits(silent, silent, silent)]) == []
