"""Tests that ask for what only POSIX systems have are skipped on Windows, with the reason.

`make test` is the same command on every system. What these tests check (a process that is forked or killed,
the rights of files) is checked on Linux and macOS.
"""

from __future__ import annotations

import os

import pytest

_FORK = "Windows has no os.fork"
_KILL = "Windows has no SIGKILL"
_SIGNALS = "Windows does not end a process by a signal that has a name"
_RIGHTS = "rights of POSIX"
_LINKS = "on Windows a symbolic link needs a right of its own"

# File of tests: what the test's name contains, and why it is skipped.
POSIX_ONLY = {
    "test_folders.py": {
        "test_a_process_that_ends_during_the_exchange": _FORK,
        "test_permissions_follow_the_umask": _RIGHTS,
    },
    "test_trial_run.py": {
        "test_a_worker_that_dies_costs_its_own_case_alone": _KILL,
        "test_a_run_that_is_killed_again_and_again": _KILL,
    },
    "test_trial_both_hips.py": {"test_a_worker_that_dies_at_one_hip": _KILL},
    "test_trial_dask.py": {
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
    """Skip on Windows; on every system fail if a name of the list is no longer that of a test."""
    left = {(file, part) for file in {item.path.name for item in items} for part in POSIX_ONLY.get(file, {})}
    for item in items:
        for part, reason in POSIX_ONLY.get(item.path.name, {}).items():
            if part in item.name:
                left.discard((item.path.name, part))
                if os.name == "nt":
                    item.add_marker(pytest.mark.skip(reason=reason))
    if left and not any("::" in argument for argument in config.args):
        raise pytest.UsageError(f"Testing/conftest.py names tests that do not exist: {sorted(left)}.")
