"""Verdicts: the final answer of a response, and whether it equals the reference answer.

The way of a response, file by file:

1. `cascade`: `verify` and `verify_answer`, from here to the verdict.
2. `reference`: the reference answer and its kind (`infer_kind`), read once and kept.
3. `extract`: where the response states its answer, and what stands there; `thoughts` takes out what
   does not count, `boxes` and `phrases` find it. Where it states none of the reference's kind,
   `prose` (options) and `prose_numbers` (numbers, formulas) read the sentences that conclude.
4. `answer`: an answer as one object, `Answer`, normalised once (`normalise`, `signs`), with its
   number (`numbers`, `words`, `units`), constant (`arithmetic`), list (`lists`), region
   (`regions`), time (`moments`), each read when it is first asked for.
5. `compare`: one `Answer` with another, by what the reference is: lists and matrices item by item,
   each item by `single` (equations, ratios, formulas) and `quantities` (values with units); words
   by `texts`; options by `choices` (letters, labels) and `options` (their texts and values).
6. `symbolic`: what all this leaves open goes to computer algebra, in a process with limits.

`limits` has every bound; `explain` shows the steps for one response; `judge` asks an LLM about what
the rules cannot settle.
"""

from vasari.verify.cascade import infer_kind, verify, verify_answer
from vasari.verify.explain import Explanation, explain
from vasari.verify.extract import Extraction, extract_answer

__all__ = [
    "Explanation",
    "Extraction",
    "explain",
    "extract_answer",
    "infer_kind",
    "verify",
    "verify_answer",
]
