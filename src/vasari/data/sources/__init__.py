"""Public data sets in the layouts in which they are published, read as prompts."""

from vasari.data.sources.read import SOURCES, BadRow, read_source
from vasari.data.sources.spec import SourceSpec, describe_source

__all__ = ["SOURCES", "BadRow", "SourceSpec", "describe_source", "read_source"]
