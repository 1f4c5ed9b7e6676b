"""What the file ``study.toml`` and its table say: scans, columns, analyses, participants."""

from .analyses import Analysis
from .scans import Case, StudyScans
from .study_toml import Coding, StudyFile, read_study_file, write_study_file

__all__ = ["Analysis", "Case", "Coding", "StudyFile", "StudyScans", "read_study_file", "write_study_file"]
