"""Make the average femur that is shipped, from the simulated population: ``make atlas``.

A hundred digital femurs are aligned by similarity and averaged point by point (generalised Procrustes; their
correspondence is known by construction), meshed evenly, and labelled. The same call gives the same bytes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..closest import closest_points
from ..meshing import remesh
from ..progress import Progress
from ..simulation.femur_shape import (
    HEAD_CENTRE,
    HEAD_RADIUS_MM,
    LESSER_TROCHANTER_TIP,
    NECK_BASE,
    mean_shape,
)
from ..simulation.individual import individual_map
from ..simulation.population import FemurDimensions, draw_dimensions
from ..surface import Surface, write_surface
from .average import DATA, DENSITIES
from .regions import CUT_END, Landmarks, regions_of

END_Z_MM = -105.0
"""Where the average's shaft ends in the frame of the mean shape: 50 mm below the lesser trochanter."""

_LANDMARKS = Landmarks(HEAD_CENTRE, HEAD_RADIUS_MM, NECK_BASE, LESSER_TROCHANTER_TIP, END_Z_MM)
_VERTICES = {"standard": 5600, "fine": 20000}


def build_average(
    people: int = 100, seed: int = 2015, progress: Progress | None = None
) -> dict[str, Surface]:
    """Average the simulated population.

    Parameters
    ----------
    people : int
        How many femurs.
    seed : int
        Which population.
    progress : Progress, optional
        Told after each person.

    Returns
    -------
    dict of str to Surface
        The meshes by density, each with ``region`` and ``cut_end``.
    """
    progress = progress or Progress()
    template = mean_shape(end_z_mm=END_Z_MM)
    random = np.random.default_rng(seed)
    places = np.concatenate([template.points, HEAD_CENTRE[None]])
    shapes = []
    for person in range(people):
        shapes.append(individual_map(draw_dimensions(random), random)(places))
        progress.report(0.6 * (person + 1) / people, f"Person {person + 1} of {people}")
    upright = individual_map(FemurDimensions())(places)
    average = procrustes_mean(np.array(shapes), upright)
    dense = replace(template, points=average[:-1] - average[-1])
    region = regions_of(template, _LANDMARKS)
    meshes = {}
    for density, vertices in _VERTICES.items():
        mesh = remesh(dense, n_points=vertices)
        place = closest_points(dense, mesh.points)
        corner = np.take_along_axis(
            dense.triangles[place.triangle], place.weights.argmax(axis=1)[:, None], axis=1
        )[:, 0]
        labels = region[corner]
        meshes[density] = mesh.with_arrays(region=labels, cut_end=(labels == CUT_END).astype(np.uint8))
        progress.report(1.0 if density == "fine" else 0.8, f"{density}: {len(mesh.points)} vertices")
    return meshes


def procrustes_mean(shapes: np.ndarray, upright: np.ndarray, rounds: int = 5) -> np.ndarray:
    """Average shapes over position, rotation and size (generalised Procrustes; Gower 1975).

    Parameters
    ----------
    shapes : ndarray of shape (n_shapes, n_points, 3)
        Corresponding points, mm.
    upright : ndarray of shape (n_points, 3)
        Fixes the pose of the average.
    rounds : int
        Alignments to the average so far.

    Returns
    -------
    ndarray of shape (n_points, 3)
        The average, with the mean size of the shapes, in the pose of `upright`, centred.
    """
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    sizes = np.linalg.norm(centred, axis=(1, 2), keepdims=True)
    centred = centred / sizes
    average = upright - upright.mean(axis=0)
    for _ in range(rounds):
        average = average / np.linalg.norm(average)
        average = np.mean([shape @ _rotation_onto(shape, average) for shape in centred], axis=0)
    average = average @ _rotation_onto(average, upright - upright.mean(axis=0))
    return average * sizes.mean() / np.linalg.norm(average)


def _rotation_onto(shape: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Proper rotation R that brings shape @ R closest to target (Kabsch 1976)."""
    u, _, vt = np.linalg.svd(shape.T @ target)
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return u @ sign @ vt


def write_average(folder: Path = DATA, progress: Progress | None = None) -> None:
    """Build the average femur and write its meshes.

    Parameters
    ----------
    folder : Path
        Where to; by default the place from which `load_average` reads.
    progress : Progress, optional
        Told how far it has come.
    """
    for density, mesh in build_average(progress=progress).items():
        write_surface(folder / DENSITIES[density], mesh)


if __name__ == "__main__":
    from ..progress import TerminalProgress

    write_average(progress=TerminalProgress())
