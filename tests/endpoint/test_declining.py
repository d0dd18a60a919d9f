"""Models that decline in prose, told from poor answers."""

from __future__ import annotations

import pytest

from vasari.endpoint import Response
from vasari.endpoint.declining import declines

DECLINES = (
    "I can't help with that.",
    "I\u2019m sorry, but I can\u2019t assist with that request.",
    "Sorry, I cannot help with this.",
    "I cannot comply with this request.",
    "I'm unable to help with that.",
    "As an AI language model, I cannot assist with that.",
    "Unfortunately, I am not able to assist with this request.",
    "I won't help with that.",
    "We are unable to process this request.",
    "<think>This may show a person.</think>I'm sorry, I can't help with identifying people.",
    "\u62b1\u6b49\uff0c\u6211\u65e0\u6cd5\u63d0\u4f9b\u5e2e\u52a9\u3002",
)
ANSWERS = (
    "5",
    "I do not know.",
    "I cannot determine the answer without the picture.",
    "I can't see the picture, so I guess 5.",
    "The function can't have more than two roots, so 2.",
    "You can't help but see 4 dots.",
    "Sorry, the answer is \\boxed{5}",
    "I'm sorry, but I can't help with that. \\boxed{5}",
    "Sorry, I can't help but say that the answer is 5.",
)


@pytest.mark.parametrize("text", DECLINES)
def test_a_model_that_declines_gives_no_answer(text):
    assert declines(text)
    assert Response(text=text, finish_reason="stop").fault == "declined"


@pytest.mark.parametrize("text", ANSWERS)
def test_a_poor_answer_is_an_answer(text):
    assert not declines(text)
    assert Response(text=text, finish_reason="stop").fault == ""
