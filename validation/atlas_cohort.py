"""An average femur of a cohort of 40: how long ``cbm atlas build`` takes, and whether shafts leave a step.

``python -m validation.atlas_cohort [FOLDER]`` draws the cohort into FOLDER (by default a temporary one; what
is there is used again), runs the command on it, and writes ``Docs/validation/atlas_cohort.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.atlas.average import RECORD, load_atlas
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.files import write_text
from CorticalBoneMappingLib.io.surface_files import read_surface, write_surface
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.simulation.hip.femur_shape import END_Z_MM, LESSER_TROCHANTER_TIP, mean_shape
from CorticalBoneMappingLib.simulation.hip.population import draw_dimensions, individual_map, other_side

REPORT = Path(__file__).parents[1] / "Docs" / "validation" / "atlas_cohort.md"
FEMURS, BOTH_SIDES, SEED = 40, 12, 16
POINTS = 30000
"""Of a femur before its shaft is cut: 20,000 to 30,000 points are left, and 40,000 to 60,000 triangles."""
SHORTEST_MM, LONGEST_MM = 25.0, 95.0
"""Shaft below the tip of the lesser trochanter."""
STRETCH_MM, DIRECTIONS = 3.0, 8
_SHAFT_Z_MM = -55.0  # below the lesser trochanter
_FEW = 9  # lines of a table of eight femurs


def draw_cohorts(folder: Path, femurs: int = FEMURS, points: int = POINTS) -> tuple[Path, Path]:
    """Write two cohorts of the same meshes: with shafts of unequal length, and with long ones.

    Parameters
    ----------
    folder : Path
        Where; surfaces that are there already are kept.
    femurs : int
        How many; the first people have both sides.
    points : int
        Of each before its shaft is cut.

    Returns
    -------
    cut, whole : Path
        Their tables.
    """
    tables = []
    for name in ("cut", "whole"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        tables.append(folder / name / "cohort.csv")
        rows = [f"person_{person:02d}_{side}.vtp,{side},{person}" for person, side in _people(femurs)]
        tables[-1].write_text("\n".join(["surface,side,person", *rows]) + "\n", encoding="utf-8")
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(partial(_draw, tables, points), range(femurs), *zip(*_people(femurs))))
    return tables[0], tables[1]


def _people(femurs: int) -> list[tuple[int, str]]:
    both = min(BOTH_SIDES, femurs // 3)
    return [
        (number // 2 if number < 2 * both else number - both, ("left", "right")[number % 2])
        for number in range(femurs)
    ]


def shaft_length_mm(number: int) -> float:
    """Return the length of a femur's shaft, drawn evenly."""
    return float(np.random.default_rng([SEED, number, 2]).uniform(SHORTEST_MM, LONGEST_MM))


def _draw(tables: Sequence[Path], points: int, number: int, person: int, side: str) -> None:
    paths = [table.parent / f"person_{person:02d}_{side}.vtp" for table in tables]
    if all(path.is_file() for path in paths):
        return
    closed, tip_z = _closed_femur(person, side, points)
    for path, length in zip(paths, (shaft_length_mm(number), LONGEST_MM)):
        surface = _opened(closed, tip_z - length)
        write_surface(path, surface if side == "right" else surface.mirrored())


def _closed_femur(person: int, side: str, points: int) -> tuple[Surface, float]:
    """A femur as a right one, longer than any is cut; and the height of its lesser trochanter, mm."""
    random = np.random.default_rng([SEED, person, 0])
    dimensions, own = draw_dimensions(random), None
    if side == "left":
        own = np.random.default_rng([SEED, person, 1])
        dimensions = other_side(dimensions, own)
    mean = mean_shape(end_z_mm=max(END_Z_MM, LESSER_TROCHANTER_TIP[2] - LONGEST_MM - 5.0))
    to_person = individual_map(dimensions, random, own)
    dense = Surface(to_person(mean.points), mean.triangles)
    return remesh(dense, n_points=points), float(to_person(LESSER_TROCHANTER_TIP[None])[0, 2])


