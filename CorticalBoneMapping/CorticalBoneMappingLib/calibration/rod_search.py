"""Find the rods of a phantom in a CT: equal cylinders in a row under the patient.

The volume is cut into slabs. In each, circles vote for their centres; two circles propose a row, and the
row must show the HU that its certificate allows. A phantom proposes the same straight cylinders in slab
after slab, in one order and at one place only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import ndimage

from ..core.errors import CalibrationError
from ..core.volume import Volume
from .attenuation import MINDWAYS_OFFSET_HU, MINDWAYS_SLOPE
from .circles import Circles, find_circles

# Chosen by hand and not tuned; the limits of the residuals are tested by wrong certificates on 16 scans
# (Docs/validation/calibration.md).
_SLAB_MM, _MOST_SLABS, _LEAST_SLABS = 12.0, 12, 3
_LEAST_SHARE_OF_SLABS = 0.3
_RIVAL_SHARE = 0.6  # of the slabs: another row seen so often makes the search ambiguous
_SMOOTHING_MM = 0.8
_STEP_BOUNDS_MM = (9.0, 50.0)
_ROW_TILT_DEG = 25.0  # of the row against the patient's left–right
_ROD_TILT_DEG = 12.0  # of the rods against the slice axis
_SAME_PLACE_MM = 3.0
# HU per mg/cm³ and HU at zero that scanners give for K2HPO4 or HA between 80 and 140 kVp.
_SIGMA_BOUNDS, _BETA_BOUNDS = (0.6, 3.5), (-80.0, 80.0)
_MOST_RESIDUAL_HU, _MOST_RESIDUAL_SHARE = 8.0, 0.02
_LEAST_CIRCLE = 0.5  # share of the circumference that is an edge, on average over the rods
_LEAST_OTHER_CIRCLE = 0.5  # from there on it is a rod
_CORE_PIXELS = 5  # what is averaged in the middle of a rod while searching, mm
_MISFIT_WEIGHT_HU = 50.0  # that weighs as much as a whole circle
_ROWS_PER_SLAB, _RIVAL_SCORE = 4, 0.2


@dataclass(frozen=True)
class RodRow:
    """Parallel cylinders in the order of the certificate.

    Attributes
    ----------
    centres : ndarray of shape (n_rods, 3)
        Middle of the rods, RAS mm.
    axis : ndarray of shape (3,)
        Unit vector along them, RAS.
    radius_mm : float
        Their radius.
    length_mm : float
        Over which they were seen.
    """

    centres: np.ndarray
    axis: np.ndarray
    radius_mm: float
    length_mm: float


def find_row(volume: Volume, density: np.ndarray, water: np.ndarray | None) -> RodRow:
    """Find the rods of a phantom.

    Parameters
    ----------
    volume : Volume
        The CT in HU, slices across the rods (up to about 10° oblique).
    density : ndarray of shape (n_rods,)
        Certified densities in their order in the phantom, from either end, mg/cm³.
    water : ndarray of shape (n_rods,) or None
        Water terms of a Mindways certificate, mg/cm³.

    Returns
    -------
    RodRow
        At least three slabs agree on it.

    Raises
    ------
    CalibrationError
        If there are fewer than three rods, none were found, or two places or both orders fit as well.
    """
    if len(density) < 3:
        raise CalibrationError(
            f"{volume.source}: to find rods without their places at least three are needed, not "
            f"{len(density)}. Give their places (x_ras, y_ras, z_ras) in the table."
        )
    rows = np.concatenate([_rows_in(slab, density, water) for slab in _slabs(volume)])
    most_drift = np.tan(np.radians(_ROD_TILT_DEG)) * volume.spacing_mm[2]
    lines = _straight_rows(rows, len(density), most_drift)
    least = max(_LEAST_SLABS, int(np.ceil(_LEAST_SHARE_OF_SLABS * len(_slab_starts(volume)))))
    if not lines or lines[0].support < least:
        raise CalibrationError(
            f"{volume.source}: no phantom of {len(density)} rods with these densities was found under the "
            "patient. Is it in the field of view, and is this its certificate? Else give the places of the "
            "rods (x_ras, y_ras, z_ras) in the table."
        )
    if len(lines) > 1 and lines[1].support >= max(least, _RIVAL_SHARE * lines[0].support):
        raise CalibrationError(
            f"{volume.source}: the certificate fits {_difference(lines[0], lines[1])}; the search is "
            "ambiguous. Give the places of the rods (x_ras, y_ras, z_ras) in the table."
        )
    return _row_of(volume, lines[0])


@dataclass(frozen=True)
class _Slab:
    """Mean of some slices on pixels of 1 mm, whose first is voxel (0, 0)."""

    image: np.ndarray
    k: float  # middle, in slices
    across: np.ndarray  # unit vector of the image (x, y) along the patient's left–right
    posterior: np.ndarray  # whether a pixel is posterior to the middle of the body


@dataclass(frozen=True)
class _Line:
    """A row seen in several slabs: centres (n_rods, 2) at slice 0 and their drift (2,) per slice, mm."""

    centres: np.ndarray
    drift: np.ndarray
    slices: np.ndarray
    radius: float

    @property
    def support(self) -> int:
        return len(self.slices)

    def at(self, k: float) -> np.ndarray:
        return self.centres + k * self.drift


def _slab_starts(volume: Volume) -> np.ndarray:
    count, spacing = volume.array.shape[0], volume.spacing_mm[2]
    wanted = int(np.clip(count * spacing / _SLAB_MM, _LEAST_SLABS, _MOST_SLABS))
    return np.unique(np.linspace(0, count - _slab_slices(volume), wanted).astype(int))


def _slab_slices(volume: Volume) -> int:
    count = volume.array.shape[0]
    return max(1, min(round(_SLAB_MM / volume.spacing_mm[2]), count // _LEAST_SLABS))


def _slabs(volume: Volume) -> list[_Slab]:
    slices = _slab_slices(volume)
    return [_slab(volume, start, slices) for start in _slab_starts(volume)]


def _slab(volume: Volume, start: int, slices: int) -> _Slab:
    spacing = volume.spacing_mm[:2]
    mean = volume.array[start : start + slices].mean(axis=0, dtype=np.float32)
    mean = ndimage.gaussian_filter(mean, (_SMOOTHING_MM / spacing)[::-1])
    size = ((np.array(mean.shape[::-1]) - 1) * spacing).astype(int) + 1
    # A matrix, since SciPy before 1.16 warns of its diagonal alone.
    step = np.diag(1.0 / spacing[::-1])
    image = ndimage.affine_transform(mean, step, output_shape=tuple(size[::-1]), order=1)
    directions = volume.ijk_to_ras[:3, :2] / spacing
    across, anterior = directions[0] / np.linalg.norm(directions[0]), directions[1]
    y, x = np.indices(image.shape)
    height = x * anterior[0] + y * anterior[1]
    body = (image > -300.0) & (image < 300.0)
    middle = height[body].mean() if body.any() else 0.0
    return _Slab(image, start + 0.5 * (slices - 1), across, height < middle)


def _rows_in(slab: _Slab, density: np.ndarray, water: np.ndarray | None) -> np.ndarray:
    """Return the best rows of a slab, shape (n, 2 n_rods + 2): centres in mm, radius, slice."""
    circles = find_circles(slab.image, slab.posterior)
    centres, radius = _proposals(circles, slab.across, len(density))
    pixels = np.rint(centres).astype(int)
    inside = np.all((pixels >= 0) & (pixels < slab.image.shape[::-1]), axis=(1, 2))
    centres, radius, (x, y) = centres[inside], radius[inside], np.moveaxis(pixels[inside], 2, 0)
    misfit = _misfit(ndimage.uniform_filter(slab.image, _CORE_PIXELS)[y, x].astype(float), density, water)
    roundness = circles.share_at(x, y, np.broadcast_to(radius[:, None], x.shape)).clip(max=1.0).mean(axis=1)
    alone = _extra_circles(centres, radius, circles) < _LEAST_OTHER_CIRCLE
    score = np.where(alone & (roundness >= _LEAST_CIRCLE), roundness - misfit / _MISFIT_WEIGHT_HU, -np.inf)
    chosen: list[int] = []
    for n in np.argsort(-score):
        if len(chosen) == _ROWS_PER_SLAB or not score[n] > score.max() - _RIVAL_SCORE:
            break
        if all(np.abs(centres[n] - centres[m]).max() > 2 * _SAME_PLACE_MM for m in chosen):
            chosen.append(int(n))
    rows = [np.r_[_refined(centres[n], circles).ravel(), radius[n], slab.k] for n in chosen]
    return np.array(rows).reshape(-1, 2 * len(density) + 2)


def _proposals(circles: Circles, across: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Let any two circles be any two rods: centres (n, n_rods, 2) and radii (n,) of the rows."""
    a, b = np.nonzero(~np.eye(len(circles.centres), dtype=bool))
    apart = circles.centres[b] - circles.centres[a]
    length = np.linalg.norm(apart, axis=1)
    level = np.abs(apart @ across) >= np.cos(np.radians(_ROW_TILT_DEG)) * length
    alike = np.abs(circles.radius[a] - circles.radius[b]) <= 1.5
    a, b = a[level & alike], b[level & alike]
    first, last = np.triu_indices(count, 1)
    step = (circles.centres[b] - circles.centres[a])[:, None] / (last - first)[:, None]
    start = circles.centres[a][:, None] - first[:, None] * step
    radius = np.broadcast_to(0.5 * (circles.radius[a] + circles.radius[b])[:, None], step.shape[:2])
    step, start, radius = step.reshape(-1, 2), start.reshape(-1, 2), radius.ravel()
    distance = np.linalg.norm(step, axis=1)
    possible = (distance >= np.maximum(_STEP_BOUNDS_MM[0], 1.8 * radius)) & (distance <= _STEP_BOUNDS_MM[1])
    places = start[possible, None] + np.arange(count)[:, None] * step[possible, None]
    return places, radius[possible]


