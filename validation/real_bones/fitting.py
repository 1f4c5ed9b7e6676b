"""How near an average and its modes come to a bone: least squares of the distances both ways."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.mesh.shape_model import ShapeModel, pose_basis
from CorticalBoneMappingLib.registration import Registration

from .bones import evenly

SAMPLES = 3000
"""Points of the bone that are used; of the average every covered vertex is."""
ROUNDS, SETTLED_MM = 40, 0.003
PRIOR_SD = 4.0
"""Standard deviations of the population that a coordinate may have, as a prior: very weak."""
_NOISE_MM = 1.0  # with the prior: what a point, one in `_PATCHES`, is expected to be off
_PATCHES = 40.0  # independent places on a bone: one a patch of 25 mm
_FADING_MM = 12.0  # farther pairs are mistakes, such as the other wall of a fossa


@dataclass(frozen=True)
class Fitted:
    """A shape brought onto a bone.

    Attributes
    ----------
    points : ndarray of shape (n, 3)
        The average's vertices in the frame of the average, after the modes and before the pose, mm.
    size : float
        Of the bone over that of the average.
    rotation, translation : ndarray
        The pose: ``size * points @ rotation.T + translation``.
    coordinates : ndarray of shape (k,)
        In standard deviations.
    to_bone, from_bone : ndarray
        Distances that are left, mm in the bone's size: of covered vertices from the bone, and of the bone's
        samples from the shape.
    """

    points: np.ndarray
    size: float
    rotation: np.ndarray
    translation: np.ndarray
    coordinates: np.ndarray
    to_bone: np.ndarray
    from_bone: np.ndarray

    @property
    def mean_mm(self) -> float:
        """Mean distance, both ways alike."""
        return float(0.5 * (self.to_bone.mean() + self.from_bone.mean()))

    @property
    def high_mm(self) -> float:
        """95th percentile, mean of both ways."""
        return float(0.5 * (np.quantile(self.to_bone, 0.95) + np.quantile(self.from_bone, 0.95)))

    def undone(self, surface: Surface) -> Surface:
        """Bring the bone into the frame and to the size of the average."""
        return replace(surface, points=(surface.points - self.translation) @ self.rotation / self.size)


def fit(
    bone: Surface,
    registration: Registration,
    model: ShapeModel,
    modes: int,
    start: Fitted | None = None,
) -> Fitted:
    """Fit pose, size and the first modes to a bone, from the pose of its registration.

    Gauss-Newton steps on the squared distances to the exact closest points, from the average's covered
    vertices to the bone and from evenly spread points of the bone's covered part to the average, both ways
    with equal weight. What is covered is what the registration found to have a counterpart. Pairs lose weight
    with distance only beyond 12 mm; nothing else is trimmed.

    Parameters
    ----------
    bone : Surface
        Right-sided.
    registration : Registration
        Of it.
    model : ShapeModel
        On the mesh of the average.
    modes : int
        How many; 0 for the similarity alone.
    start : Fitted, optional
        Where to begin instead.

    Returns
    -------
    Fitted
    """
    covered = registration.covered & (registration.average.arrays["cut_end"] == 0)
    samples, _ = evenly(bone, registration.subject_covered, SAMPLES)
    shown = np.zeros(modes)
    scale = np.cbrt(np.linalg.det(registration.matrix[:3, :3]))
    size, rotation, shift = scale, registration.matrix[:3, :3] / scale, registration.matrix[:3, 3]
    if start is not None:
        size, rotation, shift = start.size, start.rotation, start.translation
    triangles = registration.average.triangles
    # An open mesh: what has no counterpart attracts nothing.
    kept = triangles[~(registration.average.arrays["cut_end"] == 1)[triangles].all(axis=1)]
    prior = np.zeros(modes + 7)
    prior[:modes] = 2.0 / _PATCHES * (_NOISE_MM / PRIOR_SD) ** 2
    for _ in range(ROUNDS):
        shape = Surface(model.mean + np.tensordot(shown, model.modes[:modes], axes=1), kept)
        forth, back = _pairs(bone, shape, covered, samples, (size, rotation, shift))
        basis = np.concatenate([model.modes[:modes], pose_basis(shape.points).reshape(7, -1, 3)])
        matrix, right = np.diag(prior), np.zeros(modes + 7)
        right[:modes] = -prior[:modes] * shown
        for place, normal, distance in (forth, back):
            moved = np.einsum("kncx,nc->knx", basis[:, place[0]], place[1])
            rows = np.einsum("knx,nx->kn", moved, normal)
            weights = 1.0 / (1.0 + (distance / _FADING_MM) ** 4) / len(distance)
            matrix = matrix + (rows * weights) @ rows.T
            right = right + (rows * weights) @ distance
        step = np.linalg.solve(matrix + 1e-12 * np.trace(matrix) * np.eye(len(matrix)), right)
        shown, pose = shown + step[:modes], step[modes:]
        moved = np.tensordot(step, basis, axes=1)
        shift = shift + size * rotation @ pose[:3]
        rotation = rotation @ Rotation.from_rotvec(pose[3:6]).as_matrix()
        size = float(size * np.exp(pose[6]))
        if np.linalg.norm(moved, axis=1).max() < SETTLED_MM:
            break
    shape = Surface(model.mean + np.tensordot(shown, model.modes[:modes], axes=1), kept)
    forth, back = _pairs(bone, shape, covered, samples, (size, rotation, shift))
    return Fitted(shape.points, size, rotation, shift, shown, size * np.abs(forth[2]), size * np.abs(back[2]))


def _pairs(
    bone: Surface,
    shape: Surface,
    covered: np.ndarray,
    samples: np.ndarray,
    pose: tuple[float, np.ndarray, np.ndarray],
) -> tuple[tuple, tuple]:
    """Pairs both ways in the frame of the average.

    Each way: places on the shape (three vertices and their weights), unit vectors, and how far the shape has
    to go along them.
    """
    size, rotation, shift = pose
    posed = replace(bone, points=(bone.points - shift) @ rotation / size)
    own = np.flatnonzero(covered)
    to_bone = closest_points(posed, shape.points[own])
    arm = to_bone.points(posed) - shape.points[own]
    corners = np.repeat(own[:, None], 3, axis=1)
    alone = np.tile([1.0, 0.0, 0.0], (len(own), 1))
    forth = ((corners, alone), *_directed(arm, posed, to_bone))
    there = (samples - shift) @ rotation / size
    to_shape = closest_points(shape, there)
    arm = there - to_shape.points(shape)
    back = ((shape.triangles[to_shape.triangle], to_shape.weights), *_directed(arm, shape, to_shape))
    return forth, back


def _directed(arm: np.ndarray, surface: Surface, place) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors and distances; where both surfaces touch, the surface's normal."""
    distance = place.distance
    corners = surface.points[surface.triangles[place.triangle]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    touching = (distance < 0.02)[:, None]
    unit = np.where(touching, normal, arm / np.maximum(distance, 1e-9)[:, None])
    return unit, np.where(touching[:, 0], (arm * normal).sum(axis=1), distance)


def signed_map(bone: Surface, fitted: Fitted, average: Surface, covered: np.ndarray) -> np.ndarray:
    """Return how far the bone lies outside (positive) the average after the similarity, mm.

    Shape (n,): distance of each vertex from the closest point of the bone, in the size of the average;
    not-a-number where the bone has no counterpart.
    """
    posed = fitted.undone(bone)
    place = closest_points(posed, average.points)
    outward = ((place.points(posed) - average.points) * average.normals).sum(axis=1)
    known = covered & (average.arrays["cut_end"] == 0)
    return np.where(known, np.sign(outward) * place.distance, np.nan)
