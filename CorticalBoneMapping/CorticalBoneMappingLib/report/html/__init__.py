"""Results as self-contained pages: the report of a study, and the page on which its cases are judged."""

from .quality_page import write_quality_page
from .study import write_study_report

__all__ = ["write_quality_page", "write_study_report"]
