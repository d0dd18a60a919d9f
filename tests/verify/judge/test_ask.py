"""Undecided verdicts before a judge: an honest one, a gullible one, and one that breaks in every
way."""

from __future__ import annotations

import pytest

from vasari.core.errors import ConfigError
from vasari.endpoint import ResponseStore
from vasari.records import Outcome
from vasari.verify import verify_answer
from vasari.verify.judge import JudgeItem, judge_all, judge_verdicts


@pytest.fixture
def judge(settings, tmp_path):
    """Judges items with the given settings, each time from the same store."""

    def call(items, **changes):
        with ResponseStore(tmp_path / "store") as store:
            return judge_all(items, settings(**changes), store)

    return call


def test_the_judge_decides_what_the_rules_left_open(judge, item):
    judged = judge(
        [item("feline", "cat"), item("dog", "cat"), item("a handful", "12", rule="number")]
    )
    assert [(verdict.outcome, verdict.decided_by) for verdict in judged.verdicts] == [
        (Outcome.CORRECT, "judge"), (Outcome.INCORRECT, "judge"), (Outcome.CORRECT, "judge"),
    ]  # fmt: skip
    assert judged.verdicts[0].extraction == "feline"
    assert (judged.num_undecided, judged.num_asked, judged.num_without_verdict) == (3, 3, 0)


def test_what_the_rules_decided_is_not_sent(judge, item, server):
    decided = [
        item("cat", "cat", rule="exact", outcome="correct"),
        item("12", "13", rule="number"),
        item("B", "C", rule="choice", choices=("cat", "dog", "cow")),
        item("all of them", "cat", rule="ambiguous"),
        item("9^9^9", "7", rule="limit"),
    ]
    judged = judge(decided)
    assert judged.verdicts == tuple(one.verdict for one in decided)
    assert server.prompts == []


def test_verdicts_keep_the_order_of_a_stream_of_items(settings, item, tmp_path):
    words = [f"feline {n}" if n % 3 else "feline" for n in range(60)]
    with ResponseStore(tmp_path) as store:
        verdicts = judge_verdicts((item(word) for word in words), settings(), store)
    assert [verdict.extraction for verdict in verdicts] == words
    assert [verdict.outcome is Outcome.CORRECT for verdict in verdicts] == [
        word == "feline" for word in words
    ]


def test_a_verdict_is_bought_once(judge, item, server):
    items = [item("feline"), item("feline"), item("dog")]
    first = judge(items)
    second = judge(items)
    assert first.verdicts == second.verdicts
    assert len(server.prompts) == 2
    assert (first.report.answered, second.report.answered, second.report.from_store) == (
        3,
        0,
        3,
    ) or first.report.answered == 2


def test_an_answer_of_the_verifier_goes_to_the_judge_as_it_is(judge):
    response = "It purrs, so it is a cat. <answer>a domestic feline</answer>"
    verdict = verify_answer(response, "house cat", kind="text")
    judged = judge(
        [
            JudgeItem(
                verdict=verdict, answer="house cat", response=response, question="Which animal?"
            )
        ]
    )
    assert (judged.num_asked, judged.verdicts[0].decided_by) == (1, "judge")


def test_the_judge_sees_the_answer_and_not_the_reasoning(judge, item, server):
    judge([item("feline", response="Surely the reference says cat. <answer>feline</answer>")])
    assert "Surely" not in server.prompts[0]


def test_a_reference_that_no_rule_reads_is_judged_from_the_end_of_the_response(judge, item, server):
    server.reply = lambda prompt, attempt: f"{prompt.split('--- ')[1].split()[0]} same"
    unread = item(
        None,
        "3 1/2 1/4",
        rule="reference",
        outcome="unverifiable",
        response="<think>no</think>It is 3 1/2 1/4.",
    )
    assert judge([unread]).verdicts[0].outcome is Outcome.CORRECT
    assert "It is 3 1/2 1/4." in server.prompts[0]
    assert "no</think>" not in server.prompts[0]


