"""Work on a case that takes no time, for tests of what runs it; as a script: a run that can be killed.

What happens to a case is in the name of its participant: ``wrong``, ``fault``, ``memory``, ``dies``,
``diesonce``, ``diesinwriting``, ``slow``.
"""

from __future__ import annotations

import csv
import hashlib
import os
import signal
import sys
import time
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path

import numpy as np
from small_study import people, write_study

from CorticalBoneMappingLib.core.errors import MeasurementError
from CorticalBoneMappingLib.core.measures import MEASURES, STATUS_LABELS, VertexStatus
from CorticalBoneMappingLib.core.progress import JsonProgress, Progress
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.volume_files import read_volume
from CorticalBoneMappingLib.pipeline.regions import region_rows
from CorticalBoneMappingLib.pipeline.result import FemurResult
from CorticalBoneMappingLib.study.check import cases_to_map
from CorticalBoneMappingLib.study.mapping.case import run_case
from CorticalBoneMappingLib.study.mapping.executors import SeparateProcesses
from CorticalBoneMappingLib.study.mapping.map_scans import MappingSummary, map_scans
from CorticalBoneMappingLib.study.study_file.scans import Case
from CorticalBoneMappingLib.study.study_file.study_toml import read_study_file


def measure(case: Case, progress: Progress) -> FemurResult:
    """Make a result of four points that follows from scan, settings and name; or do what the name says."""
    progress.report(0.5, "Measuring")
    kind = case.participant.rstrip("0123456789")
    once = case.ct.with_suffix(".died")
    if kind == "wrong":
        raise MeasurementError("This bone is not measurable.")
    if kind == "fault":
        raise ZeroDivisionError("a fault")
    if kind == "memory":
        raise MemoryError
    if kind == "slow":
        time.sleep(0.3)
    if kind == "dies" or (kind == "diesonce" and not once.exists()):
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    value = float(read_volume(case.ct, case.series).array.max()) / 1000.0 + case.settings.spacing_mm
    points = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]], dtype=np.float64)
    triangles = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    maps = {name: np.full(4, value) for name in MEASURES} | {"quality": np.zeros(4, np.uint8)}
    surface = Surface(points, triangles).with_arrays(**maps, region=np.ones(4, np.int16))
    rows = region_rows(surface, surface.arrays["region"], {1: "all"})
    record = {
        "points": {STATUS_LABELS[quality]: 4 * (quality == VertexStatus.GOOD) for quality in VertexStatus},
        "registration": {"distances_mm": {"to_average_95": 0.2}, "expected_error_mm": 0.5, "covered": 1.0},
        "notes": [],
        "timings_s": {"all": time.time() % 1},
    }
    return FemurResult(
        surface, surface, _Deadly(rows) if kind == "diesinwriting" else rows, record, case.side
    )


class _Deadly(list):
    """Rows at which the process dies: the result is half written then."""

    def __iter__(self):
        os.kill(os.getpid(), signal.SIGKILL)


work = partial(run_case, measure=measure)


class Inline(Executor):
    """Does everything at once, here."""

    def submit(self, work, /, *args, **kwargs) -> Future:
        """Do it."""
        future: Future = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def cases_in(folder: Path) -> list[Case]:
    """Cases of the study in a folder."""
    return cases_to_map(read_study_file(folder / "study.toml", needs_analysis=False))


def run(folder: Path, executor: Executor | None = None) -> MappingSummary:
    """Run it into its folder ``results``."""
    return map_scans(cases_in(folder), folder / "results", executor or Inline(), work=work)


def digest(results: Path) -> dict[str, str]:
    """Hashes of all that belongs to results; logs, times and the lock do not."""
    files = [file for file in results.glob("sub-*/**/*") if file.is_file()] + [results / "qc.csv"]
    return {
        file.relative_to(results).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def study_of(folder: Path, *names: str) -> None:
    """People of these names, each with a scan."""
    people(folder, len(names))
    rows = [
        [name, "0", "right", f"ct{number}.nrrd", f"mask{number}.nrrd", "1", ""]
        for number, name in enumerate(names)
    ]
    write_study(folder, rows)


def main(study: str, results: str, workers: str) -> None:
    """Run a study with the work of this module."""
    cases = cases_to_map(read_study_file(study, needs_analysis=False))
    with SeparateProcesses(int(workers)) as executor:
        map_scans(cases, Path(results), executor, JsonProgress(), work)


if __name__ == "__main__":
    import mapping_work

    mapping_work.main(*sys.argv[1:])  # by its own name, so that the workers find `work`
