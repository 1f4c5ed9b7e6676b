"""Which slice thickness a scan is measured with: what is stated of it, or what its image shows.

How thick the slices of a scan are, as the image shows it.

Cortex oblique to the slices is blurred by the slice profile. Blur in the plane, and the density of
thick cortex, are known from lines within the plane. What all oblique lines then share is the width of the
profile, and how much less dense their thinner cortex is: both are those whose fits leave the least residual
(Gauss–Newton steps, the edges of each line eliminated, lines that fit badly weighing less). The distance
between slices says nothing of the width: slices overlap, or were resampled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ...core.volume import GIVEN, Volume
from ..model.blur import Blur
from ..model.levenberg_marquardt import normal_equations
from ..model.three_layers import LayerFit, ThreeLayers
from .estimates import SomeLines, ThickCortex, clearly_less, estimate_from_thick_cortex, oblique_lines
from .scan import Scan
from .sensitivity import without_edges

_RANGE_MM = (0.2, 12.0)
_SHARES, _USUAL_SHARE = (0.7, 1.15), 0.97  # of the density of thick cortex: thin cortex has less
_FEWEST, _ENOUGH = 60, 500  # lines
_LEAST_THICKNESS_MM = 0.05  # a fit without cortex says nothing of blur
_SOFTEST = 0.32  # of the thickness: the ends of a bell-shaped profile, as σ
_OUTLIER = 4.0  # a line with so many times the usual squared residual has half weight
_ITERATIONS, _SMALLEST_STEP = 12, 0.003
_LONGEST_STEP = np.array([0.4, 0.06])  # of the logarithms of width and density
_DIFFERENCE = 0.01  # relative, of the difference quotient by the width
_SHARED = 2.0  # neighbouring lines see the same bone: so many count as one
_PASSES, _AGREES = 3, 0.2  # of the blur in the plane, and the relative difference of two of them
# Normals that are askew, curved bone and uneven density blur, too. Tuned on simulated hips of seeds 5 to 7
# with slices of 0.6 to 5 mm: what they add to the square of the width (mm²), and how far that is uncertain.
_OTHER_BLUR_MM2, _UNCERTAIN_MM2 = 0.3, 0.3
_LEAST_LEFT = 0.5  # of the squared width, when other blur is taken off
_DIFFERENT = 3.0  # standard deviations
_WORSE = 1.2  # ratio of squared residuals by which a stated thickness contradicts the image


class SliceWidth(NamedTuple):
    """Width of the slice profile as the image shows it.

    Attributes
    ----------
    width_mm : float
        Of the rectangle that fits best.
    sd_mm : float
        Standard deviation, by noise and by what else blurs.
    points : int
        Number of lines it rests on.
    differs : bool
        Whether it clearly differs from the thickness that the scan came with.
    contradicts : bool
        Whether, besides, no profile of that thickness fits nearly as well, however soft its ends.
    """

    width_mm: float
    sd_mm: float
    points: int
    differs: bool
    contradicts: bool


def measure_slice_width(scan: Scan) -> SliceWidth | None:
    """Measure the width of the slice profile.

    Parameters
    ----------
    scan : Scan
        Of n points, with some slice thickness.

    Returns
    -------
    SliceWidth or None
        None where the bone has too little thick cortex, or too few oblique lines, to tell.
    """
    stated = width = scan.sampled.slice_thickness_mm
    thick = scan.thick_cortex
    for _ in range(_PASSES):
        lines = _oblique(scan, thick, width)
        if lines is None:
            return None
        found, before = lines.solve(width), width
        width, sd = _of_the_slices(found)
        if abs(np.log(width / before)) < _AGREES:
            break
        # The blur in the plane was found with the slice thickness of the last pass.
        profiles = replace(scan.sampled, slice_thickness_mm=width)
        thick = estimate_from_thick_cortex(
            profiles, scan.first_features, scan.usable, scan.settings, scan.noise
        )
    differs = abs(width - stated) > _DIFFERENT * sd
    contradicts = differs and _is_contradicted(lines, found, stated)
    return SliceWidth(width, sd, len(found.squares), differs, contradicts)


def _of_the_slices(found: _Found) -> tuple[float, float]:
    """Width without what else blurs, and its standard deviation, in mm."""
    square = found.width_mm**2
    width = float(np.sqrt(max(square - _OTHER_BLUR_MM2, _LEAST_LEFT * square)))
    return width, float(np.hypot(found.sd_mm, 0.5 * _UNCERTAIN_MM2 / width))


def _is_contradicted(lines: _Oblique, found: _Found, stated_mm: float) -> bool:
    softness = np.sqrt(np.clip((found.width_mm**2 - stated_mm**2) / 12.0, 0.0, (_SOFTEST * stated_mm) ** 2))
    other = lines.solve(stated_mm, float(softness), is_known=True)
    worse = np.median(other.squares) > _WORSE * np.median(found.squares)
    return bool(worse) and clearly_less(found.squares, other.squares)


def _oblique(scan: Scan, thick: ThickCortex, width_mm: float) -> _Oblique | None:
    """Oblique lines that can tell; None where too few do, or thick cortex does not tell blur and density."""
    if not thick.points or thick.density_from.startswith("assumed"):
        return None
    profiles = replace(scan.sampled, slice_thickness_mm=width_mm)
    which = oblique_lines(profiles, scan.first_features)
    which = which[scan.usable[which]]
    if len(which) > _ENOUGH:
        which = which[np.linspace(0, len(which) - 1, _ENOUGH).astype(int)]
    if len(which) < _FEWEST:
        return None
    some = SomeLines(
        profiles.take(which), scan.first_features.take(which), scan.settings.highest_density, scan.noise
    )
    blur = replace(thick.blur, sigma_across_mm=0.0)
    near = some.fit(blur, thick.density)
    fitted = np.flatnonzero(near.converged & ~near.at_bound & (near.thickness > _LEAST_THICKNESS_MM))
    return (
        _Oblique(some.take(fitted), blur, thick.density, near.take(fitted))
        if len(fitted) >= _FEWEST
        else None
    )


class _Found(NamedTuple):
    """Width, its standard deviation, and the squared residuals (n,) it leaves."""

    width_mm: float
    sd_mm: float
    squares: np.ndarray


class _Oblique(NamedTuple):
    """Oblique lines, with blur and density of thick cortex, and the fits to begin at."""

    some: SomeLines
    blur: Blur
    density: float
    near: LayerFit

    def solve(self, width_mm: float, softness_mm: float = 0.0, is_known: bool = False) -> _Found:
        """Find width and cortical density of all lines by Gauss–Newton steps, or the density alone."""
        blur, near = replace(self.blur, sigma_across_mm=softness_mm), self.near
        logs, known = np.log([width_mm, _USUAL_SHARE]), np.array([is_known, False])
        for _ in range(_ITERATIONS):
            some = self.some._replace(
                profiles=replace(self.some.profiles, slice_thickness_mm=float(np.exp(logs[0])))
            )
            near = some.fit(blur, float(self.density * np.exp(logs[1])), near)
            squares = near.residual**2
            slope, matrix = _by_width_and_density(some, near, blur)
            # Another bone, or a hole, must not decide.
            weight = 1.0 / (1.0 + squares / (_OUTLIER * max(float(np.median(squares)), 1e-9)))
            weight = np.where(near.converged & ~near.at_bound, weight, 0.0)
            curvature = np.einsum("n,nij->ij", weight, matrix)
            curvature[known], curvature[:, known] = 0.0, 0.0
            curvature[known, known] = 1.0
            inverse = np.linalg.pinv(curvature)
            step = -inverse @ np.where(known, 0.0, weight @ slope)
            step = np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
            before, logs = logs, np.clip(logs + step, *np.log([_RANGE_MM, _SHARES]).T)
            if np.abs(logs - before).max() < _SMALLEST_STEP:
                break
        scatter = np.einsum("n,ni,nj->ij", weight**2, slope, slope)
        variance = _SHARED * (inverse @ scatter @ inverse)[0, 0]
        width = float(np.exp(logs[0]))
        return _Found(width, width * float(np.sqrt(variance)), squares)


def _by_width_and_density(some: SomeLines, fit: LayerFit, blur: Blur) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (n, 2) and curvature (n, 2, 2) of the cost by the logarithms of slice width and density."""
    model = ThreeLayers(some.profiles, some.features.outer_limit, blur, None, some.noise)
    columns = (fit.outer_edge, fit.thickness, fit.outside, fit.inside, fit.cortex)
    parameters = np.stack(columns, axis=1)
    model.follow(parameters[:, 0], parameters[:, 1])
    every, line = np.arange(len(parameters)), model.blur
    residual, jacobian = model(every, parameters)
    model.blur = line._replace(half_width=line.half_width * (1.0 + _DIFFERENCE))
    by_width = (model(every, parameters)[0] - residual) / _DIFFERENCE
    by_density = jacobian[4] * fit.cortex[:, None]
    _, gradient, matrix = normal_equations(
        residual, np.concatenate([jacobian[:4], np.stack([by_width, by_density])])
    )
    slope, reduced, _, _ = without_edges(gradient, matrix)
    return slope, reduced


