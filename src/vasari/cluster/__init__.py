"""Curation on several machines with Ray; only the `--engine ray` option imports this folder."""

from vasari.cluster.connection import joined_ray
from vasari.cluster.engine import RayEngine

__all__ = ["RayEngine", "joined_ray"]