def _misfit(hu: np.ndarray, density: np.ndarray, water: np.ndarray | None) -> np.ndarray:
    """Residual (HU) of rows of HU (n, n_rods) against the certificate; infinite for impossible lines."""
    value = hu if water is None else hu - water
    centred = density - density.mean()
    sigma = value @ centred / (centred @ centred)
    beta = value.mean(axis=1) - sigma * density.mean()
    fitted = sigma[:, None] * density + beta[:, None]
    residual = np.sqrt(np.mean((value - fitted) ** 2, axis=1))
    if water is not None:
        sigma, beta = sigma + MINDWAYS_SLOPE, beta + MINDWAYS_OFFSET_HU
    possible = (sigma > _SIGMA_BOUNDS[0]) & (sigma < _SIGMA_BOUNDS[1])
    possible &= (beta > _BETA_BOUNDS[0]) & (beta < _BETA_BOUNDS[1])
    possible &= residual <= _MOST_RESIDUAL_HU + _MOST_RESIDUAL_SHARE * np.ptp(fitted, axis=1)
    return np.where(possible, residual, np.inf)


def _extra_circles(centres: np.ndarray, radius: np.ndarray, circles: Circles) -> np.ndarray:
    """Roundness (n,) of circles beyond the ends and half way between: rods not on the certificate."""
    step = centres[:, 1:2] - centres[:, :1]
    places = [centres[:, :1] - step, centres[:, :-1] + 0.5 * step, centres[:, -1:] + step]
    pixels = np.rint(np.concatenate(places, axis=1)).astype(int)
    limit = np.array(circles.votes.shape[:0:-1]) - 1
    inside = np.all((pixels >= 0) & (pixels <= limit), axis=2)
    x, y = np.moveaxis(np.clip(pixels, 0, limit), 2, 0)
    share = circles.share_at(x, y, np.broadcast_to(radius[:, None], x.shape), near=True)
    return np.where(inside, share, 0.0).max(axis=1)


