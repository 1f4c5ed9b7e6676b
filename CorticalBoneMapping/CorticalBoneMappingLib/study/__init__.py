"""A study: its file and table, the mapping of its scans, the analysis of its maps, and one patient."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PLACES = {
    "StudyFile": "study_file",
    "analyse_maps": "analysis.analyse_maps",
    "cases_to_map": "check",
    "check_study": "check",
    "compare_to_controls": "patient",
    "compare_two_scans": "patient",
    "map_scans": "mapping.map_scans",
    "open_executor": "mapping.executors",
    "plan_trial": "analysis.power",
    "read_answer": "analysis.answer_files",
    "read_study_file": "study_file",
    "write_answer": "analysis.answer_files",
}

__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: a worker sets its number of threads before numpy is imported."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
