"""The time left is told within a factor of two: of work that goes on evenly, that was begun by an
earlier run, and that takes longer and longer."""

import math
import os
import pty
import re
import subprocess
import sys

import pytest

from vasari.core.progress import Pace

TOTAL = 1000


def evenly(done):
    return 60.0 * done / TOTAL


def begun_before(done):
    """The first third was done by an earlier run, and is read in a second."""
    return done / 333 if done <= 333 else 1.0 + 0.5 * (done - 333)


def longer_and_longer(done):
    """Each unit is compared with all before it."""
    return 600.0 * (done / TOTAL) ** 2


def in_blocks(done):
    """Blocks of a hundred, whose last answers are waited for."""
    return 3.0 * (done // 100) + 0.01 * (done % 100)


def slower_at_the_start(done):
    return 20.0 + 0.02 * done if done else 0.0


def told(finished_at, done):
    """What is told when so much is done, and what is then truly left."""
    pace = Pace(0.0)
    for unit in range(1, done + 1):
        pace.tell(finished_at(unit), unit)
    left = pace.seconds_left(finished_at(done), TOTAL)
    return left, finished_at(TOTAL) - finished_at(done)


@pytest.mark.parametrize("done", [250, 400, 500, 700, 900])
@pytest.mark.parametrize("work", [evenly, longer_and_longer, in_blocks])
def test_the_time_left_is_within_a_factor_of_two(work, done):
    left, truly = told(work, done)
    assert truly / 2 <= left <= truly * 2


@pytest.mark.parametrize(
    ("work", "done"),
    [*((begun_before, done) for done in (400, 500, 700, 900))]
    + [(slower_at_the_start, done) for done in (700, 900)],
)
def test_what_was_done_before_does_not_mislead_for_long(work, done):
    left, truly = told(work, done)
    assert truly / 2 <= left <= truly * 2


@pytest.mark.parametrize("done", [0.4, 0.7])
@pytest.mark.parametrize("work", [begun_before, longer_and_longer])
def test_the_time_left_does_not_depend_on_how_often_it_was_told(work, done):
    often, scale = Pace(0.0), 100
    for unit in range(1, int(done * TOTAL * scale) + 1):
        often.tell(work(unit / scale), unit)
    left = often.seconds_left(work(done * TOTAL), TOTAL * scale)
    assert left == pytest.approx(told(work, int(done * TOTAL))[0], rel=0.05)


def test_a_terminal_shows_how_much_is_done_and_the_time_left():
    code = "from vasari.core.progress import stage\nwith stage('read') as tell: tell(3, 7)"
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", code],
        stderr=theirs,
        check=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    shown = os.read(ours, 100_000).decode()
    os.close(theirs)
    os.close(ours)
    assert "3/7" in shown
    assert re.search(r"about \d+ s left", shown)
    assert re.search(r"read: done in \d+ s", shown)


def test_nothing_is_told_before_anything_is_done():
    pace = Pace(5.0)
    assert pace.seconds_left(9.0, 10) is None
    pace.tell(9.0, 0)
    assert pace.seconds_left(9.0, 10) is None
    pace.tell(5.0, 3)
    assert pace.seconds_left(5.0, 10) is None


def test_a_stop_in_the_middle_and_a_step_back_leave_a_number():
    pace = Pace(0.0)
    for moment, done in ((1.0, 10), (2.0, 50), (3.0, 20), (100.0, 20)):
        pace.tell(moment, done)
        assert math.isfinite(pace.seconds_left(moment, 100))
    assert pace.seconds_left(100.0, 100) == pytest.approx(400.0, rel=0.5)


# Prompts done after every 16 s of two stages of a recorded curation, on a machine with other work.
RECORDED = {
    "grade": (
        *(18, 65, 124, 132, 161, 283, 385, 576, 695, 868, 1000, 1113, 1222, 1339, 1510, 1630),
        *(1718, 1802, 1889, 1972, 2036, 2131, 2242, 2356, 2415, 2490),
    ),
    "annotate": (
        *(125, 247, 409, 544, 672, 840, 1047, 1366, 1527, 1642, 1772, 1852, 1938, 2021, 2114),
        *(2214, 2284),
    ),
}


@pytest.mark.parametrize("stage", RECORDED)
def test_recorded_stages_are_told_within_a_factor_of_two_from_a_quarter_on(stage):
    pace, done = Pace(0.0), RECORDED[stage]
    for place, now in enumerate(done, start=1):
        pace.tell(16.0 * place, now)
        truly = 16.0 * (len(done) - place)
        if len(done) / 4 <= place < len(done):
            assert truly / 2 <= pace.seconds_left(16.0 * place, done[-1]) <= truly * 2, place
