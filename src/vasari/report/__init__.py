"""The numbers and the page of a run, from its folder."""

from vasari.report.page import write_report
from vasari.report.summary import write_summary

__all__ = ["write_report", "write_summary"]
