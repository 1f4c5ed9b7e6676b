"""How femurs differ in shape: a mean shape and the ways in which people depart from it.

Shapes are compared after position, rotation and size are taken away (Procrustes; Dryden and Mardia 2016,
ch. 7). Size is a number of its own, so that shape and size can be covariates side by side. Pose, size and
coordinates are estimated together, so a shaft that was cut off short does not change any of them by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from ..core.errors import SurfaceError
from ..core.surface import Surface
from .closest import closest_points, interpolate
from .plausibility import LeftOut, Plausibility

COVARIATE_SHARE = 0.05
"""Of how people differ, the last mode offered as a covariate explains at least this much. A definition."""
_ITERATIONS = 12
_SETTLED = 1e-6
# What a distance along the surface counts of one across it, where points may slide. By hand; not tuned.
_ALONG = 0.01
# What the modes leave is smooth, so the points of a patch this large err alike and count as one. Across the
# surface, where points may slide, it is smooth over less: of 25, 12 and 6 mm, tried on the ten people of
# femur_surfaces_mpl left out with swellings of 8 mm, a plausibility with 6 mm finds most swellings.
_PATCH_MM2, _PATCH_SLIDING_MM2 = 25.0**2, 6.0**2


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
    across_mm : ndarray of shape (n,)
        Distance of each point from that along the fitted shape's normal, mm of the model's size; not-a-number
        where it is not known.
    """

    coordinates: np.ndarray
    size: float
    rotation: np.ndarray
    translation: np.ndarray
    residual_mm: float
    across_mm: np.ndarray


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
        Share of the variance of shape of these people that each mode explains.
    left_out : LeftOut, optional
        What it makes of people that it was not made from. Without it, a shape is judged by its coordinates
        alone.
    """

    surface: Surface
    modes: np.ndarray
    residual_sd_mm: float
    people: int
    explained: np.ndarray
    left_out: LeftOut | None = None

    @property
    def mean(self) -> np.ndarray:
        """The mean shape's points, mm, shape (n, 3)."""
        return self.surface.points

    @property
    def spread_mm(self) -> np.ndarray:
        """Root mean square displacement of a point by one standard deviation of each mode, shape (k,)."""
        return np.sqrt((self.modes**2).sum(axis=2).mean(axis=1))

    @property
    def shares(self) -> np.ndarray:
        """Share of how people differ that each mode explains, shape (k,): of people left out, where known."""
        return self.explained if self.left_out is None else self.left_out.explained

    @property
    def n_covariates(self) -> int:
        """How many modes, from the first, may be covariates: up to the last above `COVARIATE_SHARE`."""
        return int(np.flatnonzero(self.shares >= COVARIATE_SHARE).max(initial=-1)) + 1

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

    def fit(self, points: np.ndarray, known: np.ndarray | None = None, *, sliding: bool = False) -> ShapeFit:
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
        sliding : bool
            Whether points may lie elsewhere along the surface than they should, so that only their distance
            across it counts. The surface of a ball or a tube does not show where along it a point is.

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
            normals = self._normals(coordinates)[known] if sliding else None
            change, pose = self._step(shape, modes, left, coordinates, normals)
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
        across = np.full(len(known), np.nan)
        across[known] = ((left @ rotation / size) * self._normals(coordinates)[known]).sum(axis=1)
        return ShapeFit(coordinates, float(size), rotation, translation, residual, across)

    def _normals(self, coordinates: np.ndarray) -> np.ndarray:
        return Surface(self.reconstruct(coordinates), self.surface.triangles).normals

    def _noise(self, patch_mm2: float) -> float:
        """Variance of a coordinate of a point that makes the points of a patch count as one, mm²."""
        points_of_patch = patch_mm2 * len(self.mean) / self.surface.triangle_areas.sum()
        # Of other people the modes leave more than of those that they were made from.
        residual = self.left_out.residual_mm if self.left_out else self.residual_sd_mm
        return max(residual, 1e-3) ** 2 * max(points_of_patch, 1.0)

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
        self,
        shape: np.ndarray,
        modes: np.ndarray,
        left: np.ndarray,
        coordinates: np.ndarray,
        normals: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """One joint step of coordinates and of (translation, rotation vector, log size)."""
        k = len(modes)
        basis = np.concatenate([modes.reshape(k, shape.size), pose_basis(shape)])
        prior = np.zeros(k + 7)
        prior[:k] = self._noise(_PATCH_MM2 if normals is None else _PATCH_SLIDING_MM2)
        system, right = basis @ basis.T, basis @ left.ravel()
        if normals is not None:
            across = np.einsum("mni,ni->mn", basis.reshape(k + 7, -1, 3), normals)
            system = _ALONG * system + (1.0 - _ALONG) * across @ across.T
            right = _ALONG * right + (1.0 - _ALONG) * across @ (left * normals).sum(axis=1)
        right[:k] -= prior[:k] * coordinates
        step = np.linalg.solve(system + np.diag(prior), right)
        return step[:k], step[k:]

    def judge(
        self, points: np.ndarray, known: np.ndarray | None = None, coordinates: np.ndarray | None = None
    ) -> Plausibility:
        """Judge how usual a shape is, by its coordinates and by what the modes leave of it.

        Parameters
        ----------
        points : ndarray of shape (n, 3)
            As for `fit`; they may lie elsewhere along the surface.
        known : ndarray of bool, shape (n,), optional
            Which points are known; by default those that are finite.
        coordinates : ndarray of shape (k,), optional
            Whose length is given as `mahalanobis`; by default those of the fit.

        Returns
        -------
        Plausibility
            Without `left_out`, of the coordinates alone, and without a residual.

        Raises
        ------
        SurfaceError
            As `fit`.
        """
        if self.left_out is None:
            return Plausibility.of(self.coordinates(points, known) if coordinates is None else coordinates)
        fit, areas = self.fit(points, known, sliding=True), self.surface.point_areas
        by_coordinates, by_residual, by_both = self.left_out.shares_beyond(
            fit.coordinates, fit.across_mm, areas
        )
        there = np.isfinite(fit.across_mm)
        left = fit.size * np.abs(fit.across_mm[there])
        return replace(
            Plausibility.of(fit.coordinates if coordinates is None else coordinates),
            share_beyond=by_both,
            residual_mm=float(np.sqrt(np.average(left**2, weights=areas[there]))),
            greatest_residual_mm=float(left.max()),
            expected_residual_mm=self.left_out.residual_mm,
            by_coordinates=by_coordinates,
            by_residual=by_residual,
        )

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
        left_out = self.left_out
        if left_out is not None:
            sd_mm = interpolate(self.surface, left_out.sd_mm, place.triangle, place.weights)
            left_out = replace(left_out, sd_mm=sd_mm)
        bare = Surface(surface.points, surface.triangles)
        return replace(self, surface=bare, modes=np.ascontiguousarray(modes), left_out=left_out)


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
