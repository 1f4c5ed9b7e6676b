"""Make the atlas that is shipped: ``make atlas``.

The average femur is the mean femur of the digital hip (`tools.mean_femur`), cut shorter. Its shape model has
the modes of the thirteen real people, and those of a simulated population where the real ones are too few.
The same files give the same bytes.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.anatomy.regions import REGION_NAMES
from CorticalBoneMappingLib.atlas.augmented import augmented_model
from CorticalBoneMappingLib.atlas.average import DATA
from CorticalBoneMappingLib.atlas.build import (
    BuildSettings,
    CohortAverage,
    RoundMovement,
    Subject,
    with_end,
)
from CorticalBoneMappingLib.atlas.cohort import centred, with_regions_by_anatomy, write_atlas
from CorticalBoneMappingLib.atlas.shaft_end import EndPlane, with_cut_end
from CorticalBoneMappingLib.core.progress import Progress, TerminalProgress
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.mesh.shape_model import similarity
from CorticalBoneMappingLib.registration import register
from CorticalBoneMappingLib.simulation.hip.femur_shape import HEAD_CENTRE, mean_shape
from CorticalBoneMappingLib.simulation.hip.population import (
    FemurDimensions,
    draw_dimensions,
    individual_map,
)

from .mean_femur import average_record
from .real_people import real_people

NAME = "thirteen people"
PEOPLE, SEED = 200, 2026
"""Simulated people whose modes are added, and the seed that they are drawn with."""
MODES, EXPLAINED = 30, 0.999
"""Number of modes, real and simulated together; share of the real variance that the real ones explain."""
ATLAS_END_Z_MM = -105.0
"""Where the average's shaft ends in the frame of the mean shape: 52 mm below the lesser trochanter's tip."""


def average_mesh(points: int) -> tuple[Surface, np.ndarray]:
    """Return the mean shape as the average femur: centred, in the pose of a person who lies, with a cut end.

    Parameters
    ----------
    points : int
        About how many the mesh has.

    Returns
    -------
    surface : Surface
        With ``cut_end``; head centre at the origin, turned as a femur of mean dimensions lies in a scanner.
    places : ndarray of shape (n, 3)
        Where its points lie on the mean shape, in the frame of the bone, mm.
    """
    shape = mean_shape(end_z_mm=ATLAS_END_Z_MM)
    lying = individual_map(FemurDimensions())(shape.points)
    _, turn, _ = similarity(shape.points, lying, rigid=True)
    mesh = remesh(shape, n_points=points)
    end = EndPlane(np.array([0.0, 0.0, ATLAS_END_Z_MM]), np.array([0.0, 0.0, -1.0]))
    cut = with_cut_end(mesh, end)
    return replace(cut, points=(mesh.points - HEAD_CENTRE) @ turn.T), mesh.points


def people_on(average: Surface, subjects: list[Subject], progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Register the average to the real people.

    Returns
    -------
    shapes : ndarray of shape (femurs, n, 3)
        The average's vertices on each femur, right-sided, mm.
    covered : ndarray of bool, shape (femurs, n)
        Which of them have a counterpart. The flat end counts, where the bone reaches beyond it.
    """
    shapes, covered = [], []
    for number, subject in enumerate(subjects):
        progress.report(number / len(subjects), f"Registering {subject.name}")
        found = register(subject.surface, average, subject.side)
        deformed = found.deformed.mirrored() if subject.side == "left" else found.deformed
        shapes.append(deformed.points)
        covered.append(found.covered)
    return np.array(shapes), np.array(covered)


def simulated_on(places: np.ndarray, people: int = PEOPLE, seed: int = SEED) -> np.ndarray:
    """Return where places on the mean shape lie on simulated people, mm, shape (people, n, 3)."""
    random = np.random.default_rng(seed)
    return np.array([individual_map(draw_dimensions(random), random)(places) for _ in range(people)])


def make_shipped(folder: Path = DATA, progress: Progress | None = None) -> None:
    """Build the atlas that is shipped, from the mean femur of the digital hip.

    Parameters
    ----------
    folder : Path
        To be written; by default the one that `load_atlas` reads.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.
    """
    progress, settings = progress or Progress(), BuildSettings()
    standard, places = average_mesh(settings.points)
    fine, _ = average_mesh(settings.fine_points)
    subjects = real_people()
    shapes, covered = people_on(standard, subjects, progress.part(0.0, 0.8))
    progress.report(0.8, f"Drawing {PEOPLE} simulated people")
    at_end = standard.arrays["cut_end"] == 1
    model = augmented_model(
        shapes,
        simulated_on(places),
        Surface(standard.points, standard.triangles),
        MODES,
        covered=with_end(standard, covered),
        persons=[subject.person for subject in subjects],
        judged=~at_end,
        explained=EXPLAINED,
    )
    rounds = tuple(RoundMovement(**one) for one in average_record()["rounds"])
    average, anatomy = centred(CohortAverage(standard, fine, model, rounds, {}, {}))
    average = with_regions_by_anatomy(average, anatomy)
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary) / "atlas"
        write_atlas(made, average, anatomy, REGION_NAMES, NAME, settings)
        for path in sorted(made.iterdir()):  # the notices beside them stay
            shutil.copy(path, folder)
    progress.report(1.0, f"The average of {rounds[-1].people} people is written")


if __name__ == "__main__":
    make_shipped(progress=TerminalProgress())
