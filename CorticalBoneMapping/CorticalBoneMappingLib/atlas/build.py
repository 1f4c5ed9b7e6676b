"""Build an average femur from a cohort: register, average and mesh again, until it converges.

The average is unbiased in the sense of Guimond et al. 2000 (Comput Vis Image Underst 77:192): the mean of the
people's displacements from it is zero, so it does not depend on the femur that it began with.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..core.errors import RegistrationError, SettingError
from ..core.progress import Progress
from ..core.surface import Surface
from ..mesh.closest import closest_points
from ..mesh.meshing import remesh
from ..mesh.shape_model import ShapeModel
from ..registration.cut_ends import widened
from .cohort_shapes import EXPLAINED, shape_model_of, weights_of, with_left_out
from .femurs import Subject, ready_femurs, register_femurs
from .shaft_end import EndPlane, end_plane, shortened, smoothly_subdivided, with_cut_end

# Chosen by hand; not tuned.
FEWEST_PEOPLE = 3
_ENOUGH_PEOPLE = 10  # for a shape model that helps to register
_MOST_LEFT_OUT = 0.25  # share of the femurs
_READY = 0.1  # share of the time until the first round; by hand


@dataclass(frozen=True)
class BuildSettings:
    """How an average femur is built.

    Attributes
    ----------
    rounds : int
        Greatest number of times that all femurs are registered, 1 to 20.
    settled_mm : float
        The average has converged when a round moves its surface by less than this, mean distance.
    points : int
        Of the standard mesh; 1,000 to 10,000.
    fine_points : int
        Of the fine mesh; up to 40,000.
    explained : float
        Shape modes are kept until they explain this share of the variance, 0.5 to 0.999.
    """

    rounds: int = 4
    settled_mm: float = 0.05
    points: int = 5600
    fine_points: int = 20000
    explained: float = EXPLAINED

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("number of rounds", self.rounds, 1, 20),
            ("movement at which the average has converged", self.settled_mm, 0.001, 1.0),
            ("number of points", self.points, 1000, 10000),
            ("number of points of the fine mesh", self.fine_points, self.points, 40000),
            ("share of variance", self.explained, 0.5, 0.999),
        ):
            if not low <= value <= high:
                raise SettingError(f"The {name} has to be {low:g} to {high:g}, not {value:g}.")


@dataclass(frozen=True)
class RoundMovement:
    """One round: how many femurs of how many people were averaged, and how far the surface moved, mm."""

    femurs: int
    people: int
    moved_mean_mm: float
    moved_95_mm: float


@dataclass(frozen=True)
class CohortAverage:
    """The average of a cohort.

    Attributes
    ----------
    surface : Surface
        Standard mesh, with ``cut_end``.
    fine : Surface
        Fine mesh, likewise.
    shape_model : ShapeModel
        On the mesh of the last round but one, which differs little from `surface`.
    rounds : tuple of Round
        In order.
    left_out : dict of str to str
        Femurs whose registration failed, and why.
    warnings : dict of str to list of str
        Femurs that were averaged but should be checked, and why.
    """

    surface: Surface
    fine: Surface
    shape_model: ShapeModel
    rounds: tuple[RoundMovement, ...]
    left_out: dict[str, str]
    warnings: dict[str, list[str]]


def build_average(
    subjects: Sequence[Subject],
    start: Surface,
    shape_model: ShapeModel | None = None,
    settings: BuildSettings | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> CohortAverage:
    """Average a cohort.

    Parameters
    ----------
    subjects : sequence of Subject
        Of at least three people. Each person counts once, however many femurs of theirs are averaged.
    start : Surface
        A right femur to begin with, with ``cut_end``; fixes the pose of the average and how far its shaft
        reaches at most.
    shape_model : ShapeModel, optional
        On the mesh of `start`: a prior model of shape. From ten people on, their own replaces it.
    settings : BuildSettings, optional
        How.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.
    executor : concurrent.futures.Executor, optional
        Makes ready and registers several femurs at a time; the average does not depend on how many. By
        default one after the other here.

    Returns
    -------
    CohortAverage

    Raises
    ------
    RegistrationError
        If femurs of fewer than three people are given, or the registration of more than a quarter fails.
    """
    settings, progress = settings or BuildSettings(), progress or Progress()
    people = len({subject.person for subject in subjects})
    if people < FEWEST_PEOPLE:
        raise RegistrationError(
            f"An average needs femurs of at least {FEWEST_PEOPLE} people; {len(subjects)} of {people} given."
        )
    ready, left_out = ready_femurs(subjects, executor, progress.part(0.0, _READY))
    _check_left_out(left_out, subjects)
    average, rounds = start, []
    for number in range(1, settings.rounds + 1):
        part = progress.part(*(_READY + (1.0 - _READY) * n / settings.rounds for n in (number - 1, number)))
        members = [one for one in ready if one is not None and one.subject.name not in left_out]
        found_on, failed = register_femurs(
            members, average, shape_model, number == 1, executor, part.part(0.0, 0.8), f"Round {number}"
        )
        left_out |= failed
        _check_left_out(left_out, subjects)
        there = [(one.subject, found) for one, found in zip(members, found_on) if found is not None]
        shapes, covered = (np.array([found[field] for _, found in there]) for field in (0, 1))
        persons = [subject.person for subject, _ in there]
        known = with_end(average, covered)
        model = shape_model_of(shapes, known, average, settings.explained, persons, part.part(0.8, 0.95))
        part.report(0.95, f"Round {number}: meshing the average")
        dense, end = _average_of(average, model, known, persons)
        before, average = average, with_cut_end(remesh(dense, n_points=settings.points), end)
        rounds.append(_movement(before, average, len(shapes), model.people))
        if model.people >= _ENOUGH_PEOPLE:
            shape_model = model
        shape_model = shape_model and shape_model.resampled(average)
        if rounds[-1].moved_mean_mm < settings.settled_mm:
            break
    fine = with_cut_end(remesh(dense, n_points=settings.fine_points), end)
    progress.report(0.99, "Leaving out one person after the other")
    model = with_left_out(model, shapes, covered, persons, judged=before.arrays["cut_end"] == 0)
    progress.report(1.0, f"Averaged {len(shapes)} femurs of {model.people} people")
    warnings = {subject.name: list(found.warnings) for subject, found in there if found.warnings}
    return CohortAverage(average, fine, model, tuple(rounds), left_out, warnings)


def _check_left_out(left_out: dict[str, str], subjects: Sequence[Subject]) -> None:
    total = len(subjects)
    people = len({subject.person for subject in subjects if subject.name not in left_out})
    if len(left_out) > _MOST_LEFT_OUT * total or people < FEWEST_PEOPLE:
        name, why = next(iter(left_out.items()))
        raise RegistrationError(
            f"The registration of {len(left_out)} of {total} femurs failed, too many for an average. "
            f"The first, {name}: {why}"
        )


def with_end(average: Surface, covered: np.ndarray) -> np.ndarray:
    """Count the flat end as known for femurs whose shaft reaches beyond it: it lies inside them."""
    end = average.arrays["cut_end"] == 1
    ring = widened(average, end) & ~end
    reaches = covered[:, ring].mean(axis=1) > 0.5
    return covered | (reaches[:, None] & end)


def _average_of(
    average: Surface, shape_model: ShapeModel, known: np.ndarray, persons: Sequence[str]
) -> tuple[Surface, EndPlane]:
    """The mean shape, dense, with a flat end where at least half of the people reach; the end's plane."""
    share = np.average(known, axis=0, weights=weights_of(persons))
    mean = shape_model.surface
    end = end_plane(mean, average.arrays["cut_end"] == 1)
    dense = smoothly_subdivided(mean, end)
    return shortened(dense, end, share[cKDTree(mean.points).query(dense.points)[1]])


def _movement(before: Surface, after: Surface, femurs: int, people: int) -> RoundMovement:
    measured = after.arrays["cut_end"] == 0
    distance = closest_points(before, after.points[measured]).distance
    return RoundMovement(femurs, people, float(distance.mean()), float(np.quantile(distance, 0.95)))
