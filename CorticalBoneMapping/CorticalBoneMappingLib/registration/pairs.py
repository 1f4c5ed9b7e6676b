"""Pairs of corresponding places on two surfaces, by distance and direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from ..core.surface import Surface
from ..mesh.topology import adjacency
from .cut_ends import cut_end_of, thinned, widened

# Chosen by hand; not tuned.
_TURN_MM = 10.0  # what a normal turned by a radian counts when closest points are looked for
LEAST_COSINE = 0.5  # normals more than 60° apart are not of the same place
_NORMAL_REACH_MM = 2.0  # normals are averaged this far, so that the steps of voxels do not turn them


@dataclass(frozen=True)
class Sample:
    """Evenly spread vertices of a surface, without its cut ends.

    Attributes
    ----------
    index : ndarray of shape (n,)
        Which vertices.
    points, normals : ndarray of shape (n, 3)
        mm; unit vectors, averaged over the neighbourhood.
    beside_cut : ndarray of shape (n,)
        Whether a vertex is so near a cut that what lies beyond is paired with it.
    """

    index: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    beside_cut: np.ndarray

    @classmethod
    def of(cls, surface: Surface, n_samples: int) -> Sample:
        """Choose about `n_samples` vertices."""
        cut = cut_end_of(surface)
        index = thinned(surface.points, np.sqrt(surface.point_areas.sum() / n_samples))
        index = index[~cut[index]]
        beside = widened(surface, widened(surface, cut))
        return cls(index, surface.points[index], _even_normals(surface)[index], beside[index])

    def moved(self, points: np.ndarray, normals: np.ndarray) -> Sample:
        """Return the same vertices elsewhere."""
        return Sample(self.index, points, normals, self.beside_cut)

    def mirrored(self) -> Sample:
        """Return the left-right mirror image."""
        return self.moved(self.points * [-1.0, 1.0, 1.0], self.normals * [-1.0, 1.0, 1.0])

    @property
    def features(self) -> np.ndarray:
        """Places and directions in one space, mm, shape (n, 6)."""
        return np.concatenate([self.points, _TURN_MM * self.normals], axis=1)


class Pairs(NamedTuple):
    """Pairs of samples: index into each, and weight of each pair (0 to 1)."""

    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray


def pairs_between(source: Sample, target: Sample) -> Pairs:
    """Find closest points both ways in position and normal; distant or turned ones count little or nothing.

    Parameters
    ----------
    source, target : Sample
        In one pose.

    Returns
    -------
    Pairs
    """
    moved, fixed = source.features, target.features
    forth, to_target = cKDTree(fixed).query(moved)
    back, to_source = cKDTree(moved).query(fixed)
    at_source = np.concatenate([np.arange(len(moved)), to_source])
    at_target = np.concatenate([to_target, np.arange(len(fixed))])
    distance = np.concatenate([forth, back])
    weight = 1.0 / (1.0 + (distance / (4.0 * np.median(distance) + 1e-6)) ** 2) ** 2
    weight[target.beside_cut[at_target] | source.beside_cut[at_source]] = 0.0
    cosine = np.einsum("ij,ij->i", source.normals[at_source], target.normals[at_target])
    weight[cosine < LEAST_COSINE] = 0.0
    return Pairs(at_source, at_target, weight)


def _even_normals(surface: Surface) -> np.ndarray:
    """Normals averaged over about `_NORMAL_REACH_MM`, shape (n_points, 3)."""
    n = len(surface.points)
    rounds = int(np.clip(round((_NORMAL_REACH_MM / surface.mean_spacing_mm) ** 2), 1, 12))
    mix = adjacency(surface.edges, n) + sparse.eye_array(n)
    normals = surface.normals
    for _ in range(rounds):
        normals = mix @ normals
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return normals
