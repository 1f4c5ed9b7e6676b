"""Where along the normals of a surface the bone ends, with a confidence; and the ball of the femoral head."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

from ...core.volume import Volume
from .settings import BALL, EDGE


class Edges(NamedTuple):
    """Edge of the bone along the normal of each of n vertices.

    Attributes
    ----------
    offset : ndarray of shape (n,)
        Expected place, mm outward; 0 where nothing was seen.
    spread : ndarray of shape (n,)
        Standard deviation of that place, mm.
    confidence : ndarray of shape (n,)
        From 0 (no edge, or outside the scan) to 1.
    strength : ndarray of shape (n,)
        Fall of HU a mm at the place.
    seen : ndarray of bool, shape (n,)
        Whether the scan holds the vertex.
    """

    offset: np.ndarray
    spread: np.ndarray
    confidence: np.ndarray
    strength: np.ndarray
    seen: np.ndarray


class EdgeLikelihood(NamedTuple):
    """Likelihood of the bone's edge at l places along each of n lines.

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
    mean: sparse.sparray | None = None,
) -> Edges:
    """Find the periosteal edge along normals.

    Parameters
    ----------
    volume : Volume
        HU.
    points, normals : ndarray of shape (n, 3)
        RAS mm, outward unit vectors.
    reach_mm : float
        How far the search reaches, inward and outward.
    expected_mm : float or ndarray of shape (n,)
        Standard deviation of the edge's place about `about_mm`.
    about_mm : float or ndarray of shape (n,)
        Expected place of the edge, mm outward.
    mean : sparse array of shape (n, n), optional
        Averages the lines with their neighbours', against noise and struts; rows of sum 1.

    Returns
    -------
    Edges
    """
    offsets, edge, _, fall, seen = edge_likelihood(volume, points, normals, -reach_mm, reach_mm, mean)
    apart = offsets - np.broadcast_to(about_mm, len(points))[:, None]
    likely = np.exp(-0.5 * (apart / np.broadcast_to(expected_mm, len(points))[:, None]) ** 2)
    weight = edge * likely
    total = weight.sum(axis=1)
    share = weight / np.maximum(total, 1e-9)[:, None]
    offset = share @ offsets
    spread = np.sqrt(np.maximum(share @ offsets**2 - offset**2, 0.0))
    # The likelihood is as broad as the edge is strong: the place is where the HU fall most.
    for _ in range(2):
        near = fall**2 * np.exp(-0.5 * ((offsets - offset[:, None]) / EDGE.local_mm) ** 2)
        share = near / np.maximum(near.sum(axis=1), 1e-9)[:, None]
        offset = np.where(total > 0.0, share @ offsets, 0.0)
    confidence = np.where(seen, total / (total + EDGE.no_edge * likely.sum(axis=1) + 1e-9), 0.0)
    return Edges(offset, spread, confidence, np.einsum("nl,nl->n", share, fall), seen)


def edge_likelihood(
    volume: Volume,
    points: np.ndarray,
    normals: np.ndarray,
    start_mm: float,
    stop_mm: float,
    mean: sparse.sparray | None = None,
) -> EdgeLikelihood:
    """Return how likely bone ends at each place along lines.

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
    EdgeLikelihood
    """
    pad = round(EDGE.valley_mm / EDGE.step_mm)
    offsets = (
        np.arange(round(start_mm / EDGE.step_mm) - pad, round(stop_mm / EDGE.step_mm) + pad + 1)
        * EDGE.step_mm
    )
    hu = volume.sample(points[:, None] + offsets[:, None] * normals[:, None])
    known = np.isfinite(hu)
    hu = np.clip(np.where(known, hu, 0.0), *EDGE.hu_range)
    if mean is not None:
        hu, known = mean @ hu, mean @ known.astype(np.float32) > 1.0 - 1e-4
    smooth = ndimage.gaussian_filter1d(hu, EDGE.blur_mm / EDGE.step_mm, axis=1, mode="nearest")
    fall = np.maximum(-np.gradient(smooth, EDGE.step_mm, axis=1), 0.0)
    # A fall at the border of the scan is none: both its sides must be known.
    whole = ndimage.minimum_filter1d(known.astype(np.uint8), 5, axis=1).astype(bool)
    rate = np.where(whole, (np.maximum(fall - EDGE.noise, 0.0) / EDGE.weak) ** 2 * _soft_outside(smooth), 0.0)
    first = np.exp(-_passed(rate))
    edge = rate / (1.0 + rate) * first
    middle = np.abs(offsets).argmin()
    inner = slice(pad, -pad)
    return EdgeLikelihood(
        offsets[inner], edge[:, inner], 1.0 - first[:, inner], fall[:, inner], known[:, middle]
    )


