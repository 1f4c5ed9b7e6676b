"""What a study costs: time, memory and bytes of a case, and of the running itself; extrapolated.

``python -m validation.trial_cost [RESULTS] [--cases 1000] [--of 10000]`` prints the tables of
Docs/trial.md. RESULTS is what ``cbm study run`` has left; the cost of the running is that of cases that do
nothing but write a result of four points.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from CorticalBoneMappingLib.core.measures import MEASURES, STATUS_LABELS, VertexStatus
from CorticalBoneMappingLib.core.progress import Progress
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.pipeline.regions import region_rows
from CorticalBoneMappingLib.pipeline.result import FemurResult
from CorticalBoneMappingLib.pipeline.settings import MapSettings
from CorticalBoneMappingLib.study.mapping.case import run_case
from CorticalBoneMappingLib.study.mapping.map_scans import map_scans
from CorticalBoneMappingLib.study.study_file.scans import Case

HOUR_S, GIGABYTE = 3600.0, 1e9


class Inline(Executor):
    """Does everything here, so that its time is that of the running."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Do it."""
        future: Future = Future()
        future.set_result(work(*args, **kwargs))
        return future


def nothing(case: Case, _: Progress) -> FemurResult:
    """Make a result of four points."""
    points = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]], dtype=np.float64)
    maps = {name: np.ones(4) for name in MEASURES} | {"quality": np.zeros(4, np.uint8)}
    surface = Surface(points, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
    surface = surface.with_arrays(**maps, region=np.ones(4, np.int16))
    record = {
        "points": {STATUS_LABELS[kind]: 4 * (kind == VertexStatus.GOOD) for kind in VertexStatus},
        "registration": {"distances_mm": {"to_average_95": 0.0}, "expected_error_mm": 0.0, "covered": 1.0},
        "notes": [],
        "timings_s": {},
    }
    rows = region_rows(surface, surface.arrays["region"], {1: "all"})
    return FemurResult(surface, surface, rows, record, case.side)


def of_results(results: Path, of: int) -> str:
    """Say what the cases of a finished run cost."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (results / "log").glob("*.json")]
    done = [record for record in records if record["status"] == "done"]
    sizes: dict[str, list[int]] = defaultdict(list)
    for file in results.glob("sub-*/*/*/*"):
        sizes[file.name].append(file.stat().st_size)
    cpu = np.array([record["cpu_seconds"] for record in done])
    memory = max(record["peak_memory_mb"] for record in done)
    each = sum(float(np.mean(values)) for values in sizes.values())
    lines = [
        f"{len(done)} cases: {cpu.mean():.1f} s of one core each (95 % of them below "
        f"{np.percentile(cpu, 95):.1f} s), at most {memory} MB of memory, {each / 1e6:.2f} MB on the disk:",
        *(f"  {name}: {np.mean(values) / 1e3:.0f} kB" for name, values in sorted(sizes.items())),
        f"{of:,} cases: {of * cpu.mean() / HOUR_S:.0f} hours of one core, {of * each / GIGABYTE:.0f} GB",
    ]
    return "\n".join(lines)


def of_running(cases: int, of: int) -> str:
    """Say what the running costs: the first run of cases that do nothing, and one that finds all done."""
    with tempfile.TemporaryDirectory() as name:
        scan = Path(name) / "scan"
        scan.mkdir()
        for number in range(300):  # a DICOM folder's number of files, whose sizes and times are asked for
            (scan / f"{number}.dcm").write_bytes(b"slice")
        settings = MapSettings()
        people = [Case(f"P{n}", "0", "right", scan, None, settings, n + 1) for n in range(cases)]
        results = Path(name) / "results"
        seconds = []
        for _ in range(2):
            begun = time.process_time()
            map_scans(people, results, Inline(), work=partial(run_case, measure=nothing))
            seconds.append(time.process_time() - begun)
        tables = (results / "cases.csv").stat().st_size + (results / "qc.csv").stat().st_size
    first, again = (1e3 * value / cases for value in seconds)
    return (
        f"Running itself, {cases} cases: {first:.1f} ms each the first time, {again:.1f} ms each if nothing "
        f"has to be done, {tables / cases:.0f} bytes of tables each\n"
        f"{of:,} cases: {of * again / 1e3:.0f} s until a run knows that nothing has to be done"
    )


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="?")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--of", type=int, default=10_000)
    chosen = parser.parse_args()
    if chosen.results:
        print(of_results(chosen.results, chosen.of))
    print(of_running(chosen.cases, chosen.of))


if __name__ == "__main__":
    main()
