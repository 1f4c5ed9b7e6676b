"""Make the atlas that is shipped, from the simulated population: ``make atlas``.

Each femur is meshed by itself, and its correspondence to the others is found by registration, not known from
the simulation. The same call gives the same bytes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.anatomy.regions import REGION_NAMES
from CorticalBoneMappingLib.atlas.average import DATA
from CorticalBoneMappingLib.atlas.build import BuildSettings, Subject, build_average
from CorticalBoneMappingLib.atlas.cohort import centred, with_regions_by_anatomy, write_atlas
from CorticalBoneMappingLib.atlas.shaft_end import EndPlane, with_cut_end
from CorticalBoneMappingLib.core.progress import Progress, TerminalProgress
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.mesh.shape_model import similarity
from CorticalBoneMappingLib.simulation.hip.femur import shape_only
from CorticalBoneMappingLib.simulation.hip.femur_shape import HEAD_CENTRE, mean_shape
from CorticalBoneMappingLib.simulation.hip.population import (
    FemurDimensions,
    draw_dimensions,
    individual_map,
)

NAME = "simulated population"
PEOPLE, SEED = 60, 2026
ATLAS_END_Z_MM = -105.0
"""Where the average's shaft ends in the frame of the mean shape: 50 mm below the lesser trochanter."""
_SUBJECT_POINTS = 8000


def simulated_cohort(
    people: int = PEOPLE, seed: int = SEED, progress: Progress | None = None
) -> list[Subject]:
    """Draw right femurs from the simulated population, as surfaces.

    Parameters
    ----------
    people : int
        How many.
    seed : int
        Which population.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    list of Subject
        Meshed one by one, about 8,000 points each, 95 mm of shaft below the lesser trochanter.
    """
    progress = progress or Progress()
    random = np.random.default_rng(seed)
    subjects = []
    for person in range(1, people + 1):
        progress.report((person - 1) / people, f"Drawing person {person} of {people}")
        surface = shape_only(draw_dimensions(random), random)
        subjects.append(Subject(f"person {person}", remesh(surface, n_points=_SUBJECT_POINTS), "right"))
    return subjects


def parametric_start(points: int) -> Surface:
    """Return the simulation's mean shape to begin with, cut at `ATLAS_END_Z_MM`.

    Parameters
    ----------
    points : int
        About how many the mesh has.

    Returns
    -------
    Surface
        With ``cut_end``; head centre at the origin, turned as a femur of mean dimensions lies in a scanner,
        which is the pose that the average keeps.
    """
    shape = mean_shape(end_z_mm=ATLAS_END_Z_MM)
    lying = individual_map(FemurDimensions())(shape.points)
    _, turn, _ = similarity(shape.points, lying, rigid=True)
    mesh = remesh(replace(shape, points=(shape.points - HEAD_CENTRE) @ turn.T), n_points=points)
    end = np.array([0.0, 0.0, ATLAS_END_Z_MM - HEAD_CENTRE[2]])
    return with_cut_end(mesh, EndPlane(turn @ end, turn @ np.array([0.0, 0.0, -1.0])))


def make_shipped(
    folder: Path = DATA,
    people: int = PEOPLE,
    settings: BuildSettings | None = None,
    progress: Progress | None = None,
) -> None:
    """Build the atlas that is shipped.

    Parameters
    ----------
    folder : Path
        To be written; by default the one that `load_atlas` reads.
    people : int
        How many femurs are averaged.
    settings : BuildSettings, optional
        How.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.
    """
    settings, progress = settings or BuildSettings(), progress or Progress()
    subjects = simulated_cohort(people, progress=progress.part(0.0, 0.15))
    start = parametric_start(settings.points)
    average = build_average(subjects, start, settings=settings, progress=progress.part(0.15, 0.95))
    average, anatomy = centred(average)
    average = with_regions_by_anatomy(average, anatomy)
    write_atlas(folder, average, anatomy, REGION_NAMES, NAME, settings)
    progress.report(1.0, f"The average of {people} simulated femurs is written")


if __name__ == "__main__":
    make_shipped(progress=TerminalProgress())
