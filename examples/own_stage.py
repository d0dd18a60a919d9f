"""A curation stage of your own: drop long questions and store the length of the others.

    python examples/own_stage.py
In a recipe for `vasari curate`, with this file in the working folder and `--plugin own_stage`:
    stages:
      - {name: own_stage:short_questions, after: check, settings: {max_words: 40}}
"""

import dataclasses
from collections.abc import Sequence

from vasari.curate.check_stage import check_stage
from vasari.records import Prompt


def short_questions(prompts: Sequence[Prompt], max_words: int = 60) -> list[Prompt | str]:
    """Return for each prompt the prompt itself, perhaps changed, or why it is dropped."""
    decisions: list[Prompt | str] = []
    for prompt in prompts:
        num_words = len(prompt.question.split())
        if num_words > max_words:
            decisions.append("too_long")
        else:
            decisions.append(
                dataclasses.replace(prompt, metadata={**prompt.metadata, "num_words": num_words})
            )
    return decisions


if __name__ == "__main__":
    check_stage(short_questions, max_words=40)
    prompts = [
        Prompt(id="short", question="What is 2 + 2?", answer="4"),
        Prompt(id="long", question="why " * 50, answer="so"),
    ]
    for prompt, decision in zip(prompts, short_questions(prompts, max_words=40), strict=True):
        print(prompt.id, "->", decision if isinstance(decision, str) else decision.metadata)
