"""Pose and shape of a femur in a scan.

The pose about a known head is found by trying rotations. Pose, size and shape then move together towards
edges along the normals; what the modes of the shape model leave is a thin plate on the mesh.
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
from .settings import POSE


@dataclass(frozen=True)
class Shape:
    """A shape of the model in the subject, right-sided.

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
    def at(cls, pose: FemurPose, n_modes: int) -> Shape:
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
    precision = weight * areas / POSE.patch_mm2 / error_mm**2
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
        self._roughness = (laplacian.T @ laplacian).tocsc()

    def displacement(
        self, offset: np.ndarray, weight: np.ndarray, width_mm: float, rest: float
    ) -> np.ndarray:
        """Return the displacement to which weighted edges pull the plate.

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
        system = sparse.diags_array(weight + rest) + (width_mm / 2.0) ** 4 * self._roughness
        return splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(
            weight * offset
        )


class FemurPose(NamedTuple):
    """``points = size * model @ rotation.T + translation``, right-sided RAS mm, and how well it fits."""

    rotation: np.ndarray
    translation: np.ndarray
    size: float
    score: float


def find_poses(volume: Volume, model: ShapeModel, head_centre: np.ndarray, size: float) -> list[FemurPose]:
    """Find the likeliest rotations about the centre of the head.

    The score of a rotation is the mean fall of HU along the outward normals of the mean shape, which is
    positive where bone ends. Head and socket do not depend on the rotation and are left out.

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
    list of FemurPose
        The best first; more than 10° apart.
    """
    points, normals = _search_points(model)
    coarse = EdgeField(volume, head_centre, POSE.coarse_mm)
    turns = _rotations()
    scores = np.array([coarse.score(points, normals, turn, head_centre, size) for turn in turns])
    order, kept = np.argsort(scores)[::-1], []
    for index in order:
        if all(_angle_deg(turns[index], turns[other]) > POSE.apart_deg for other in kept):
            kept.append(index)
        if len(kept) == POSE.kept:
            break
    fine = EdgeField(volume, head_centre, POSE.fine_mm)
    poses = [_climbed(fine, points, normals, turns[index], head_centre, size) for index in kept]
    return sorted(poses, key=lambda pose: -pose.score)


class EdgeField:
    """Gradient of the blurred, clipped image on a coarse grid around a head, for quick look-ups."""

    def __init__(self, volume: Volume, centre: np.ndarray, blur_mm: float) -> None:
        self._low = centre + np.array(POSE.box_corner_mm)
        size = np.array(POSE.box_size_mm)
        self._shape = np.ceil(size / POSE.grid_mm).astype(int)
        clipped = np.clip(volume.array, *POSE.hu_range).astype(np.float32)
        blurred = ndimage.gaussian_filter(clipped, blur_mm / volume.spacing_mm[::-1], mode="nearest")
        axes = [low + POSE.grid_mm * np.arange(n) for low, n in zip(self._low, self._shape)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        values = Volume(blurred, volume.ijk_to_ras).sample(grid)
        self.gradient = np.stack(np.gradient(values, POSE.grid_mm), axis=-1).astype(np.float32)

    def score(
        self, points: np.ndarray, normals: np.ndarray, rotation: np.ndarray, centre: np.ndarray, size: float
    ) -> float:
        """Mean fall along the normals of what lies in the scan, less where little does."""
        index = np.rint((size * points @ rotation.T + centre - self._low) / POSE.grid_mm).astype(int)
        index = np.clip(index, 0, self._shape - 1)
        gradient = self.gradient[index[:, 0], index[:, 1], index[:, 2]]
        fall = -np.einsum("ni,ni->n", gradient, normals @ rotation.T)
        seen = np.isfinite(fall)
        total = np.clip(fall[seen], -POSE.strong, POSE.strong).sum()
        return float(total / (seen.sum() + 0.1 * len(seen)))


def _search_points(model: ShapeModel) -> tuple[np.ndarray, np.ndarray]:
    """Points of neck, trochanters and shaft, evenly chosen, and their normals."""
    surface = model.surface
    beyond_head = np.linalg.norm(surface.points, axis=1) > 1.2 * head_radius_mm(model)
    index = np.flatnonzero(beyond_head & (surface.normals[:, 2] > -0.9))
    index = index[:: max(len(index) // POSE.points, 1)]
    return surface.points[index], surface.normals[index]


def head_radius_mm(model: ShapeModel) -> float:
    """Radius of the mean's head: the median distance of the points above and medial of its centre."""
    up_and_in = (model.mean[:, 0] < 0.0) & (model.mean[:, 2] > 0.0)
    return float(np.median(np.linalg.norm(model.mean[up_and_in], axis=1)))


def _rotations() -> np.ndarray:
    """Rotation matrices on a grid of rotation vectors, shape (m, 3, 3)."""
    n = int(POSE.greatest_turn_deg / POSE.step_deg)
    steps = POSE.step_deg * np.arange(-n, n + 1)
    vectors = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    vectors = vectors[np.linalg.norm(vectors, axis=1) <= POSE.greatest_turn_deg]
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
) -> FemurPose:
    """Improve a pose by a search along one of rotation, place and size at a time."""
    score = field.score(points, normals, rotation, centre, size)
    for scale in POSE.scales:
        for _ in range(POSE.tries):
            before = score
            for axis in range(7):
                for sign in (1.0, -1.0):
                    step = np.zeros(7)
                    step[axis] = sign * scale
                    turn = Rotation.from_rotvec(POSE.turn_deg * step[:3], degrees=True).as_matrix() @ rotation
                    place, grown = centre + POSE.place_mm * step[3:6], size * np.exp(POSE.log_size * step[6])
                    tried = field.score(points, normals, turn, place, grown)
                    if tried > score:
                        score, rotation, centre, size = tried, turn, place, grown
            if score == before:
                break
    return FemurPose(rotation, centre, size, score)
