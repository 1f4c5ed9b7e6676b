"""Everything that is measured on one bone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from CorticalBoneMappingLib.anatomy import Anatomy, measure_anatomy
from CorticalBoneMappingLib.atlas.average import AverageFemur
from CorticalBoneMappingLib.core.errors import RegistrationError, SurfaceError
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate
from CorticalBoneMappingLib.registration import Registration, register

from .bones import Bone, right_sided
from .dimensions import Dimensions, dimensions_of
from .fitting import Fitted, fit, signed_map

MODES = (15, 30)
LANDMARKS = ("head_centre", "greater_trochanter", "lesser_trochanter", "neck_centre")


@dataclass
class Measured:
    """What was measured on one bone; what failed is None, and `failures` says why.

    Attributes
    ----------
    bone : Bone
        The bone, without its surfaces once all is measured.
    similarity : Fitted or None
        The average after the similarity.
    modes : dict of int to Fitted
        After so many modes.
    registered_mm, registered_high_mm : float
        Mean and 95th percentile of the distance of the bone from the registered average.
    misfit_mm, plausibility, seconds, expected_error_mm : float
        Of the registration.
    warnings : tuple of str
        Likewise.
    difference : ndarray of shape (n,)
        Signed map on the average.
    shape : ndarray of shape (n, 3)
        The registered average, brought back into the frame and to the size of the average by the similarity;
        not-a-number where the bone has no counterpart.
    points : ndarray of shape (n, 3)
        The registered average where it lies, RAS mm; not-a-number where the bone has no counterpart.
    dimensions : Dimensions or None
        By `measure_anatomy`.
    apart_mm : dict of str to float
        Distance of the landmarks found on the bone from those carried from the average.
    side_is_checked : bool
        Whether the registration accepts the bone's side and refuses the other.
    failures : list of str
        Of either.
    """

    bone: Bone
    similarity: Fitted | None = None
    modes: dict[int, Fitted] = field(default_factory=dict)
    registered_mm: float = np.nan
    registered_high_mm: float = np.nan
    misfit_mm: float = np.nan
    plausibility: float = np.nan
    expected_error_mm: float = np.nan
    seconds: float = np.nan
    warnings: tuple[str, ...] = ()
    difference: np.ndarray | None = None
    shape: np.ndarray | None = None
    points: np.ndarray | None = None
    dimensions: Dimensions | None = None
    apart_mm: dict[str, float] = field(default_factory=dict)
    side_is_checked: bool = False
    failures: list[str] = field(default_factory=list)


def measure(bone: Bone, average: AverageFemur) -> Measured:
    """Measure one bone against an average femur."""
    measured = Measured(bone)
    anatomy = _tried(measured, lambda: measure_anatomy(bone.surface, bone.side))
    if anatomy is not None:
        measured.dimensions = dimensions_of(anatomy)
    begun = time.perf_counter()
    registration = _tried(
        measured,
        lambda: register(bone.surface, average.surface, bone.side, shape_model=average.shape_model),
    )
    measured.seconds = time.perf_counter() - begun
    if registration is None:
        return measured
    _describe(measured, registration)
    _fit(measured, registration, average)
    if anatomy is not None:
        measured.apart_mm = landmarks_apart(anatomy, registration, average)
    measured.side_is_checked = refuses_other_side(bone, average)
    return measured


def _tried(measured: Measured, step: Callable):
    try:
        return step()
    except (SurfaceError, RegistrationError) as error:
        measured.failures.append(str(error))
        return None


def _describe(measured: Measured, registration: Registration) -> None:
    measured.registered_mm = registration.distances.to_average_mean
    measured.registered_high_mm = registration.distances.to_average_95
    measured.misfit_mm = registration.deformation_misfit_mm
    measured.expected_error_mm = registration.expected_error_mm
    measured.plausibility = registration.plausibility.share_beyond
    measured.warnings = registration.warnings
    measured.points = np.where(registration.covered[:, None], registration.points, np.nan)


def _fit(measured: Measured, registration: Registration, average: AverageFemur) -> None:
    right, model = right_sided(measured.bone), average.shape_model
    start = fit(right, registration, model, 0)
    measured.similarity = start
    measured.difference = signed_map(right, start, average.surface, registration.covered)
    points = registration.points * [-1.0 if registration.side == "left" else 1.0, 1.0, 1.0]
    brought = (points - start.translation) @ start.rotation / start.size
    measured.shape = np.where(registration.covered[:, None], brought, np.nan)
    there = len(model.modes)
    for count in sorted({min(count, there) for count in MODES if count <= there or count == MODES[0]}):
        measured.modes[count] = fit(right, registration, model, count, start)


def carried(registration: Registration, average: AverageFemur, name: str) -> np.ndarray:
    """Carry a landmark from the average to the bone, RAS mm.

    One on the surface goes with its place on the mesh. One within goes with the displacements of the
    vertices around it: a sphere's centre by the similarity between its ball's vertices here and there.
    """
    place = average.landmarks[name]
    near = closest_points(average.surface, place[None])
    if near.distance[0] < 1.0:
        return interpolate(average.surface, registration.points, near.triangle, near.weights)[0]
    distance = np.linalg.norm(average.surface.points - place, axis=1)
    weights = registration.covered * np.exp(-0.5 * ((distance - distance.min()) / 5.0) ** 2)
    weights = weights / weights.sum()
    here, there = average.surface.points, registration.points
    middle_here, middle_there = weights @ here, weights @ there
    # The affine map that fits the vertices around carries the middle exactly.
    moved, fixed = here - middle_here, there - middle_there
    system = (moved * weights[:, None]).T @ moved + 1e-6 * np.eye(3)
    affine = np.linalg.solve(system, (moved * weights[:, None]).T @ fixed)
    return (place - middle_here) @ affine + middle_there


def landmarks_apart(anatomy: Anatomy, registration: Registration, average: AverageFemur) -> dict[str, float]:
    """Return the distances of landmarks found on a bone from those carried to it from the average, mm."""
    return {
        name: float(np.linalg.norm(anatomy.landmarks[name] - carried(registration, average, name)))
        for name in LANDMARKS
    }


def refuses_other_side(bone: Bone, average: AverageFemur) -> bool:
    """Return whether the registration refuses the bone as one of the other side, and names its own."""
    other = "left" if bone.side == "right" else "right"
    try:
        register(bone.surface, average.surface, other, shape_model=average.shape_model)
    except RegistrationError as error:
        return f"Give the side as '{bone.side}'" in str(error)
    return False
