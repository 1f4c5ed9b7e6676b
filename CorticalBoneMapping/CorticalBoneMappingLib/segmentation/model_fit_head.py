"""The head of the femur as a ball: the sphere that most of its first edges lie on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

from ..volume import Volume
from .model_fit_edges import STEP_MM, edge_evidence

_SPARE_MM = 3.0
_N_DIRECTIONS, _NEIGHBOURS = 1200, 7
_CENTRE_MM, _RADIUS_MM = 5.0, 4.0  # how far the true ones may be from the first
_CONTRADICTION = 0.5
_SOFTENED_MM = 1.0  # by which edges may be off the sphere, standard deviation


class Ball(NamedTuple):
    """A sphere; ``support`` is the mean evidence for edges on it, 0 to 1."""

    centre: np.ndarray
    radius_mm: float
    support: float

    def offset(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """How far along the normals the sphere lies from points near it, mm, shape (n,)."""
        away = points - self.centre
        along = np.einsum("ni,ni->n", away, normals)
        square = self.radius_mm**2 - (away**2).sum(axis=1) + along**2
        return np.sqrt(np.maximum(square, 0.0)) - along


def find_ball(volume: Volume, centre: np.ndarray, radius_mm: float) -> Ball:
    """Find the sphere of the head near a first guess.

    Every line from the centre outward votes for the first places where bone ends. The socket votes for a
    sphere as well, but hides behind the head's own edge, and covers less than half of it.

    Parameters
    ----------
    volume : Volume
        HU.
    centre : ndarray of shape (3,)
        RAS mm, to 5 mm.
    radius_mm : float
        To 4 mm.

    Returns
    -------
    Ball
    """
    out = _directions()
    reach = _CENTRE_MM + _RADIUS_MM + _SPARE_MM
    start = np.broadcast_to(centre, out.shape)
    evidence = edge_evidence(volume, start, out, radius_mm - reach, radius_mm + reach, _mean(out))
    votes = ndimage.gaussian_filter1d(evidence.edge, _SOFTENED_MM / STEP_MM, axis=1, mode="constant")
    votes -= _CONTRADICTION * evidence.passed
    shift, radius = np.zeros(3), radius_mm
    for step, part in ((1.25, 1.0), (0.5, 0.3), (0.25, 0.1)):
        moves = _grid(_CENTRE_MM * part, step)
        radii = radius + np.arange(-_RADIUS_MM * part, _RADIUS_MM * part + 1e-6, 0.5 * step)
        score = _scores(votes, evidence.offsets[0], out, shift + moves, radii)
        place, which = np.unravel_index(score.argmax(), score.shape)
        shift, radius = shift + moves[place], float(radii[which])
    return Ball(centre + shift, radius, float(score.max()))


def _scores(
    votes: np.ndarray, first_mm: float, out: np.ndarray, shifts: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """Mean vote for each sphere, shape (n_shifts, n_radii)."""
    rows = np.arange(len(out))
    along = shifts @ out.T
    across = (shifts**2).sum(axis=1)[:, None] - along**2
    scores = np.empty((len(shifts), len(radii)))
    for column, radius in enumerate(radii):
        crossing = along + np.sqrt(radius**2 - across)
        index = np.rint((crossing - first_mm) / STEP_MM).astype(int)
        scores[:, column] = votes[rows, np.clip(index, 0, votes.shape[1] - 1)].mean(axis=1)
    return scores


def _grid(reach: float, step: float) -> np.ndarray:
    steps = np.arange(-reach, reach + 1e-6, step)
    return np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)


def _directions() -> np.ndarray:
    """Unit vectors spread evenly (Fibonacci's spiral), shape (n, 3)."""
    k = np.arange(_N_DIRECTIONS) + 0.5
    z, turn = 1.0 - 2.0 * k / _N_DIRECTIONS, np.pi * (1.0 + np.sqrt(5.0)) * k
    return np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], axis=1)


def _mean(out: np.ndarray) -> sparse.csr_array:
    """Average of each direction with its neighbours."""
    near = cKDTree(out).query(out, _NEIGHBOURS)[1]
    rows = np.repeat(np.arange(len(out)), _NEIGHBOURS)
    share = np.full(near.size, 1.0 / _NEIGHBOURS, dtype=np.float32)
    return sparse.csr_array((share, (rows, near.ravel())), shape=(len(out), len(out)))
