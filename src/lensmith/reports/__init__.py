"""The report: one offline page that is written from a run folder and from nothing else."""

from __future__ import annotations

from lensmith.reports.page import write_report

__all__ = ["write_report"]
