"""The likeliest pose, size and shape of a femur for edges along its normals; and what the modes leave.

How a femur lies in a scan, found from its head's centre by trying rotations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu
from scipy.spatial.transform import Rotation

from ...core.surface import Surface
from ...core.volume import Volume
from ...mesh.shape_model import ShapeModel, pose_basis

_PATCH_MM2 = 25.0**2  # errors of edges in a patch of this size are alike and count as one


@dataclass(frozen=True)
class Shape:
    """A shape of the model where it lies in the subject, right-sided.

    Attributes
    ----------
    coordinates : ndarray of shape (k,)
        In standard deviations.
    size : float
    rotation : ndarray of shape (3, 3)
    translation : ndarray of shape (3,)
        mm. The points are ``size * reconstruct(coordinates) @ rotation.T + translation``.
    """

    coordinates: np.ndarray
    size: float
    rotation: np.ndarray
    translation: np.ndarray

    @classmethod
    def at(cls, pose: Pose, n_modes: int) -> Shape:
        """The mean shape in a pose."""
        return cls(np.zeros(n_modes), pose.size, pose.rotation, pose.translation)

    def surface(self, model: ShapeModel) -> Surface:
        """The shape in the subject, RAS mm."""
        points = self.size * model.reconstruct(self.coordinates) @ self.rotation.T + self.translation
        return Surface(points, model.surface.triangles)


def improved(
    shape: Shape, model: ShapeModel, surface: Surface, offset: np.ndarray, weight: np.ndarray, error_mm: float
) -> Shape:
    """Move pose, size and coordinates together towards edges along the normals (one Gauss-Newton step).

    Parameters
    ----------
    shape : Shape
    model : ShapeModel
        n points.
    surface : Surface
        The shape in the subject.
    offset : ndarray of shape (n,)
        Where the edges are, mm along the normals of `surface`.
    weight : ndarray of shape (n,)
        0 to 1.
    error_mm : float
        Standard deviation of an edge of weight 1 about the shape.

    Returns
    -------
    Shape
        Most likely a posteriori: coordinates are standard normal before, pose and size free.
    """
    k = len(model.modes)
    mean = model.reconstruct(shape.coordinates)
    normals = surface.normals @ shape.rotation
    basis = np.concatenate([model.modes, pose_basis(mean).reshape(7, -1, 3)])
    along = shape.size * np.einsum("knd,nd->kn", basis, normals)
    areas = surface.point_areas
    precision = weight * areas / _PATCH_MM2 / error_mm**2
    prior = np.concatenate([np.ones(k), np.full(7, 1e-6)])
    right = along @ (precision * offset)
    right[:k] -= shape.coordinates
    step = np.linalg.solve((along * precision) @ along.T + np.diag(prior), right)
    turn = Rotation.from_rotvec(step[k + 3 : k + 6]).as_matrix()
    return Shape(
        shape.coordinates + step[:k],
        float(shape.size * np.exp(step[k + 6])),
        shape.rotation @ turn,
        shape.translation + shape.size * shape.rotation @ step[k : k + 3],
    )


class Plate:
    """Smooth displacements along the normals: a thin plate on the mesh that edges pull at."""

    def __init__(self, surface: Surface) -> None:
        i, j = surface.edges.T
        n = len(surface.points)
        ones = np.ones(len(i))
        links = sparse.csr_array((np.r_[ones, ones], (np.r_[i, j], np.r_[j, i])), shape=(n, n))
        degree = links.sum(axis=1)
        # On an even mesh the mean of the neighbours differs from the middle by a quarter of spacing² times
        # the Laplacian.
        mean = sparse.diags_array(1.0 / degree) @ links
        laplacian = (mean - sparse.eye_array(n)) * (4.0 / surface.mean_spacing_mm**2)
        self._bending = (laplacian.T @ laplacian).tocsc()

    def displacement(
        self, offset: np.ndarray, weight: np.ndarray, width_mm: float, rest: float
    ) -> np.ndarray:
        """Give the displacement that edges of some weights pull the plate to.

        Parameters
        ----------
        offset : ndarray of shape (n,)
            Where the edges are, mm.
        weight : ndarray of shape (n,)
            0 to 1.
        width_mm : float
            Details smaller than this are smoothed away, where the weight is 1.
        rest : float
            Weight of no displacement at all.

        Returns
        -------
        ndarray of shape (n,)
            mm.
        """
        system = sparse.diags_array(weight + rest) + (width_mm / 2.0) ** 4 * self._bending
        return splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(
            weight * offset
        )


_GREATEST_TURN_DEG = 42.0  # the patient's rotation, and what people differ by from the average
_STEP_DEG = 6.0
_COARSE_MM, _FINE_MM = 4.0, 2.0  # blur of the two passes, standard deviation
_GRID_MM = 2.0
_HU_RANGE = (-100.0, 600.0)  # fat, air and metal shall count no more than muscle and bone
_STRONG = 60.0  # HU/mm: an edge that is stronger than this counts no more
_N_POINTS = 700
_KEPT = 6


class Pose(NamedTuple):
    """``points = size * model @ rotation.T + translation``, right-sided RAS mm, and how well it fits."""

    rotation: np.ndarray
    translation: np.ndarray
    size: float
    score: float


def find_poses(volume: Volume, model: ShapeModel, head_centre: np.ndarray, size: float) -> list[Pose]:
    """Find the likeliest rotations about the centre of the head.

    A rotation is worth the mean fall of HU along the outward normals of the mean shape, which is
    positive where bone ends. The cup of the pelvis says nothing about rotation, nor does the head:
    neither is asked.

    Parameters
    ----------
    volume : Volume
        HU, right-sided, cut to the hip.
    model : ShapeModel
        Its origin is the head's centre.
    head_centre : ndarray of shape (3,)
        RAS mm, right-sided.
    size : float
        Of the femur over that of the model.

    Returns
    -------
    list of Pose
        The best first; more than 10° apart.
    """
    points, normals = _asked(model)
    coarse = EdgeField(volume, head_centre, _COARSE_MM)
    turns = _rotations()
    scores = np.array([coarse.score(points, normals, turn, head_centre, size) for turn in turns])
    order, kept = np.argsort(scores)[::-1], []
    for index in order:
        if all(_angle_deg(turns[index], turns[other]) > 10.0 for other in kept):
            kept.append(index)
        if len(kept) == _KEPT:
            break
    fine = EdgeField(volume, head_centre, _FINE_MM)
    poses = [_climbed(fine, points, normals, turns[index], head_centre, size) for index in kept]
    return sorted(poses, key=lambda pose: -pose.score)


class EdgeField:
    """Gradient of the blurred, clipped image on a coarse grid around a head, for quick look-ups."""

    def __init__(self, volume: Volume, centre: np.ndarray, blur_mm: float) -> None:
        self._low = centre - [80.0, 100.0, 150.0]
        size = np.array([210.0, 200.0, 220.0])
        self._shape = np.ceil(size / _GRID_MM).astype(int)
        clipped = np.clip(volume.array, *_HU_RANGE).astype(np.float32)
        blurred = ndimage.gaussian_filter(clipped, blur_mm / volume.spacing_mm[::-1], mode="nearest")
        axes = [low + _GRID_MM * np.arange(n) for low, n in zip(self._low, self._shape)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        values = Volume(blurred, volume.ijk_to_ras).sample(grid)
        self.gradient = np.stack(np.gradient(values, _GRID_MM), axis=-1).astype(np.float32)

    def score(
        self, points: np.ndarray, normals: np.ndarray, rotation: np.ndarray, centre: np.ndarray, size: float
    ) -> float:
        """Mean fall along the normals of what lies in the scan, less where little does."""
        index = np.rint((size * points @ rotation.T + centre - self._low) / _GRID_MM).astype(int)
        index = np.clip(index, 0, self._shape - 1)
        gradient = self.gradient[index[:, 0], index[:, 1], index[:, 2]]
        fall = -np.einsum("ni,ni->n", gradient, normals @ rotation.T)
        seen = np.isfinite(fall)
        total = np.clip(fall[seen], -_STRONG, _STRONG).sum()
        return float(total / (seen.sum() + 0.1 * len(seen)))


def _asked(model: ShapeModel) -> tuple[np.ndarray, np.ndarray]:
    """Points of neck, trochanters and shaft, evenly chosen, and their normals."""
    surface = model.surface
    beyond_head = np.linalg.norm(surface.points, axis=1) > 1.2 * head_radius_mm(model)
    index = np.flatnonzero(beyond_head & (surface.normals[:, 2] > -0.9))
    index = index[:: max(len(index) // _N_POINTS, 1)]
    return surface.points[index], surface.normals[index]


def head_radius_mm(model: ShapeModel) -> float:
    """Radius of the mean's head: the median distance of the points above and medial of its centre."""
    up_and_in = (model.mean[:, 0] < 0.0) & (model.mean[:, 2] > 0.0)
    return float(np.median(np.linalg.norm(model.mean[up_and_in], axis=1)))


