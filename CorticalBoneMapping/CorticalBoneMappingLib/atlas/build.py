"""Build an average femur from a cohort: register, average and mesh again, until it converges.

The average is unbiased in the sense of Guimond et al. 2000 (Comput Vis Image Underst 77:192): the mean of the
people's displacements from it is zero, so it does not depend on the femur that it began with. Mean and modes
are found from corresponding shapes, parts of which may be missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from ..core.errors import RegistrationError, SettingError, SurfaceError
from ..core.progress import Progress
from ..core.surface import Surface
from ..mesh.closest import closest_points
from ..mesh.meshing import remesh
from ..mesh.shape_model import ShapeModel, similarity
from ..mesh.shape_modes import left_out_of, person_weights, principal_modes, without_pose
from ..registration import RegistrationSettings, register
from ..registration.cut_ends import widened
from .shaft_end import EndPlane, end_plane, shortened, smoothly_subdivided, with_cut_end

# Chosen by hand; not tuned.
FEWEST_PEOPLE = 3
EXPLAINED = 0.98
"""Modes are kept until they explain this share of the variance of shape."""
_ROUNDS, _SETTLED_MM = 30, 0.002  # of `shape_model_of`: most iterations, and movement when it has converged
_ENOUGH_PEOPLE = 10  # for a shape model that helps to register
_MOST_LEFT_OUT = 0.25  # share of the femurs


@dataclass(frozen=True)
class Subject:
    """One femur of a cohort.

    Attributes
    ----------
    name : str
        Its name in messages.
    surface : Surface
        Closed, RAS mm.
    side : {"left", "right"}
        Of the body.
    person : str
        Whose it is. All femurs of a person together count as one. By default the femur's own name.
    """

    name: str
    surface: Surface
    side: str
    person: str = ""

    def __post_init__(self) -> None:
        if not self.person:
            object.__setattr__(self, "person", self.name)


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

    Returns
    -------
    Average

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
    left_out: dict[str, str] = {}
    average, rounds = start, []
    for number in range(settings.rounds):
        part = progress.part(number / settings.rounds, (number + 1) / settings.rounds)
        members = [subject for subject in subjects if subject.name not in left_out]
        shapes, covered, warnings = _registered(members, average, shape_model, number + 1, left_out, part)
        _check_left_out(left_out, subjects)
        persons = [subject.person for subject in members if subject.name not in left_out]
        known = _with_end(average, covered)
        found = shape_model_of(shapes, known, average, settings.explained, persons)
        dense, end = _average_of(average, found, known, persons)
        before, average = average, with_cut_end(remesh(dense, n_points=settings.points), end)
        rounds.append(_movement(before, average, len(shapes), found.people))
        if found.people >= _ENOUGH_PEOPLE:
            shape_model = found
        shape_model = shape_model and shape_model.resampled(average)
        if rounds[-1].moved_mean_mm < settings.settled_mm:
            break
    fine = with_cut_end(remesh(dense, n_points=settings.fine_points), end)
    progress.report(0.99, "Leaving out one person after the other")
    found = with_left_out(found, shapes, covered, persons, judged=before.arrays["cut_end"] == 0)
    progress.report(1.0, f"Averaged {len(shapes)} femurs of {found.people} people")
    return CohortAverage(average, fine, found, tuple(rounds), left_out, warnings)


def _registered(
    subjects: Sequence[Subject],
    average: Surface,
    shape_model: ShapeModel | None,
    number: int,
    left_out: dict[str, str],
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray, dict[str, list[str]]]:
    """The average's vertices on each femur (right-sided), which of them it covers, and warnings."""
    shapes, covered, warnings = [], [], {}
    settings = RegistrationSettings(check_side=number == 1)
    for done, subject in enumerate(subjects):
        progress.report(done / len(subjects), f"Round {number}: {subject.name}")
        try:
            registered_template = register(
                subject.surface, average, subject.side, shape_model=shape_model, settings=settings
            )
        except (RegistrationError, SurfaceError) as error:
            left_out[subject.name] = str(error)
            continue
        right = (
            registered_template.deformed.mirrored()
            if subject.side == "left"
            else registered_template.deformed
        )
        shapes.append(right.points)
        covered.append(registered_template.covered)
        if registered_template.look_at_it:
            warnings[subject.name] = list(registered_template.warnings)
    return np.array(shapes), np.array(covered), warnings


def _check_left_out(left_out: dict[str, str], subjects: Sequence[Subject]) -> None:
    total = len(subjects)
    people = len({subject.person for subject in subjects if subject.name not in left_out})
    if len(left_out) > _MOST_LEFT_OUT * total or people < FEWEST_PEOPLE:
        name, why = next(iter(left_out.items()))
        raise RegistrationError(
            f"The registration of {len(left_out)} of {total} femurs failed, too many for an average. "
            f"The first, {name}: {why}"
        )


def _with_end(average: Surface, covered: np.ndarray) -> np.ndarray:
    """Count the flat end as known for femurs whose shaft reaches beyond it: it lies inside them."""
    end = average.arrays["cut_end"] == 1
    ring = widened(average, end) & ~end
    reaches = covered[:, ring].mean(axis=1) > 0.5
    return covered | (reaches[:, None] & end)


