"""Writes a report on runs: one page, and its figures and tables as files."""

from __future__ import annotations

from ul2q.report.errors import ReportError
from ul2q.report.writer import Report, write_report

__all__ = ["Report", "ReportError", "write_report"]
