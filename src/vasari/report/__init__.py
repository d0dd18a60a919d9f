"""Summary numbers and HTML page of a run, made from the files in its folder."""

from vasari.report.page import write_report
from vasari.report.summary import write_summary

__all__ = ["write_report", "write_summary"]
