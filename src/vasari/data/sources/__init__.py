"""Read public data sets, in the layouts in which they are published, as prompts."""

from vasari.data.sources.read import BadRow, read_source
from vasari.data.sources.spec import SOURCES, SourceSpec, describe_source

__all__ = ["SOURCES", "BadRow", "SourceSpec", "describe_source", "read_source"]
