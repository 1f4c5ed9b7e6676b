"""An average femur of a cohort of 40: how long ``cbm atlas build`` takes, and whether shafts leave a step.

``python -m validation.atlas_cohort [FOLDER] [--workers 2]`` draws the cohort into FOLDER (kept and used
again), runs the command on it, and writes ``Docs/validation/atlas_cohort.md``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import write_surface
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.simulation.hip.femur_shape import LESSER_TROCHANTER_TIP, mean_shape
from CorticalBoneMappingLib.simulation.hip.population import draw_dimensions, individual_map

FEMURS, BOTH_SIDES, SEED = 40, 12, 16
POINTS = 30000
"""Of a femur before its shaft is cut: 20,000 to 30,000 points are left, and 40,000 to 60,000 triangles."""
SHORTEST_MM, LONGEST_MM = 25.0, 95.0
"""Shaft below the tip of the lesser trochanter."""


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
    for number, (person, side) in enumerate(_people(femurs)):
        paths = [table.parent / f"person_{person:02d}_{side}.vtp" for table in tables]
        if not all(path.is_file() for path in paths):
            closed, tip_z = _closed_femur(person, number, points)
            for path, length in zip(paths, (shaft_length_mm(number), LONGEST_MM)):
                surface = _opened(closed, tip_z - length)
                write_surface(path, surface if side == "right" else surface.mirrored())
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


def _closed_femur(person: int, number: int, points: int) -> tuple[Surface, float]:
    """A right femur, longer than any is cut; and the height of the tip of its lesser trochanter, mm."""
    dimensions = draw_dimensions(np.random.default_rng([SEED, person, 0]))
    mean = mean_shape(end_z_mm=LESSER_TROCHANTER_TIP[2] - LONGEST_MM - 5.0)
    to_person = individual_map(dimensions, np.random.default_rng([SEED, number, 1]))
    dense = Surface(to_person(mean.points), mean.triangles)
    return remesh(dense, n_points=points), float(to_person(LESSER_TROCHANTER_TIP[None])[0, 2])


def _opened(surface: Surface, end_z: float) -> Surface:
    """Leave out the triangles beyond the end of the shaft."""
    kept = surface.points[surface.triangles].mean(axis=1)[:, 2] > end_z
    used, triangles = np.unique(surface.triangles[kept], return_inverse=True)
    return Surface(surface.points[used], triangles.reshape(-1, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("cohort_of_40"))
    chosen = parser.parse_args()
    print(draw_cohorts(chosen.folder))


if __name__ == "__main__":
    main()
