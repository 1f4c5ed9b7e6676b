"""Which tests are slow, and which need what only POSIX systems have: these are skipped on Windows.

Slow are the files that simulate scans, open a browser or start many processes (more than 7 s in
`pytest --durations=0`); `make test-fast` leaves them out.

`make test` is the same command on every system. What these tests check (a process that is forked or killed,
the rights of files) is checked on Linux and macOS.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_FORK = "Windows has no os.fork"
_KILL = "Windows has no SIGKILL"
_SIGNALS = "Windows does not end a process by a signal that has a name"
_RIGHTS = "rights of POSIX"
_LINKS = "on Windows a symbolic link needs a right of its own"

SLOW = {
    "anatomy",
    "atlas_build",
    "beam_hardening",
    "cli",
    "cli_anatomy",
    "cli_map",
    "cortex",
    "cortex_methods",
    "dicom_files",
    "drawing_apart",
    "find_femur",
    "found_files",
    "further_tests",
    "inputs",
    "mapping_both_hips",
    "mapping_dask",
    "mapping_of_scans",
    "mapping_review",
    "mapping_run",
    "patient",
    "physical_ct",
    "position",
    "provenance_source",
    "python_page",
    "registration",
    "registration_damaged",
    "report",
    "report_pressed",
    "report_quality",
    "report_study",
    "rod_search",
    "scanner",
    "segmentation",
    "segmentation_benchmark",
    "segmentation_exact",
    "segmentation_heads",
    "segmentation_model_fit",
    "simulated_trial",
    "slice_profile",
    "study_outer_edge",
    "study_statistics",
}

# File of tests: what the test's name contains, and why it is skipped.
POSIX_ONLY = {
    "test_folders.py": {
        "test_a_process_that_ends_during_the_exchange": _FORK,
        "test_permissions_follow_the_umask": _RIGHTS,
    },
    "test_mapping_run.py": {
        "test_a_worker_that_dies_costs_its_own_case_alone": _KILL,
        "test_a_run_that_is_killed_again_and_again": _KILL,
    },
    "test_mapping_both_hips.py": {"test_a_worker_that_dies_at_one_hip": _KILL},
    "test_mapping_dask.py": {
        "even_if_a_worker_is_killed_in_the_middle": _KILL,
        "test_a_case_that_kills_every_worker": _KILL,
    },
    "test_drawing_apart.py": {
        "test_a_process_that_crashes_leaves_a_sentence": _SIGNALS,
    },
    "test_inputs.py": {
        "a folder that may not be read": _RIGHTS,
        "a slice that may not be read": _RIGHTS,
        "a link that leads nowhere": _LINKS,
    },
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark slow tests; skip on Windows; fail on every system if a name of the lists is not that of a test."""
    files = {path.name for path in Path(__file__).parent.rglob("test_*.py")}
    if gone := sorted({*(f"test_{name}.py" for name in SLOW), *POSIX_ONLY} - files):
        raise pytest.UsageError(f"Testing/conftest.py names files that do not exist: {gone}.")
    for item in items:
        if item.path.stem.removeprefix("test_") in SLOW:
            item.add_marker(pytest.mark.slow)
    left = {(file, part) for file in {item.path.name for item in items} for part in POSIX_ONLY.get(file, {})}
    for item in items:
        for part, reason in POSIX_ONLY.get(item.path.name, {}).items():
            if part in item.name:
                left.discard((item.path.name, part))
                if os.name == "nt":
                    item.add_marker(pytest.mark.skip(reason=reason))
    if left and not any("::" in argument for argument in config.args):
        raise pytest.UsageError(f"Testing/conftest.py names tests that do not exist: {sorted(left)}.")
