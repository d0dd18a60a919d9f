"""Stored model outputs -> verdicts and scores by any protocol, without a model and without a
network.
"""

from vasari.evaluate.rescore.job import rescore
from vasari.evaluate.rescore.readers import BadRow, read_outputs
from vasari.evaluate.rescore.settings import RescoreDir, RescoreSettings

__all__ = ["BadRow", "RescoreDir", "RescoreSettings", "read_outputs", "rescore"]