def _opened(surface: Surface, end_z: float) -> Surface:
    """Leave out the triangles beyond the end of the shaft, at least those of its flat end."""
    end_z = max(end_z, surface.points[:, 2].min() + 2.0)
    kept = surface.points[surface.triangles].mean(axis=1)[:, 2] > end_z
    used, triangles = np.unique(surface.triangles[kept], return_inverse=True)
    return Surface(surface.points[used], triangles.reshape(-1, 3))


@dataclass(frozen=True)
class Run:
    """A run of the command: its time, that of processors, its largest process, reports, longest silence."""

    seconds: float
    processor_seconds: float
    megabytes: float
    reports: int
    silence_s: float


def build(table: Path, out: Path, *options: str, stop_at: float = 2.0) -> Run:
    """Run ``cbm atlas build``; interrupt it as Ctrl-C does when it has come as far as `stop_at`."""
    words = ["-m", "CorticalBoneMappingLib.cli", "atlas", "build", str(table), "--out", str(out)]
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    times, stopped = [begun], 0.0
    with subprocess.Popen(
        [sys.executable, *words, "--progress", "json", *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        for line in process.stderr:
            times.append(time.perf_counter())
            if line.startswith("{") and json.loads(line)["fraction"] >= stop_at and not stopped:
                process.send_signal(signal.SIGINT)
                stopped = time.perf_counter()
        process.wait()
    if process.returncode and not stopped:
        raise SystemExit(f"The command failed: {line}")
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    return Run(
        ended - (stopped or begun),
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        after.ru_maxrss / 1024,
        len(times) - 1,
        float(np.diff(times).max()),
    )


def profile(cut: Surface, whole: Surface) -> tuple[np.ndarray, np.ndarray]:
    """How far one average lies outside another, by height and direction round the shaft.

    Parameters
    ----------
    cut, whole : Surface
        In one pose, head's centre at the origin.

    Returns
    -------
    height : ndarray of shape (n,)
        Middle of each stretch of `STRETCH_MM`, mm.
    outside : ndarray of shape (n, `DIRECTIONS`)
        mm; not the last stretch above the end, whose rim is rounded.
    """
    shaft = (cut.arrays["cut_end"] == 0) & (cut.points[:, 2] < _SHAFT_Z_MM)
    points = cut.points[shaft]
    way = points - closest_points(whole, points).points(whole)
    outside = np.einsum("ij,ij->i", way, cut.normals[shaft])
    stretch = np.floor((points[:, 2] - points[:, 2].min()) / STRETCH_MM).astype(int)
    count = np.bincount(stretch)
    middle = np.stack([np.bincount(stretch, points[:, axis]) / count for axis in (0, 1)], axis=1)
    angle = np.arctan2(*(points[:, :2] - middle[stretch]).T)
    direction = np.floor((angle / (2 * np.pi) + 0.5) * DIRECTIONS).astype(int) % DIRECTIONS
    cell, shape = stretch * DIRECTIONS + direction, (len(count), DIRECTIONS)
    sums, counts = (np.bincount(cell, w, np.prod(shape)).reshape(shape) for w in (outside, None))
    height = points[:, 2].min() + STRETCH_MM * (np.arange(len(count)) + 0.5)
    return height[1:], (sums / np.maximum(counts, 1))[1:]


def same_bytes(table: Path, folder: Path) -> bool:
    """Whether one worker and two make the same files of the first femurs."""
    few = table.parent / "few.csv"
    few.write_text(
        "".join(table.read_text(encoding="utf-8").splitlines(keepends=True)[:_FEW]), encoding="utf-8"
    )
    digests = []
    for workers in ("1", "2"):
        out = folder / f"few_{workers}"
        build(few, out, "--rounds", "1", "--workers", workers, "--name", "few")
        digests.append({one.name: hashlib.sha256(one.read_bytes()).digest() for one in out.iterdir()})
    return digests[0] == digests[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--femurs", type=int, default=FEMURS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        cut, whole = draw_cohorts(chosen.folder or Path(temporary) / "cohort", chosen.femurs)
        out = Path(temporary)
        runs = [
            build(table, out / name, "--workers", "2") for table, name in ((cut, "cut"), (whole, "whole"))
        ]
        print(runs, flush=True)
        alike = same_bytes(cut, out)
        stop = build(cut, out / "stopped", "--workers", "2", stop_at=0.15)
        write_text(REPORT, page(cut, runs, alike, stop, out))


def page(table: Path, runs: list[Run], alike: bool, stop: Run, out: Path) -> str:
    """The page as text."""
    surfaces = [read_surface(path) for path in sorted(table.parent.glob("*.vtp"))]
    triangles = sorted(len(surface.triangles) for surface in surfaces)
    middle = triangles[len(triangles) // 2]
    people = len({line.split(",")[2] for line in table.read_text(encoding="utf-8").split()[1:]})
    cut, whole = (load_atlas(out / name, "fine") for name in ("cut", "whole"))
    record = json.loads((out / "cut" / RECORD).read_text(encoding="utf-8"))
    height, outside = profile(cut.surface, whole.surface)
    ends = [shaft_length_mm(number) for number in range(len(surfaces))]
    low, lowest = (atlas.surface.points[:, 2].min() for atlas in (cut, whole))
    run, steps = runs[0], np.abs(np.diff(outside, axis=0))
    lines = [
        f"| {z:.0f} | {row.mean():+.2f} | {np.abs(row).max():.2f} | {np.abs(step).max():.2f} |"
        for z, row, step in zip(height[1:], outside[1:], np.diff(outside, axis=0))
    ]
    stopped = "nothing was written" if not (out / "stopped").exists() else "something was left behind"
    return f"""# An average femur of a cohort of {len(surfaces)}

`python -m validation.atlas_cohort` wrote this page. The femurs of {people} simulated people
(`simulation/hip/population.py`), {len(surfaces) - people} of them with both sides, are meshed one by one,
open at the end of the shaft, which is {min(ends):.0f} to {max(ends):.0f} mm long below the tip of the lesser
trochanter; {triangles[0]:,} to {triangles[-1]:,} triangles, median {middle:,}.

`cbm atlas build cohort.csv --workers 2`, on two cores that did other work as well:

| | |
|---|---|
| time | {run.seconds / 60:.1f} min |
| time of processors | {run.processor_seconds / 60:.1f} min |
| largest process | {run.megabytes:.0f} MB |
| rounds until it moved less than 0.05 mm | {len(record["rounds"])} |
| left out | {len(record["left_out"])} |
| with a warning | {len(record["remarks"])} |
| reports of progress, longest time without one | {run.reports}, {run.silence_s:.0f} s |
| interrupted at 15 % | ended after {stop.seconds:.1f} s, {stopped} |
| one worker and two (first {_FEW - 1} femurs, one round) | {"the same bytes" if alike else "other bytes"} |

## Where shafts end
The average of these femurs, against that of the same meshes with {LONGEST_MM:.0f} mm of shaft each. `z`
counts from the head's centre; the average ends at {low:.0f} mm, at most where half of the people reach (the
other one at {lowest:.0f} mm). Signed distance over {STRETCH_MM:.0f} mm of shaft and {360 // DIRECTIONS}° around
it; a step would be a great change from one stretch to the next. The greatest change is {steps.max():.2f} mm.

| z (mm) | mean of the directions (mm) | greatest (mm) | greatest change from the stretch below (mm) |
|---|---|---|---|
{chr(10).join(lines)}
"""


if __name__ == "__main__":
    main()