def _refined(centres: np.ndarray, circles: Circles) -> np.ndarray:
    """Fit the row (n_rods, 2) to every circle that is near one of its places, by least squares."""
    distance = np.linalg.norm(circles.centres[None] - centres[:, None], axis=2)
    nearest = distance.argmin(axis=1)
    seen = np.flatnonzero(distance.min(axis=1) <= _SAME_PLACE_MM)
    if len(np.unique(seen)) < 2:
        return centres
    design = np.column_stack([np.ones(len(seen)), seen])
    line, *_ = np.linalg.lstsq(design, circles.centres[nearest[seen]], rcond=None)
    return line[0] + np.arange(len(centres))[:, None] * line[1]


def _straight_rows(rows: np.ndarray, count: int, most_drift: float) -> list[_Line]:
    """Join rows of the slabs to straight cylinders, the most often seen first; each row counts once."""
    centres, radius, k = rows[:, :-2].reshape(-1, count, 2), rows[:, -2], rows[:, -1]
    left, lines = np.ones(len(rows), dtype=bool), []
    while left.any() and len(lines) < 4:
        members = max(
            (_agreeing(a, b, centres, k, most_drift) & left for a, b in _pairs(k, left)),
            key=lambda agree: len(np.unique(k[agree])),
            default=np.zeros(0, dtype=bool),
        )
        if not members.any():
            break
        lines.append(_fitted_line(centres[members], radius[members], k[members]))
        left &= ~members
    return lines