def _rotations() -> np.ndarray:
    """Rotation matrices on a grid of rotation vectors, shape (m, 3, 3)."""
    n = int(_GREATEST_TURN_DEG / _STEP_DEG)
    steps = _STEP_DEG * np.arange(-n, n + 1)
    vectors = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    vectors = vectors[np.linalg.norm(vectors, axis=1) <= _GREATEST_TURN_DEG]
    return Rotation.from_rotvec(vectors, degrees=True).as_matrix()


def _angle_deg(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(one.T @ other) - 1.0) / 2.0, -1.0, 1.0))))


def _climbed(
    field: EdgeField,
    points: np.ndarray,
    normals: np.ndarray,
    rotation: np.ndarray,
    centre: np.ndarray,
    size: float,
) -> Pose:
    """Climb to the best pose near a rotation, one of rotation, place and size at a time."""
    score = field.score(points, normals, rotation, centre, size)
    for scale in (1.0, 0.5, 0.25):
        for _ in range(3):
            before = score
            for axis in range(7):
                for sign in (1.0, -1.0):
                    step = np.zeros(7)
                    step[axis] = sign * scale
                    turn = Rotation.from_rotvec(5.0 * step[:3], degrees=True).as_matrix() @ rotation
                    place, grown = centre + 3.0 * step[3:6], size * np.exp(0.05 * step[6])
                    tried = field.score(points, normals, turn, place, grown)
                    if tried > score:
                        score, rotation, centre, size = tried, turn, place, grown
            if score == before:
                break
    return Pose(rotation, centre, size, score)
