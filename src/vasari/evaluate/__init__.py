"""Evaluate a policy: rollouts, verdicts by protocols, scores with intervals, comparisons."""