def _average_of(
    average: Surface, shape_model: ShapeModel, known: np.ndarray, persons: Sequence[str]
) -> tuple[Surface, EndPlane]:
    """The mean shape, dense, with a flat end where at least half of the people reach; the end's plane."""
    share = np.average(known, axis=0, weights=person_weights(persons))
    mean = shape_model.surface
    end = end_plane(mean, average.arrays["cut_end"] == 1)
    dense = smoothly_subdivided(mean, end)
    return shortened(dense, end, share[cKDTree(mean.points).query(dense.points)[1]])


def _movement(before: Surface, after: Surface, femurs: int, people: int) -> RoundMovement:
    measured = after.arrays["cut_end"] == 0
    distance = closest_points(before, after.points[measured]).distance
    return RoundMovement(femurs, people, float(distance.mean()), float(np.quantile(distance, 0.95)))


def shape_model_of(
    shapes: np.ndarray,
    covered: np.ndarray,
    average: Surface,
    explained: float = EXPLAINED,
    persons: Sequence[str] | None = None,
) -> ShapeModel:
    """Find the mean and the modes of shapes of which points may be missing.

    The shapes are aligned to the mean (generalised Procrustes; Gower 1975), missing points are filled from
    the model so far, mean and modes are estimated again, and so on until the mean converges
    (expectation-maximisation of principal components; Roweis 1998). Each person weighs the same: a femur has
    the weight of one over the number of that person's femurs, in the mean as in the covariance.

    Parameters
    ----------
    shapes : ndarray of shape (femurs, n, 3)
        Corresponding points of right femurs, mm, in any pose and size.
    covered : ndarray of bool, shape (femurs, n)
        Which points are known.
    average : Surface
        Mesh of n points near the mean; fixes the pose of the mean.
    explained : float
        Modes are kept until they explain this share of the variance; at most one fewer than people.
    persons : sequence of str, optional
        Whose each femur is; by default every one is another person's.

    Returns
    -------
    ShapeModel
        Its mean has the size of the shapes (geometric mean) and the pose of `average`; its ``people`` are
        persons.
    """
    femurs, n = covered.shape
    weights = np.ones(femurs) if persons is None else person_weights(persons)
    if len(weights) != femurs:
        raise SettingError(f"There are {femurs} shapes, but persons are named for {len(weights)}.")
    model = ShapeModel(
        Surface(average.points, average.triangles), np.zeros((0, n, 3)), 1.0, femurs, np.zeros(0)
    )
    for _ in range(_ROUNDS):
        aligned, sizes = _aligned(shapes, covered, model)
        centre, size = np.average(aligned, axis=0, weights=weights), _mean_size(sizes, weights)
        mean = centre * size
        _, rotation, translation = similarity(mean, average.points, rigid=True)
        mean = mean @ rotation.T + translation
        moved = np.sqrt(((mean - model.mean) ** 2).sum(axis=1).mean())
        rows = _rows(size * (aligned - centre) @ rotation.T, mean)
        model = principal_modes(Surface(mean, average.triangles), rows, weights, explained=explained)
        if moved < _SETTLED_MM:
            break
    return model


def with_left_out(
    model: ShapeModel,
    shapes: np.ndarray,
    covered: np.ndarray,
    persons: Sequence[str] | None = None,
    judged: np.ndarray | None = None,
) -> ShapeModel:
    """Add to a model what it makes of people left out, so that it can judge a shape by what it leaves of it.

    Parameters
    ----------
    model : ShapeModel
        That `shape_model_of` made from these shapes.
    shapes, covered, persons
        As for `shape_model_of`.
    judged : ndarray of bool, shape (n,), optional
        Which points count: the flat end of the shaft does not. By default all.

    Returns
    -------
    ShapeModel
        With `left_out`; None, as before, for few people.
    """
    persons = [str(row) for row in range(len(shapes))] if persons is None else persons
    weights, aligned = person_weights(persons), aligned_to(model, shapes, covered)

    def model_without(kept: np.ndarray) -> ShapeModel:
        # The others stay as they are aligned to the mean of all; to align them anew moves them little.
        centre = np.average(aligned[kept], axis=0, weights=weights[kept])
        rows = _rows(aligned[kept] - centre, centre)
        mean = Surface(centre, model.surface.triangles)
        return principal_modes(mean, rows, weights[kept], most=len(model.modes))

    known = covered if judged is None else covered & judged
    return replace(model, left_out=left_out_of(model, shapes, known, persons, model_without))


def _rows(deviations: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return without_pose(deviations.reshape(len(deviations), -1), mean)


def _mean_size(sizes: np.ndarray, weights: np.ndarray) -> float:
    """Geometric mean."""
    return float(np.exp(np.average(np.log(sizes), weights=weights)))


def aligned_to(model: ShapeModel, shapes: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Align shapes to the mean of a model, without their sizes, and fill missing points, shape (m, n, 3)."""
    return _aligned(shapes, covered, model)[0]


def _aligned(shapes: np.ndarray, covered: np.ndarray, model: ShapeModel) -> tuple[np.ndarray, np.ndarray]:
    """Align each shape to the mean, without its size, and fill missing points; the shapes and their sizes."""
    aligned, sizes = np.empty_like(shapes), np.empty(len(shapes))
    for row, (points, known) in enumerate(zip(shapes, covered)):
        fit = model.fit(points, known)
        back = (points - fit.translation) @ fit.rotation / fit.size
        aligned[row] = np.where(known[:, None], back, model.reconstruct(fit.coordinates))
        sizes[row] = fit.size
    return aligned, sizes
