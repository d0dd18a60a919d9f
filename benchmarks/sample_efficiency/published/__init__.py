"""The sampler "progress" as it was at commit b600954, whose results are published.

Kept as it was, faults included, so that repairs in the package do not change the arm
`published_progress`.
"""

from sample_efficiency.published.parts import published_features
from sample_efficiency.published.progress import ProgressSampler as PublishedProgress

__all__ = ["PublishedProgress", "published_features"]
