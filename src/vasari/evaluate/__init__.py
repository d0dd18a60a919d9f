"""Evaluate a policy: rollouts, verdicts by scoring protocols, scores with intervals, comparisons.

`vasari evaluate` on a run's test sets (`run.py`) and on benchmarks (`benchmarks/`), and
`vasari rescore` (`rescore.py`) share these steps:

1. Outputs: `collect.py` generates rollouts part by part into JSON lines (`outputs.py`);
   `readers.py` reads the files of other tools.
2. Verdicts: `verdicts.py` applies the scoring protocols (`protocols/`), in several processes;
   `judging.py` asks an LLM about what they leave undecided; `disagree.py` lists where they differ.
3. Scores: `scores.py` for prompts with several rollouts, `tally.py` for outputs that stand alone,
   both with the intervals of `statistics.py`.
4. Comparison: `compare.py` pairs two models prompt by prompt.
"""