ASSUMED, HEADER, MEASURED = "assumed: the spacing", "the scan's header", "measured in the image"


@dataclass(frozen=True)
class SliceThickness:
    """The slice thickness of a scan, and where it comes from.

    Attributes
    ----------
    used_mm : float
        The one to measure with.
    used_from : str
        `GIVEN`, `MEASURED`, `ASSUMED`, or where the scan states it: `HEADER`, or the name of a file.
    stated_mm : float
        What was given or stated, else the spacing.
    stated_from : str
        Where that comes from.
    spacing_mm : float
        From slice to slice.
    seen : SliceWidth or None
        What the image shows; None where it does not show it.
    """

    used_mm: float
    used_from: str
    stated_mm: float
    stated_from: str
    spacing_mm: float
    seen: SliceWidth | None

    @property
    def record(self) -> dict[str, float | str | None]:
        """All of it, for the record."""
        return {
            "slice_thickness_mm": self.used_mm,
            "slice_thickness_from": self.used_from,
            "slice_thickness_seen_mm": self.seen and round(self.seen.width_mm, 3),
            "slice_thickness_seen_sd_mm": self.seen and round(self.seen.sd_mm, 3),
        }

    @property
    def warning(self) -> str | None:
        """Return where the image shows another thickness than is stated; None where it does not."""
        if self.used_from == MEASURED and self.stated_from == ASSUMED:
            return (
                f"The slice thickness is not known. The slices are {self.spacing_mm:.3g} mm apart, but the "
                f"image shows a thickness of {self._seen}, which was used. If you know it, give it."
            )
        if self.used_from == MEASURED:
            return (
                f"The slice thickness is {self.stated_mm:.3g} mm by {self.stated_from}, but the image shows "
                f"{self._seen}, which was used. If {self.stated_mm:.3g} mm is right, give it."
            )
        if self.seen is not None and self.seen.contradicts:
            return (
                f"The slice thickness was given as {self.stated_mm:.3g} mm, but the image shows "
                f"{self._seen}. Thickness and density depend on it; check it."
            )
        return None

    @property
    def _seen(self) -> str:
        return f"{self.seen.width_mm:.2f} ± {self.seen.sd_mm:.2f} mm"


def choose_slice_thickness(scan: Scan, volume: Volume) -> SliceThickness:
    """Compare the stated slice thickness with the image, and choose.

    What a user gave is used in any case. What a header or another program states gives way to the image where
    no slice profile of that thickness explains it; the mere spacing, where it differs clearly.

    Parameters
    ----------
    scan : Scan
        Sampled from `volume`.
    volume : Volume

    Returns
    -------
    SliceThickness
    """
    stated, spacing = scan.sampled.slice_thickness_mm, float(volume.spacing_mm[2])
    origin = ASSUMED if volume.slice_thickness_mm is None else volume.slice_thickness_from or HEADER
    seen = measure_slice_width(scan)
    is_other = seen is not None and (seen.differs if origin == ASSUMED else seen.contradicts)
    if is_other and origin != GIVEN:
        return SliceThickness(seen.width_mm, MEASURED, stated, origin, spacing, seen)
    return SliceThickness(stated, origin, stated, origin, spacing, seen)
