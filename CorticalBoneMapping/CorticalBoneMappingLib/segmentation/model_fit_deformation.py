"""The likeliest pose, size and shape of a femur for edges along its normals; and what the modes leave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial.transform import Rotation

from ..shape_model import ShapeModel, pose_basis
from ..surface import Surface
from .model_fit_pose import Pose

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
