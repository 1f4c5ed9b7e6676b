"""How femurs differ in shape: a mean shape and the ways in which people depart from it.

Shapes are compared after position, rotation and size are taken away (Procrustes; Dryden and Mardia 2016,
ch. 7). Size is a number of its own, so that shape and size can be covariates side by side. Pose, size and
coordinates are estimated together, so a shaft that was cut off short does not change any of them by itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation
from scipy.special import gammaincc

from ..core.errors import SurfaceError
from ..core.surface import Surface
from ..io.files import write_json
from ..io.surface_files import read_surface, write_surface
from .closest import closest_points, interpolate

_STEP_MM = 1.0 / 256.0  # modes are written to this precision: it halves the file and moves no point
_RAS_LPS = np.array([-1.0, -1.0, 1.0])
_ITERATIONS = 12
_SETTLED = 1e-6
# What the modes leave is smooth, so the points of a patch this large err alike and count as one.
_PATCH_MM2 = 25.0**2


@dataclass(frozen=True)
class ShapeFit:
    """A shape as the model sees it: size and pose, coordinates, and what they leave.

    Attributes
    ----------
    coordinates : ndarray of shape (k,)
        In standard deviations of the population.
    size : float
        Size of the shape over that of the model's mean.
    rotation : ndarray of shape (3, 3)
        Proper.
    translation : ndarray of shape (3,)
        mm. The shape is ``size * reconstruct(coordinates) @ rotation.T + translation``.
    residual_mm : float
        Root mean square distance of the known points from that.
    """

    coordinates: np.ndarray
    size: float
    rotation: np.ndarray
    translation: np.ndarray
    residual_mm: float


@dataclass(frozen=True)
class ShapeModel:
    """Mean shape and modes of variation on one mesh (point distribution model; Cootes et al. 1995).

    Attributes
    ----------
    surface : Surface
        Mesh of the mean shape, in the frame of the average femur, n points.
    modes : ndarray of shape (k, n, 3)
        Displacement in mm for one standard deviation of each coordinate; the first explains most.
    residual_sd_mm : float
        Standard deviation, a coordinate of a point, of what the modes leave of the population's shapes.
    people : int
        Number of people it rests on.
    explained : ndarray of shape (k,)
        Share of the population's variance of shape that each mode explains.
    """

    surface: Surface
    modes: np.ndarray
    residual_sd_mm: float
    people: int
    explained: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """The mean shape's points, mm, shape (n, 3)."""
        return self.surface.points

    @property
    def spread_mm(self) -> np.ndarray:
        """Root mean square displacement of a point by one standard deviation of each mode, shape (k,)."""
        return np.sqrt((self.modes**2).sum(axis=2).mean(axis=1))

    def reconstruct(self, coordinates: np.ndarray) -> np.ndarray:
        """Give the shape that has these coordinates.

        Parameters
        ----------
        coordinates : ndarray of shape (j,)
            In standard deviations, of the first j ≤ k modes; the rest are zero.

        Returns
        -------
        ndarray of shape (n, 3)
            mm, in the frame and with the size of the mean.
        """
        coordinates = np.asarray(coordinates, dtype=np.float64)
        return self.mean + np.tensordot(coordinates, self.modes[: len(coordinates)], axes=1)

    def coordinates(self, points: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
        """Give the most likely coordinates of a shape; see `fit`."""
        return self.fit(points, known).coordinates

    def fit(self, points: np.ndarray, known: np.ndarray | None = None) -> ShapeFit:
        """Find the most likely coordinates, size and pose of a shape of which points may be missing.

        The coordinates are standard normal before anything is seen, size and pose are free, and what the
        modes cannot explain is smooth noise of `residual_sd_mm` (probabilistic principal components; Tipping
        and Bishop 1999). Pose and coordinates are solved for together by Gauss-Newton steps: where points are
        missing they are not separable one after the other.

        Parameters
        ----------
        points : ndarray of shape (n, 3)
            Where the mean's points lie on the subject, in any pose, right-sided, mm.
        known : ndarray of bool, shape (n,), optional
            Which points are known; by default those that are finite.

        Returns
        -------
        ShapeFit

        Raises
        ------
        SurfaceError
            If there is not one point a vertex, or fewer are known than are needed.
        """
        known = self._known(points, known)
        target, mean, modes = points[known], self.mean[known], self.modes[:, known]
        coordinates = np.zeros(len(modes))
        size, rotation, translation = similarity(mean, target)
        for _ in range(_ITERATIONS):
            shape = mean + np.tensordot(coordinates, modes, axes=1)
            left = (target - translation) @ rotation / size - shape
            change, pose = self._step(shape, modes, left, coordinates)
            coordinates = coordinates + change
            # The step of the pose in the model's frame comes before the pose so far.
            turn = Rotation.from_rotvec(pose[3:6]).as_matrix()
            translation = translation + size * rotation @ pose[:3]
            rotation, size = rotation @ turn, size * np.exp(pose[6])
            if np.abs(change).max(initial=0.0) < _SETTLED:
                break
        shape = mean + np.tensordot(coordinates, modes, axes=1)
        left = target - (size * shape @ rotation.T + translation)
        residual = float(np.sqrt((left**2).sum(axis=1).mean()))
        return ShapeFit(coordinates, float(size), rotation, translation, residual)

    @cached_property
    def _noise(self) -> float:
        """Variance of a coordinate of a point that makes the points of a patch count as one, mm²."""
        points_of_patch = _PATCH_MM2 * len(self.mean) / self.surface.triangle_areas.sum()
        return max(self.residual_sd_mm, 1e-3) ** 2 * max(points_of_patch, 1.0)

    def _known(self, points: np.ndarray, known: np.ndarray | None) -> np.ndarray:
        if np.shape(points) != self.mean.shape:
            raise SurfaceError(
                f"Points of shape {np.shape(points)} do not fit a shape model of {len(self.mean)} points."
            )
        known = np.isfinite(points).all(axis=1) & (True if known is None else np.asarray(known, dtype=bool))
        if known.sum() < 20:
            raise SurfaceError(f"Only {known.sum()} points of the shape are known; 20 are needed.")
        return known

    def _step(
        self, shape: np.ndarray, modes: np.ndarray, left: np.ndarray, coordinates: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """One joint step of coordinates and of (translation, rotation vector, log size)."""
        k = len(modes)
        basis = np.concatenate([modes.reshape(k, shape.size), pose_basis(shape)])
        prior = np.zeros(k + 7)
        prior[:k] = self._noise
        right = basis @ left.ravel()
        right[:k] -= prior[:k] * coordinates
        step = np.linalg.solve(basis @ basis.T + np.diag(prior), right)
        return step[:k], step[k:]

    def mahalanobis(self, coordinates: np.ndarray) -> float:
        """Distance of a shape from the mean, in standard deviations: the length of its coordinates."""
        return float(np.linalg.norm(coordinates))

    def plausibility(self, coordinates: np.ndarray) -> float:
        """Share of the population that is at least as far from the mean (chi-squared, 0 to 1)."""
        return float(gammaincc(len(coordinates) / 2.0, np.sum(np.square(coordinates)) / 2.0))

    def resampled(self, surface: Surface) -> ShapeModel:
        """Give the model on another mesh of the same average.

        Parameters
        ----------
        surface : Surface
            Lies on the mean shape; m points, which become the mean.

        Returns
        -------
        ShapeModel
            Modes interpolated linearly, shape (k, m, 3).
        """
        place = closest_points(self.surface, surface.points)
        values = self.modes.transpose(1, 0, 2).reshape(len(self.mean), -1)
        there = interpolate(self.surface, values, place.triangle, place.weights)
        modes = there.reshape(len(surface.points), len(self.modes), 3).transpose(1, 0, 2)
        bare = Surface(surface.points, surface.triangles)
        return ShapeModel(bare, np.ascontiguousarray(modes), self.residual_sd_mm, self.people, self.explained)


def similarity(
    moving: np.ndarray, fixed: np.ndarray, rigid: bool = False
) -> tuple[float, np.ndarray, np.ndarray]:
    """Find the similarity that brings points closest to others (Umeyama 1991, eqs 40-43).

    Parameters
    ----------
    moving, fixed : ndarray of shape (n, 3)
        Corresponding points.
    rigid : bool
        Whether the size is to stay 1.

    Returns
    -------
    size : float
    rotation : ndarray of shape (3, 3)
        Proper.
    translation : ndarray of shape (3,)
        ``fixed ≈ size * moving @ rotation.T + translation``.
    """
    moving_mean, fixed_mean = moving.mean(axis=0), fixed.mean(axis=0)
    moving, fixed = moving - moving_mean, fixed - fixed_mean
    u, spread, vt = np.linalg.svd(fixed.T @ moving)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = (u * sign) @ vt
    size = 1.0 if rigid else float((spread * sign).sum() / (moving**2).sum())
    return size, rotation, fixed_mean - size * rotation @ moving_mean


def pose_basis(shape: np.ndarray) -> np.ndarray:
    """Give the displacements by a small translation, rotation and growth.

    Parameters
    ----------
    shape : ndarray of shape (n, 3)
        mm.

    Returns
    -------
    ndarray of shape (7, 3 n)
        Translations along and rotations about the three axes, growth from the origin.
    """
    turns = [np.cross(axis, shape).ravel() for axis in np.eye(3)]
    moves = [np.tile(axis, len(shape)) for axis in np.eye(3)]
    return np.stack([*moves, *turns, shape.ravel()])


def write_shape_model(path: str | Path, model: ShapeModel) -> None:
    """Write a shape model as a VTP file, with a JSON file of the same name beside it.

    Parameters
    ----------
    path : str or Path
        Ends in ``.vtp``. Its vector arrays ``mode_01``, ``mode_02`` … are displacements in mm, LPS like
        the points, for one standard deviation.
    model : ShapeModel
        Is written with modes rounded to 1/256 mm.
    """
    names = [f"mode_{number:02d}" for number in range(1, len(model.modes) + 1)]
    modes = (np.round(model.modes / _STEP_MM) * _STEP_MM * _RAS_LPS).astype(np.float32)
    write_surface(
        path,
        Surface(
            model.mean, model.surface.triangles, dict(zip(names, modes)), units=dict.fromkeys(names, "mm")
        ),
    )
    facts = {
        "people": model.people,
        "residual_sd_mm": round(model.residual_sd_mm, 6),
        "explained": [round(float(share), 6) for share in model.explained],
    }
    write_json(Path(path).with_suffix(".json"), facts)


def read_shape_model(path: str | Path) -> ShapeModel:
    """Read a shape model that `write_shape_model` wrote.

    Parameters
    ----------
    path : str or Path
        The VTP file.

    Returns
    -------
    ShapeModel

    Raises
    ------
    SurfaceError
        If a file is missing or not a shape model.
    """
    surface = read_surface(path)
    facts_path = Path(path).with_suffix(".json")
    try:
        facts = json.loads(facts_path.read_text(encoding="utf-8"))
        explained = np.array(facts["explained"], dtype=np.float64)
        names = [f"mode_{number:02d}" for number in range(1, len(explained) + 1)]
        modes = np.array([surface.arrays[name] for name in names], dtype=np.float64) * _RAS_LPS
        residual_sd_mm, people = float(facts["residual_sd_mm"]), int(facts["people"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SurfaceError(f"{path}: with {facts_path.name}, this is not a shape model.") from error
    bare = Surface(surface.points, surface.triangles)
    return ShapeModel(bare, modes.reshape(len(explained), -1, 3), residual_sd_mm, people, explained)