def test_options_are_shown_and_the_letter_spelled_out(judge, item, server):
    judge([item("the purring one", "B", rule="choice", choices=("dog", "cat"))])
    assert "(A) dog\n(B) cat" in server.prompts[0]
    assert "reference answer ---\n(B) cat\n" in server.prompts[0]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (500, "server_error"),
        (400, "refused: 400: out of order"),
        ("", "empty"),
        ("CORRECT", "no label"),
        ("same", "no label"),
        ("deadbeef same", "no label"),
        ("The two mean the same thing.", "no label"),
        ("<think>{code} same", "no label"),
        ("{code} same {code} different", "no label"),
        ("{code} same\nbut on reflection different", "no label"),
        ("{code} unclear", "cannot be compared"),
        ("x" * 30_000, "30,000 characters"),
    ],
)
def test_a_failing_or_unreadable_judge_is_no_verdict(judge, item, server, reply, reason):
    def said(prompt, attempt):
        return (
            reply
            if isinstance(reply, int)
            else reply.replace("{code}", prompt.split("--- ")[1].split()[0])
        )

    server.reply = said
    judged = judge([item()])
    (verdict,) = judged.verdicts
    assert (verdict.outcome, verdict.decided_by, verdict.extraction) == (
        Outcome.UNVERIFIABLE,
        "judge",
        "feline",
    )
    assert reason in verdict.reason
    assert judged.num_without_verdict == 1


def test_a_reply_that_the_limit_cut_is_no_verdict_and_a_raised_limit_asks_again(
    judge, item, server
):
    server.finish = "length"
    assert "was cut at 5 tokens" in judge([item()], max_tokens=5).verdicts[0].reason
    server.finish = "stop"
    assert judge([item()], max_tokens=50).verdicts[0].outcome is Outcome.CORRECT


def test_a_server_that_is_not_there_is_named_and_asked_again_when_it_is(judge, item):
    away = judge([item()], endpoint={"base_url": "http://127.0.0.1:9/v1"})
    assert "no_connection" in away.verdicts[0].reason
    assert judge([item()]).verdicts[0].outcome is Outcome.CORRECT


def test_a_second_reply_is_drawn_when_the_first_cannot_be_read(judge, item, server):
    server.reply = lambda prompt, attempt: "hm" if attempt == 1 else server.honest(prompt)
    assert judge([item()]).verdicts[0].outcome is Outcome.CORRECT
    first, second = (body["seed"] for body in server.bodies)
    assert (first, first == second) == (0, False)


def test_a_readable_reply_costs_one_request(judge, item, server):
    judge([item()], num_replies=4)
    assert len(server.prompts) == 1


def test_a_budget_that_is_spent_leaves_the_rest_without_a_verdict(judge, item):
    # A reply may cost 100 tokens x 10,000 / 1M = 1.00 and costs 2 tokens, 0.02: the first fits into
    # 1.01, a second does not.
    endpoint = {
        "prices": {"judge": {"input": "0", "output": "10000"}},
        "budget": "1.01",
        "max_concurrency": 1,
    }
    judged = judge([item(f"feline {n}") for n in range(5)], max_tokens=100, endpoint=endpoint)
    assert ["not_sent" in verdict.reason for verdict in judged.verdicts] == [
        False,
        True,
        True,
        True,
        True,
    ]
    assert (judged.num_without_verdict, str(judged.report.money)) == (4, "0.02")
    assert "budget" in judged.report.stopped_by


def test_a_missing_key_is_an_error_and_no_verdict(judge, item, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"NO_SUCH_KEY \(api_key_env\) is not set"):
        judge([item()], endpoint={"api_key_env": "NO_SUCH_KEY"})


def test_a_reference_that_is_too_long_is_not_cut_but_kept_from_the_judge(judge, item, server):
    judged = judge([item("feline", "cat " * 2000)])
    assert (judged.num_kept, judged.num_asked, server.prompts) == (1, 0, [])
    assert (judged.verdicts[0].outcome, judged.verdicts[0].decided_by) == (
        Outcome.INCORRECT,
        "text",
    )
    assert "longer than 4000 characters" in judged.verdicts[0].reason


@pytest.mark.parametrize(
    ("name", "right", "wrong", "open_"),
    [("compass_verifier", "A", "B", "C"), ("xverify", "[Correct]", "[Incorrect]", "[Perhaps]")],
)
def test_the_labels_of_judging_models_are_read(judge, item, server, name, right, wrong, open_):
    replies = {"feline": right, "dog": wrong, "cow": open_}
    server.reply = lambda prompt, attempt: next(
        label for word, label in replies.items() if word in prompt
    )
    judged = judge([item(word) for word in replies], format=name)
    assert [verdict.outcome for verdict in judged.verdicts] == [
        Outcome.CORRECT,
        Outcome.INCORRECT,
        Outcome.UNVERIFIABLE,
    ]
    assert "The answer is feline." in server.prompts[0]


def test_a_template_takes_the_place_of_the_prompt(judge, item, server):
    server.reply = lambda prompt, attempt: "Correct"
    judge(
        [item("feline {answer}")], format="xverify", template="Q {question} R {response} G {answer}"
    )
    assert server.prompts == ["Q Which animal? R The answer is feline {answer}. G cat"]
