"""Spreads curation over machines with Ray; nothing else in the package imports it."""

from vasari.cluster.connection import joined_ray
from vasari.cluster.engine import RayEngine

__all__ = ["RayEngine", "joined_ray"]