def _pairs(k: np.ndarray, left: np.ndarray) -> Iterator[tuple[int, int]]:
    for a, b in combinations(np.flatnonzero(left), 2):
        if k[a] != k[b]:
            yield int(a), int(b)


def _agreeing(a: int, b: int, centres: np.ndarray, k: np.ndarray, most_drift: float) -> np.ndarray:
    """Which rows (bool) lie on the cylinders through rows a and b."""
    drift = (centres[b] - centres[a]).mean(axis=0) / (k[b] - k[a])
    if np.linalg.norm(drift) > most_drift:
        return np.zeros(len(k), dtype=bool)
    expected = centres[a] + (k - k[a])[:, None, None] * drift
    return np.linalg.norm(centres - expected, axis=2).max(axis=1) <= _SAME_PLACE_MM


def _fitted_line(centres: np.ndarray, radius: np.ndarray, k: np.ndarray) -> _Line:
    middle = centres.mean(axis=1)
    drift = (k - k.mean()) @ (middle - middle.mean(axis=0)) / max(float(np.sum((k - k.mean()) ** 2)), 1e-9)
    return _Line(centres.mean(axis=0) - k.mean() * drift, drift, np.unique(k), float(np.median(radius)))


def _difference(a: _Line, b: _Line) -> str:
    """Return how two rows differ, in words."""
    k = float(a.slices.mean())
    turned = np.abs(a.at(k) - b.at(k)[::-1]).max() <= 2 * _SAME_PLACE_MM
    return "in both orders" if turned else "at two places"


def _row_of(volume: Volume, line: _Line) -> RodRow:
    spacing = volume.spacing_mm
    half_slab = 0.5 * (_slab_slices(volume) - 1)
    ends = line.slices[0] - half_slab, line.slices[-1] + half_slab

    def places(k: float) -> np.ndarray:
        at = line.at(k) / spacing[:2]
        return volume.points_of(np.column_stack([at, np.full(len(at), k)]))

    along = (places(ends[1]) - places(ends[0])).mean(axis=0)
    axis = along / np.linalg.norm(along) if ends[1] > ends[0] else volume.slice_normal
    length = float(np.linalg.norm(along) + spacing[2])
    return RodRow(places(0.5 * (ends[0] + ends[1])), axis, line.radius, length)
