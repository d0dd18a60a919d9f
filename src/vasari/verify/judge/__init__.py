"""An LLM judge for verdicts that rules leave undecided, behind any OpenAI-compatible server.

Needs `pip install 'vasari[curate]'`; `vasari.verify` itself does not import it.
"""

from vasari.verify.judge.ask import Judged, JudgeItem, is_undecided, judge_all, judge_verdicts
from vasari.verify.judge.formats import FORMATS, JudgeFormat
from vasari.verify.judge.settings import FormatName, JudgeSettings, load_judge

__all__ = [
    "FORMATS",
    "FormatName",
    "JudgeFormat",
    "JudgeItem",
    "JudgeSettings",
    "Judged",
    "is_undecided",
    "judge_all",
    "judge_verdicts",
    "load_judge",
]
