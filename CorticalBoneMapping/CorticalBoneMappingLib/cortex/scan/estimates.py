"""Estimate the blur of a scan and the density of its cortex from the bone's own thick cortex.

Where the cortex is thick, the blur does not reach from one edge to the other, so density and blur can be
separated; where the normal lies in the scan plane, the slice profile plays no part. One blur and one density
for the whole scan are determined far better than at any single point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from ..model.blur import Blur
from ..model.profile_features import ProfileFeatures
from ..model.profiles import Profiles
from ..model.three_layers import LayerFit, fit_three_layers
from ..settings import CortexSettings


@dataclass(frozen=True)
class ThickCortexSettings:
    """Numbers of the estimation from thick cortex; chosen by hand, not tuned, unless a line says more."""

    sigma_range_mm: tuple[float, float] = (0.15, 1.6)
    enhancement_range: tuple[float, float] = (0.0, 2.0)
    clear: float = 4.0  # standard errors by which edge enhancement must fit better to be accepted
    looked_at: int = 4000  # points of the first fit
    enough: int = 400  # thick points
    fewest: int = 30
    oblique: tuple[float, float] = (0.5, 0.97)  # |n_z| of lines that show the slice profile
    alone_mm: float = -4.0  # other bone is farther outside
    thin: float = 0.4  # of the slice thickness
    softest: float = 0.5  # of the slice thickness: largest σ across
    probe: tuple[float, float] = (1.2, 0.2)  # σ over that of the best plain Gaussian, edge enhancement
    worth: float = 0.05  # gain in squared residual; tilted normals alone make less
    softest_inner_mm: float = 0.6  # that of a zone 2 mm wide
    # (thinnest cortex in blurs, steepest |n_z|), the best first; a thin bone must do with less.
    criteria: tuple[tuple[float, float], ...] = ((4.5, 0.3), (3.5, 0.4), (2.8, 0.5))
    # Where the bone has no thick cortex: a usual blur, besides the pixel's own, and a usual dense cortex.
    usual_sigma_mm: float = 0.5
    usual_density: float = 1200.0  # HU or mg/cm³
    least_density: float = 700.0  # HU or mg/cm³: less is trabecular bone taken for cortex


THICK = ThickCortexSettings()


@dataclass(frozen=True)
class ThickCortex:
    """Blur and density estimated from thick cortex.

    Attributes
    ----------
    blur : Blur
        Of the scan, in its plane.
    density : float
        Cortical density, in the unit of the profiles.
    blur_from, density_from : str
        Where each comes from, for the record.
    points : int
        Number of points used; 0 if both were given or assumed.
    thick : SomeLines or None
        Those points, if there are any.
    """

    blur: Blur
    density: float
    blur_from: str
    density_from: str
    points: int
    thick: SomeLines | None = None

    @cached_property
    def inner_softness_mm(self) -> float:
        """Standard deviation by which the inner edge is softer than the blur makes it, mm.

        0 for a sharp edge, w / √12 for a zone of the width w in which the cortex becomes trabecular.
        """
        return _inner_softness(self.thick, self.blur) if self.points else 0.0

    @property
    def blur_record(self) -> dict[str, float | str]:
        """The blur, by the names of the record."""
        return {
            "in_plane_sigma_mm": self.blur.sigma_mm,
            "edge_enhancement": self.blur.enhancement,
            "across_sigma_mm": self.blur.sigma_across_mm,
            "in_plane_sigma_from": self.blur_from,
        }

    @property
    def record(self) -> dict[str, float | str | int]:
        """All of it, by the names of the record."""
        return self.blur_record | {
            "cortical_density": self.density,
            "cortical_density_from": self.density_from,
            "thick_cortex_points": self.points,
        }


def estimate_from_thick_cortex(
    profiles: Profiles, features: ProfileFeatures, usable: np.ndarray, settings: CortexSettings, noise: float
) -> ThickCortex:
    """Estimate in-plane blur and cortical density, each unless the settings give it.

    The blur in the plane is the one whose fits leave the least residual over the thick cortex, with thickness
    and density free at each point; the density is the median over those points. How soft the ends of the
    slice profile are is what leaves the least residual where thin cortex lies oblique to the slices. Where
    there is too little thick cortex, usual values are assumed, which is recorded.

    Parameters
    ----------
    profiles : Profiles
    features : ProfileFeatures
    usable : ndarray of bool, shape (n,)
        Points without metal and in the scan.
    settings : CortexSettings
    noise : float
        Standard deviation of the values.

    Returns
    -------
    ThickCortex
    """
    given, density = settings.in_plane_sigma_mm, settings.cortical_density
    if given is not None and density is not None:
        return ThickCortex(Blur(given), density, "given", "given", 0)
    looked_at = np.flatnonzero(usable)
    looked_at = looked_at[:: max(1, len(looked_at) // THICK.looked_at)]
    some = SomeLines(profiles.take(looked_at), features.take(looked_at), settings.highest_density, noise)
    blur = Blur(given or float(np.hypot(THICK.usual_sigma_mm, profiles.pixel_mm / np.sqrt(12.0))))
    flat = np.abs(some.profiles.across) < THICK.criteria[-1][1]
    in_plane = some.take(np.flatnonzero(flat if flat.any() else ~flat))
    fit = in_plane.fit(blur)
    which, criterion = _thick_points(in_plane.profiles, fit, blur.sigma_mm)
    thick, fit = in_plane.take(which), fit.take(which)
    blur_from = density_from = "given"
    if given is None and len(which):
        blur, blur_from = _best_in_plane(thick, fit), f"least residual over {criterion}"
    elif given is None:
        blur_from = f"assumed: {criterion}"
    if density is None:
        density, density_from = _density(thick, blur, criterion)
    if given is None and len(which):
        blur = replace(blur, sigma_across_mm=_best_across(some, blur, density))
    return ThickCortex(blur, float(density), blur_from, density_from, len(which), thick)


def _density(thick: SomeLines, blur: Blur, criterion: str) -> tuple[float, str]:
    """Cortical density, and where it comes from."""
    if not len(thick.profiles):
        return THICK.usual_density, f"assumed: {criterion}"
    density = float(np.median(thick.fit(blur).cortex))
    if density < THICK.least_density:
        return THICK.usual_density, "assumed: the thick parts are too light for cortex"
    return density, f"median over {criterion}"


class SomeLines(NamedTuple):
    """Some lines, with the numbers of the scan that a fit needs."""

    profiles: Profiles
    features: ProfileFeatures
    highest_density: float
    noise: float

    def take(self, which: np.ndarray) -> SomeLines:
        """Return some of them only."""
        return self._replace(profiles=self.profiles.take(which), features=self.features.take(which))

    def fit(
        self, blur: Blur, density: float | None = None, near: LayerFit | None = None, softness_mm: float = 0.0
    ) -> LayerFit:
        """Fit three layers, as `fit_three_layers` does."""
        highest = self.highest_density
        return fit_three_layers(
            self.profiles, self.features, blur, density, highest, self.noise, near, softness_mm
        )


def _thick_points(profiles: Profiles, fit: LayerFit, sigma_mm: float) -> tuple[np.ndarray, str]:
    """Indices of thick cortex seen from within the scan plane (or none), and the criterion in words."""
    contrast = fit.cortex - np.maximum(fit.outside, fit.inside)
    valid = fit.converged & (contrast > 5.0 * fit.residual) & (np.abs(fit.outer_edge) < 3.0)
    valid &= fit.thickness < 10.0
    for blurs, steepest in THICK.criteria:
        thinnest = blurs * sigma_mm
        thick = np.flatnonzero(valid & (fit.thickness > thinnest) & (np.abs(profiles.across) < steepest))
        if len(thick) >= THICK.fewest:
            thick = thick[:: max(1, len(thick) // THICK.enough)]
            return thick, (
                f"{len(thick)} points with more than {thinnest:.1f} mm of cortex and a normal within "
                f"{np.degrees(np.arcsin(steepest)):.0f}° of the scan plane"
            )
    return np.empty(0, dtype=int), "the bone has too little thick cortex"


def _best_in_plane(thick: SomeLines, near: LayerFit) -> Blur:
    """Estimate σ with and without edge enhancement; use it only where it clearly fits better."""

    def squares(blur: Blur, near: LayerFit | None) -> np.ndarray:
        return thick.fit(blur, near=near).residual ** 2

    def misfit(numbers: list[float], near: LayerFit | None) -> float:
        # The median of the points' squared residuals: one unusual place must not decide.
        return float(np.median(squares(Blur(*map(float, numbers)), near)))

    plain = minimize_scalar(
        lambda sigma: misfit([sigma], None),
        bounds=THICK.sigma_range_mm,
        method="bounded",
        options={"xatol": 0.004},
    )
    without = Blur(float(plain.x))
    near = thick.fit(without, near=near)
    probed = Blur(THICK.probe[0] * without.sigma_mm, THICK.probe[1])
    if not clearly_less(squares(probed, near), squares(without, near)):
        return without
    start = [[without.sigma_mm, 0.0], [probed.sigma_mm, probed.enhancement], [without.sigma_mm, 0.2]]
    found = minimize(
        misfit,
        start[1],
        args=(near,),
        method="Nelder-Mead",
        bounds=(THICK.sigma_range_mm, THICK.enhancement_range),
        options={"initial_simplex": start, "xatol": 0.01, "fatol": 2e-3 * plain.fun},
    )
    return Blur(*map(float, found.x))


def _inner_softness(thick: SomeLines, blur: Blur) -> float:
    """Estimate how much softer the inner edge is than the blur makes it, from thick cortex, mm."""
    near = thick.fit(blur)

    def squares(softness: float) -> np.ndarray:
        return thick.fit(blur, near=near, softness_mm=float(softness)).residual ** 2

    found = minimize_scalar(
        lambda softness: float(np.median(squares(softness))),
        bounds=(0.0, THICK.softest_inner_mm),
        method="bounded",
        options={"xatol": 0.02},
    )
    return float(found.x) if clearly_less(squares(found.x), near.residual**2) else 0.0


def _best_across(some: SomeLines, blur: Blur, density: float) -> float:
    """Estimate the softness of the slice profile, where normals are oblique and no other bone is near.

    The width of a cortex much thinner than a slice is blur alone.
    """
    profiles, oblique = some.profiles, oblique_lines(some.profiles, some.features)
    if not len(oblique):
        return 0.0
    near = some.take(oblique).fit(blur, density)
    thin = np.flatnonzero(near.converged & (near.thickness < THICK.thin * profiles.slice_thickness_mm))
    if len(thin) < THICK.fewest:
        return 0.0
    thin = thin[:: -(-len(thin) // THICK.enough)]
    oblique, near = some.take(oblique[thin]), near.take(thin)

    def squares(sigma: float) -> np.ndarray:
        return oblique.fit(replace(blur, sigma_across_mm=float(sigma)), density, near).residual ** 2

    found = minimize_scalar(
        lambda sigma: float(np.median(squares(sigma))),
        bounds=(0.0, THICK.softest * profiles.slice_thickness_mm),
        method="bounded",
        options={"xatol": 0.02},
    )
    with_it, without = squares(found.x), squares(0.0)
    worth = np.median(with_it) < (1.0 - THICK.worth) * np.median(without)
    return float(found.x) if worth and clearly_less(with_it, without) else 0.0


def oblique_lines(profiles: Profiles, features: ProfileFeatures) -> np.ndarray:
    """Indices of the lines that the slice profile blurs, without other bone near by."""
    alone, across = features.outer_limit < THICK.alone_mm, np.abs(profiles.across)
    return np.flatnonzero(alone & (across > THICK.oblique[0]) & (across < THICK.oblique[1]))


def clearly_less(squares: np.ndarray, other: np.ndarray) -> bool:
    """Whether squared residuals (n,) are less than others of the same points, by their mean difference."""
    gain = other - squares
    return bool(gain.mean() > THICK.clear * gain.std() / np.sqrt(len(gain)))
