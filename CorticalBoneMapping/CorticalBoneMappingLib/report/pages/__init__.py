"""Pages that need nothing else: the report of a study, and the page on which cases are judged."""

from .quality_page import write_quality_page
from .study_report import write_study_report

__all__ = ["write_quality_page", "write_study_report"]
