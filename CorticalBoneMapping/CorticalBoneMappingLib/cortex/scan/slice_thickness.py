"""Choose the slice thickness to measure with: the stated one, or the width that the image shows.

Cortex oblique to the slices is blurred by the slice profile. Blur in the plane, and the density of thick
cortex, are known from lines within the plane. All oblique lines then share the width of the profile and the
density of their thinner cortex: both are those whose fits leave the least residual (Gauss–Newton steps, the
edges of each line eliminated, badly fitting lines with less weight). The distance between slices does not
give the width: slices overlap, or were resampled.
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


@dataclass(frozen=True)
class SliceWidthSettings:
    """Numbers of the estimation of the slice width; chosen by hand, not tuned, unless a line says more."""

    range_mm: tuple[float, float] = (0.2, 12.0)
    shares: tuple[float, float] = (0.7, 1.15)  # density of oblique cortex over that of thick cortex: bounds
    usual_share: float = 0.97  # thin cortex is less dense
    fewest: int = 60  # lines
    enough: int = 500  # lines
    least_thickness_mm: float = 0.05  # a fit without cortex does not depend on blur
    softest: float = 0.32  # of the thickness: σ of the ends of a bell-shaped profile
    outlier: float = 4.0  # a line with so many times the usual squared residual has half weight
    iterations: int = 12
    smallest_step: float = 0.003  # of the logarithms of width and density
    longest_step: tuple[float, float] = (0.4, 0.06)  # of the logarithms of width and density
    difference: float = 0.01  # relative, of the difference quotient by the width
    shared: float = 2.0  # neighbouring lines see the same bone: so many count as one
    passes: int = 3  # of the blur in the plane
    agrees: float = 0.2  # relative difference of two passes
    # Tilted normals, curved bone and uneven density blur, too. Tuned on simulated hips of seeds 5 to 7 with
    # slices of 0.6 to 5 mm (Docs/validation/slice_thickness.md): what they add to the squared width, and the
    # standard deviation of that.
    other_blur_mm2: float = 0.3
    uncertain_mm2: float = 0.3
    least_left: float = 0.5  # of the squared width, when other blur is subtracted
    different: float = 3.0  # standard deviations
    worse: float = 1.2  # ratio of squared residuals by which a stated thickness contradicts the image


WIDTH = SliceWidthSettings()


ASSUMED, HEADER, MEASURED = "assumed: the spacing", "the scan's header", "measured in the image"
"""Where a slice thickness comes from."""


class SliceWidth(NamedTuple):
    """Width of the slice profile as the image shows it.

    Attributes
    ----------
    width_mm : float
        Of the rectangle that fits best.
    sd_mm : float
        Standard deviation, by noise and by other blur.
    points : int
        Number of lines used.
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