def _passed(rate: np.ndarray) -> np.ndarray:
    """Edges that a line has just passed, without the one at the place itself; shape of `rate`."""
    total = np.cumsum(rate, axis=1) * EDGE.step_mm
    late, early = round(EDGE.own_width_mm / EDGE.step_mm), round(EDGE.remembered_mm / EDGE.step_mm)
    n = rate.shape[1]
    return np.pad(total, ((0, 0), (late, 0)))[:, :n] - np.pad(total, ((0, 0), (early, 0)))[:, :n]


def _soft_outside(hu: np.ndarray) -> np.ndarray:
    """Whether soft tissue follows outward, as low HU or as a valley, 0 to 1."""
    least = _window(hu, 0.0, EDGE.outside_mm, np.min)
    beyond = _window(hu, 0.5 * EDGE.outside_mm, EDGE.valley_mm, np.max)
    depth = np.minimum(_window(hu, -EDGE.outside_mm, 0.0, np.max), beyond) - least
    low = 1.0 / (1.0 + np.exp((least - EDGE.soft_tissue_hu) / EDGE.soft_spread_hu))
    valley = 1.0 / (1.0 + np.exp((EDGE.valley_hu - depth) / EDGE.valley_spread_hu))
    return np.maximum(low, valley)


def _window(values: np.ndarray, start_mm: float, stop_mm: float, of: Callable) -> np.ndarray:
    """Greatest or least value of a stretch about each place of the lines; their ends are repeated."""
    start, stop = round(start_mm / EDGE.step_mm), round(stop_mm / EDGE.step_mm)
    before = max(-start, 0)
    padded = np.pad(values, ((0, 0), (before, max(stop, 0))), mode="edge")
    n = values.shape[1]
    return of([padded[:, before + k : before + k + n] for k in range(start, stop + 1)], axis=0)


class Ball(NamedTuple):
    """A sphere; ``support`` is the mean likelihood of edges on it, 0 to 1."""

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
    reach = BALL.centre_mm + BALL.radius_mm + BALL.spare_mm
    start = np.broadcast_to(centre, out.shape)
    likelihood = edge_likelihood(volume, start, out, radius_mm - reach, radius_mm + reach, _mean(out))
    votes = ndimage.gaussian_filter1d(
        likelihood.edge, BALL.softened_mm / EDGE.step_mm, axis=1, mode="constant"
    )
    votes -= BALL.contradiction * likelihood.passed
    shift, radius = np.zeros(3), radius_mm
    for step, part in BALL.rounds:
        moves = _grid(BALL.centre_mm * part, step)
        radii = radius + np.arange(-BALL.radius_mm * part, BALL.radius_mm * part + 1e-6, 0.5 * step)
        score = _scores(votes, likelihood.offsets[0], out, shift + moves, radii)
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
        index = np.rint((crossing - first_mm) / EDGE.step_mm).astype(int)
        scores[:, column] = votes[rows, np.clip(index, 0, votes.shape[1] - 1)].mean(axis=1)
    return scores


def _grid(reach: float, step: float) -> np.ndarray:
    steps = np.arange(-reach, reach + 1e-6, step)
    return np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)


def _directions() -> np.ndarray:
    """Unit vectors spread evenly (Fibonacci's spiral), shape (n, 3)."""
    k = np.arange(BALL.directions) + 0.5
    z, turn = 1.0 - 2.0 * k / BALL.directions, np.pi * (1.0 + np.sqrt(5.0)) * k
    return np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], axis=1)


def _mean(out: np.ndarray) -> sparse.csr_array:
    """Average of each direction with its neighbours."""
    near = cKDTree(out).query(out, BALL.neighbours)[1]
    rows = np.repeat(np.arange(len(out)), BALL.neighbours)
    share = np.full(near.size, 1.0 / BALL.neighbours, dtype=np.float32)
    return sparse.csr_array((share, (rows, near.ravel())), shape=(len(out), len(out)))
