"""How far from its true place each vertex of a registered average may be.

Where a surface is curved in two ways its shape tells the place along it; on a ball, on a tube and beyond what
was seen only the prior does. The covariance of the deformation, given the pairs, says which is which.
"""

from __future__ import annotations

import numpy as np

from ..shape_model import pose_basis
from ..surface import Surface
from .deformation import Bending
from .template import Template


def expected_errors(bending: Bending, laid: Surface, template: Template) -> np.ndarray:
    """Foretell the distance of each vertex from its true place, along the surface.

    Parameters
    ----------
    bending : Bending
        With the covariance of its coefficients.
    laid : Surface
        The average as it lies in its own frame now; n vertices.
    template : Template
        The average.

    Returns
    -------
    ndarray of shape (n,)
        Root mean square error expected, mm in the frame of the average.
    """
    root = bending.uncertainty.astype(np.float32)
    points, normals = laid.points[template.judged], laid.normals[template.judged]
    prior = template.bendable.prior.at(template.judged)
    dense = np.concatenate([pose_basis(points).reshape(7, -1, 3), prior.modes])
    variance = np.zeros(len(points))
    for direction in _along(normals):
        rows = [np.einsum("mni,ni->nm", dense, direction).astype(np.float32)]
        rows += [(prior.bumps * direction[:, i, None]).astype(np.float32) for i in range(3)]
        spread = np.concatenate(rows, axis=1) @ root
        variance += np.einsum("ij,ij->i", spread, spread)
    return template.between_judged(np.sqrt(variance))


def _along(normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors along the surface at each vertex."""
    least = np.eye(3)[np.abs(normals).argmin(axis=1)]
    first = np.cross(normals, least)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-12)
    return first, np.cross(normals, first)
