"""Circles in an image, by votes: every edge votes for the centres that its direction points to and from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

# Chosen by hand; not tuned.
_RADII = np.arange(4.0, 14.01, 0.5)  # mm
_LEAST_EDGE, _EDGE_OVER_MEDIAN = 5.0, 2.0  # HU per mm
_LEAST_SHARE = 0.3  # of the circumference that is an edge
_MOST_CIRCLES = 60


@dataclass(frozen=True)
class Circles:
    """Circles, best first, and the votes they come from. Pixels are 1 mm wide, places are (x, y).

    Attributes
    ----------
    centres : ndarray of shape (n, 2)
        mm.
    radius : ndarray of shape (n,)
        mm.
    votes : ndarray of shape (n_radii, n_y, n_x)
        Share of the circumference that is an edge, for each radius and centre.
    """

    centres: np.ndarray
    radius: np.ndarray
    votes: np.ndarray

    @cached_property
    def _nearby(self) -> np.ndarray:
        """The most votes within 3 mm and 1.5 mm of radius."""
        return ndimage.maximum_filter(self.votes, 7)

    def share_at(self, x: np.ndarray, y: np.ndarray, radius: np.ndarray, near: bool = False) -> np.ndarray:
        """Share of the circumference that is an edge, at whole pixels, for radii (all of one shape).

        With `near`, of the best circle within 3 mm.
        """
        level = np.clip(np.rint((radius - _RADII[0]) / (_RADII[1] - _RADII[0])), 0, len(_RADII) - 1)
        return (self._nearby if near else self.votes)[level.astype(int), y, x]


def find_circles(image: np.ndarray, where: np.ndarray) -> Circles:
    """Find circles of 4 to 14 mm radius, brighter or darker than what is around them.

    The gradient's direction makes each edge vote for two centres per radius (Kimme, Ballard and Sklansky
    1975, Commun ACM 18:120), so that the contrast of a circle does not count.

    Parameters
    ----------
    image : ndarray of shape (n_y, n_x)
        HU on pixels of 1 mm.
    where : ndarray of bool, shape (n_y, n_x)
        Where edges count.

    Returns
    -------
    Circles
        At most 60.
    """
    gy, gx = (ndimage.gaussian_filter(image, 1.0, order=order) for order in ((1, 0), (0, 1)))
    strength = np.hypot(gx, gy)
    median = float(np.median(strength[where])) if where.any() else 0.0
    y, x = np.nonzero(where & (strength > max(_LEAST_EDGE, _EDGE_OVER_MEDIAN * median)))
    towards = np.stack([gx[y, x], gy[y, x]]) / strength[y, x]
    votes = np.stack([_votes(image.shape, x, y, towards, radius) for radius in _RADII])
    best = votes.max(axis=0)
    peaks = (best == ndimage.maximum_filter(best, 5)) & (best > _LEAST_SHARE)
    rows, columns = np.nonzero(peaks)
    order = np.argsort(-best[rows, columns])[:_MOST_CIRCLES]
    rows, columns = rows[order], columns[order]
    centres = np.stack([columns, rows], axis=1).astype(float)
    return Circles(centres, _RADII[votes[:, rows, columns].argmax(axis=0)], votes)


def _votes(
    shape: tuple[int, int], x: np.ndarray, y: np.ndarray, towards: np.ndarray, radius: float
) -> np.ndarray:
    """Votes for one radius as shares of the circumference, for bright and dark circles the larger."""
    smeared = []
    for sign in (1.0, -1.0):
        column = np.rint(x + sign * radius * towards[0]).astype(int)
        row = np.rint(y + sign * radius * towards[1]).astype(int)
        inside = (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0])
        flat = np.bincount(row[inside] * shape[1] + column[inside], minlength=shape[0] * shape[1])
        # Votes scatter by about a pixel; those within 2 mm of a centre count.
        smeared.append(ndimage.uniform_filter(flat.reshape(shape).astype(np.float32), 3) * 9.0)
    # A blurred edge is about three pixels wide.
    return np.maximum(*smeared) / (3.0 * 2.0 * np.pi * radius)
