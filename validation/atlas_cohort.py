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


def draw_cohort(folder: Path, femurs: int = FEMURS, points: int = POINTS, whole: bool = False) -> Path:
    """Write a cohort's surfaces, open at the end of the shaft, and their table; return the table.

    Parameters
    ----------
    folder : Path
        Where; surfaces that are there already are kept.
    femurs : int
        How many; the first people have both sides.
    points : int
        Of each.
    whole : bool
        Whether every shaft is `LONGEST_MM` long, not each of its own length.

    Returns
    -------
    Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["surface,side,person"]
    for number in range(femurs):
        person = number // 2 if number < 2 * BOTH_SIDES else number - BOTH_SIDES
        side = ("left", "right")[number % 2]
        path = folder / f"person_{person:02d}_{side}.vtp"
        rows.append(f"{path.name},{side},{person}")
        if not path.is_file():
            length = LONGEST_MM if whole else shaft_length_mm(number)
            write_surface(path, femur(person, number, side, length, points))
    table = folder / "cohort.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table


def shaft_length_mm(number: int) -> float:
    """Return the length of a femur's shaft, drawn evenly."""
    return float(np.random.default_rng([SEED, number, 2]).uniform(SHORTEST_MM, LONGEST_MM))


def femur(person: int, number: int, side: str, length_mm: float, points: int) -> Surface:
    """Draw a femur, in a pose of its own, without the triangles beyond the end of its shaft."""
    dimensions = draw_dimensions(np.random.default_rng([SEED, person, 0]))
    random = np.random.default_rng([SEED, number, 1])
    end_z = LESSER_TROCHANTER_TIP[2] - LONGEST_MM - 5.0
    mean = mean_shape(end_z_mm=end_z)
    to_person = individual_map(dimensions, random)
    dense = Surface(to_person(mean.points), mean.triangles)
    closed = remesh(dense, n_points=points)
    end = to_person(LESSER_TROCHANTER_TIP[None])[0, 2] - length_mm
    kept = closed.points[closed.triangles].mean(axis=1)[:, 2] > end
    used, triangles = np.unique(closed.triangles[kept], return_inverse=True)
    surface = Surface(closed.points[used] + random.uniform(-150, 150, 3), triangles.reshape(-1, 3))
    return surface if side == "right" else surface.mirrored()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("cohort_of_40"))
    chosen = parser.parse_args()
    print(draw_cohort(chosen.folder))


if __name__ == "__main__":
    main()
