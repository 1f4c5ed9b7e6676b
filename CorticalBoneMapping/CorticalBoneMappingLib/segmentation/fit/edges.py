"""Where along the normals of a surface the bone may end, and how much that is to be believed.

The head of the femur as a ball: the sphere that most of its first edges lie on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

from ...core.volume import Volume

STEP_MM = 0.5
_BLUR_MM = 0.5  # along the normal, standard deviation
_HU_RANGE = (-100.0, 1500.0)
_SOFT_TISSUE_HU, _SOFT_SPREAD_HU = 190.0, 40.0  # what may lie outside bone
_OUTSIDE_MM = 3.0  # so near to the edge soft tissue must be seen
_VALLEY_HU, _VALLEY_SPREAD_HU = 80.0, 20.0  # depth of a joint space that blur has filled with bone's HU
_VALLEY_MM = 6.0  # outward, bone is seen again
_NOISE = 15.0  # HU/mm: falls that noise makes
_WEAK = 40.0  # HU/mm beyond noise: over 1 mm, a fall this large is an edge as likely as not
_OWN_WIDTH_MM = 2.0  # an edge does not hide itself
_REMEMBERED_MM = 8.0  # so far inward an edge hides what comes after it
_LOCAL_MM = 1.0
_NO_EDGE = 0.1  # evidence at every place, for that no edge is seen


class Edges(NamedTuple):
    """Where the bone's edge is along the normal of each of n vertices.

    Attributes
    ----------
    offset : ndarray of shape (n,)
        Expected place, mm outward; 0 where nothing was seen.
    spread : ndarray of shape (n,)
        Standard deviation of that place, mm.
    belief : ndarray of shape (n,)
        From 0 (no edge, or outside the scan) to 1.
    strength : ndarray of shape (n,)
        Fall of HU a mm at the place.
    seen : ndarray of bool, shape (n,)
        Whether the scan holds the vertex.
    """

    offset: np.ndarray
    spread: np.ndarray
    belief: np.ndarray
    strength: np.ndarray
    seen: np.ndarray


class Evidence(NamedTuple):
    """Evidence for the bone's edge at l places along each of n lines.

    Attributes
    ----------
    offsets : ndarray of shape (l,)
        mm outward.
    edge : ndarray of shape (n, l)
        From 0 to 1.
    passed : ndarray of shape (n, l)
        How likely it is that bone has ended shortly before, 0 to 1.
    fall : ndarray of shape (n, l)
        HU/mm, not negative.
    seen : ndarray of bool, shape (n,)
        Whether the scan holds the place of offset 0.
    """

    offsets: np.ndarray
    edge: np.ndarray
    passed: np.ndarray
    fall: np.ndarray
    seen: np.ndarray


def find_edges(
    volume: Volume,
    points: np.ndarray,
    normals: np.ndarray,
    reach_mm: float,
    expected_mm: float | np.ndarray,
    about_mm: float | np.ndarray = 0.0,
) -> Edges:
    """Look for the periosteal edge along normals.

    Parameters
    ----------
    volume : Volume
        HU.
    points, normals : ndarray of shape (n, 3)
        RAS mm, outward unit vectors.
    reach_mm : float
        How far to look, inward and outward.
    expected_mm : float or ndarray of shape (n,)
        Standard deviation of where the edge is.
    about_mm : float or ndarray of shape (n,)
        Its mean, mm outward.

    Returns
    -------
    Edges
    """
    offsets, edge, _, fall, seen = edge_evidence(volume, points, normals, -reach_mm, reach_mm)
    apart = offsets - np.broadcast_to(about_mm, len(points))[:, None]
    likely = np.exp(-0.5 * (apart / np.broadcast_to(expected_mm, len(points))[:, None]) ** 2)
    weight = edge * likely
    total = weight.sum(axis=1)
    share = weight / np.maximum(total, 1e-9)[:, None]
    offset = share @ offsets
    spread = np.sqrt(np.maximum(share @ offsets**2 - offset**2, 0.0))
    # Evidence is as broad as the edge is strong: the place is where the HU fall most.
    for _ in range(2):
        near = fall**2 * np.exp(-0.5 * ((offsets - offset[:, None]) / _LOCAL_MM) ** 2)
        share = near / np.maximum(near.sum(axis=1), 1e-9)[:, None]
        offset = np.where(total > 0.0, share @ offsets, 0.0)
    belief = np.where(seen, total / (total + _NO_EDGE * likely.sum(axis=1) + 1e-9), 0.0)
    return Edges(offset, spread, belief, np.einsum("nl,nl->n", share, fall), seen)


def edge_evidence(
    volume: Volume,
    points: np.ndarray,
    normals: np.ndarray,
    start_mm: float,
    stop_mm: float,
    mean: sparse.sparray | None = None,
) -> Evidence:
    """Tell at which places of lines bone may end.

    Bone ends where the HU fall outward, and soft tissue follows: HU as low as that, or a valley with bone
    beyond, as a joint space is in thick slices. The first such place on the way out counts: what comes
    after it, as the far side of the socket, is other bone.

    Parameters
    ----------
    volume : Volume
        HU.
    points, normals : ndarray of shape (n, 3)
        RAS mm, outward unit vectors.
    start_mm, stop_mm : float
        From where to where along the normals.
    mean : sparse array of shape (n, n), optional
        Averages the lines with their neighbours', against noise; rows of sum 1.

    Returns
    -------
    Evidence
    """
    pad = round(_VALLEY_MM / STEP_MM)
    offsets = np.arange(round(start_mm / STEP_MM) - pad, round(stop_mm / STEP_MM) + pad + 1) * STEP_MM
    hu = volume.sample(points[:, None] + offsets[:, None] * normals[:, None])
    known = np.isfinite(hu)
    hu = np.clip(np.where(known, hu, 0.0), *_HU_RANGE)
    if mean is not None:
        hu, known = mean @ hu, mean @ known.astype(np.float32) > 1.0 - 1e-4
    smooth = ndimage.gaussian_filter1d(hu, _BLUR_MM / STEP_MM, axis=1, mode="nearest")
    fall = np.maximum(-np.gradient(smooth, STEP_MM, axis=1), 0.0)
    # A fall at the border of the scan is none: both its sides must be known.
    whole = ndimage.minimum_filter1d(known.astype(np.uint8), 5, axis=1).astype(bool)
    rate = np.where(whole, (np.maximum(fall - _NOISE, 0.0) / _WEAK) ** 2 * _soft_outside(smooth), 0.0)
    first = np.exp(-_passed(rate))
    edge = rate / (1.0 + rate) * first
    middle = np.abs(offsets).argmin()
    inner = slice(pad, -pad)
    return Evidence(offsets[inner], edge[:, inner], 1.0 - first[:, inner], fall[:, inner], known[:, middle])


def _passed(rate: np.ndarray) -> np.ndarray:
    """Edges that a line has just passed, the one that it may be at left out, shape of `rate`."""
    total = np.cumsum(rate, axis=1) * STEP_MM
    late, early = round(_OWN_WIDTH_MM / STEP_MM), round(_REMEMBERED_MM / STEP_MM)
    n = rate.shape[1]
    return np.pad(total, ((0, 0), (late, 0)))[:, :n] - np.pad(total, ((0, 0), (early, 0)))[:, :n]


def _soft_outside(hu: np.ndarray) -> np.ndarray:
    """Whether soft tissue follows outward, as low HU or as a valley, 0 to 1."""
    least = _window(hu, 0.0, _OUTSIDE_MM, np.min)
    beyond = _window(hu, 0.5 * _OUTSIDE_MM, _VALLEY_MM, np.max)
    depth = np.minimum(_window(hu, -_OUTSIDE_MM, 0.0, np.max), beyond) - least
    low = 1.0 / (1.0 + np.exp((least - _SOFT_TISSUE_HU) / _SOFT_SPREAD_HU))
    valley = 1.0 / (1.0 + np.exp((_VALLEY_HU - depth) / _VALLEY_SPREAD_HU))
    return np.maximum(low, valley)


def _window(values: np.ndarray, start_mm: float, stop_mm: float, of: Callable) -> np.ndarray:
    """Greatest or least value of a stretch about each place of the lines; their ends are repeated."""
    start, stop = round(start_mm / STEP_MM), round(stop_mm / STEP_MM)
    before = max(-start, 0)
    padded = np.pad(values, ((0, 0), (before, max(stop, 0))), mode="edge")
    n = values.shape[1]
    return of([padded[:, before + k : before + k + n] for k in range(start, stop + 1)], axis=0)


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
