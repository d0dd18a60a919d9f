"""The sampler "progress" as it was at commit b600954, whose results are published.

Kept as it was, faults included, so that repairs in the package do not change the arm
`published_progress`. What was not repaired is taken from the package; a test compares draws with
those recorded at that commit.
"""

from sample_efficiency.published.progress import ProgressSampler as PublishedProgress

__all__ = ["PublishedProgress"]
