"""Public data sets' native layouts to prompts with provenance."""

from vasari.data.sources.read import (
    SOURCES,
    BadRow,
    SourceDescription,
    describe_source,
    read_source,
)

__all__ = ["SOURCES", "BadRow", "SourceDescription", "describe_source", "read_source"]