@dataclass(frozen=True)
class SliceThickness:
    """The slice thickness of a scan, and where it comes from.

    Attributes
    ----------
    used_mm : float
        To measure with.
    used_from : str
        `GIVEN`, `MEASURED`, `ASSUMED`, or where the scan states it: `HEADER`, or the name of a file.
    stated_mm : float
        What was given or stated, else the spacing.
    stated_from : str
        Where that comes from.
    spacing_mm : float
        From slice to slice.
    seen : SliceWidth or None
        What the image shows; None where it does not.
    """

    used_mm: float
    used_from: str
    stated_mm: float
    stated_from: str
    spacing_mm: float
    seen: SliceWidth | None

    @property
    def record(self) -> dict[str, float | str | None]:
        """All of it, by the names of the record."""
        return {
            "slice_thickness_mm": self.used_mm,
            "slice_thickness_from": self.used_from,
            "slice_thickness_seen_mm": self.seen and round(self.seen.width_mm, 3),
            "slice_thickness_seen_sd_mm": self.seen and round(self.seen.sd_mm, 3),
        }

    @property
    def warning(self) -> str | None:
        """Warning that the image shows another thickness than the stated one; None where it does not."""
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
    """Compare the stated slice thickness with the image, and choose one.

    A thickness that the user gave is always used. One that a header or another program states is replaced by
    that of the image where no slice profile of that thickness explains it; the mere spacing, where it differs
    clearly.

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


def measure_slice_width(scan: Scan) -> SliceWidth | None:
    """Measure the width of the slice profile.

    Parameters
    ----------
    scan : Scan
        Of n points, with some slice thickness.

    Returns
    -------
    SliceWidth or None
        None where the bone has too little thick cortex, or too few oblique lines.
    """
    stated = width = scan.sampled.slice_thickness_mm
    thick = scan.thick_cortex
    for _ in range(WIDTH.passes):
        lines = _oblique(scan, thick, width)
        if lines is None:
            return None
        found, before = lines.solve(width), width
        width, sd = _of_the_slices(found)
        if abs(np.log(width / before)) < WIDTH.agrees:
            break
        # The blur in the plane was found with the slice thickness of the last pass.
        profiles = replace(scan.sampled, slice_thickness_mm=width)
        thick = estimate_from_thick_cortex(
            profiles, scan.first_features, scan.usable, scan.settings, scan.noise
        )
    differs = abs(width - stated) > WIDTH.different * sd
    contradicts = differs and _is_contradicted(lines, found, stated)
    return SliceWidth(width, sd, len(found.squares), differs, contradicts)


def _of_the_slices(found: _Found) -> tuple[float, float]:
    """Width without other blur, and its standard deviation, in mm."""
    square = found.width_mm**2
    width = float(np.sqrt(max(square - WIDTH.other_blur_mm2, WIDTH.least_left * square)))
    return width, float(np.hypot(found.sd_mm, 0.5 * WIDTH.uncertain_mm2 / width))


def _is_contradicted(lines: _Oblique, found: _Found, stated_mm: float) -> bool:
    softness = np.sqrt(
        np.clip((found.width_mm**2 - stated_mm**2) / 12.0, 0.0, (WIDTH.softest * stated_mm) ** 2)
    )
    other = lines.solve(stated_mm, float(softness), is_known=True)
    worse = np.median(other.squares) > WIDTH.worse * np.median(found.squares)
    return bool(worse) and clearly_less(found.squares, other.squares)


def _oblique(scan: Scan, thick: ThickCortex, width_mm: float) -> _Oblique | None:
    """Oblique lines with a usable fit; None where they are too few, or blur and density were assumed."""
    if not thick.points or thick.density_from.startswith("assumed"):
        return None
    profiles = replace(scan.sampled, slice_thickness_mm=width_mm)
    which = oblique_lines(profiles, scan.first_features)
    which = which[scan.usable[which]]
    if len(which) > WIDTH.enough:
        which = which[np.linspace(0, len(which) - 1, WIDTH.enough).astype(int)]
    if len(which) < WIDTH.fewest:
        return None
    some = SomeLines(
        profiles.take(which), scan.first_features.take(which), scan.settings.highest_density, scan.noise
    )
    blur = replace(thick.blur, sigma_across_mm=0.0)
    near = some.fit(blur, thick.density)
    fitted = np.flatnonzero(near.converged & ~near.at_bound & (near.thickness > WIDTH.least_thickness_mm))
    return (
        _Oblique(some.take(fitted), blur, thick.density, near.take(fitted))
        if len(fitted) >= WIDTH.fewest
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
        longest = np.array(WIDTH.longest_step)
        logs, known = np.log([width_mm, WIDTH.usual_share]), np.array([is_known, False])
        for _ in range(WIDTH.iterations):
            some = self.some._replace(
                profiles=replace(self.some.profiles, slice_thickness_mm=float(np.exp(logs[0])))
            )
            near = some.fit(blur, float(self.density * np.exp(logs[1])), near)
            squares = near.residual**2
            slope, matrix = _by_width_and_density(some, near, blur)
            # Another bone, or a hole, must not decide.
            weight = 1.0 / (1.0 + squares / (WIDTH.outlier * max(float(np.median(squares)), 1e-9)))
            weight = np.where(near.converged & ~near.at_bound, weight, 0.0)
            curvature = np.einsum("n,nij->ij", weight, matrix)
            curvature[known], curvature[:, known] = 0.0, 0.0
            curvature[known, known] = 1.0
            inverse = np.linalg.pinv(curvature)
            step = -inverse @ np.where(known, 0.0, weight @ slope)
            step = np.clip(step, -longest, longest)
            before, logs = logs, np.clip(logs + step, *np.log([WIDTH.range_mm, WIDTH.shares]).T)
            if np.abs(logs - before).max() < WIDTH.smallest_step:
                break
        scatter = np.einsum("n,ni,nj->ij", weight**2, slope, slope)
        variance = WIDTH.shared * (inverse @ scatter @ inverse)[0, 0]
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
    model.blur = line._replace(half_width=line.half_width * (1.0 + WIDTH.difference))
    by_width = (model(every, parameters)[0] - residual) / WIDTH.difference
    by_density = jacobian[4] * fit.cortex[:, None]
    _, gradient, matrix = normal_equations(
        residual, np.concatenate([jacobian[:4], np.stack([by_width, by_density])])
    )
    slope, reduced, _, _ = without_edges(gradient, matrix)
    return slope, reduced
