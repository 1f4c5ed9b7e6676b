"""Input and output of every method: the profiles of one scan with its noise and blur, and the estimates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...core.surface import Surface
from ..model.blur import LineBlur
from ..model.profile_features import ProfileFeatures, find_features
from ..model.profiles import Profiles
from ..model.three_layers import LayerFit, fit_three_layers
from ..settings import CortexSettings
from .estimates import ThickCortex, estimate_from_thick_cortex
from .neighbour import without_neighbours

# |n_z|: steeper lines meet the same slice in many samples, which share its noise; chosen by hand.
_STEEPEST_FOR_NOISE = 0.7


@dataclass(frozen=True)
class Scan:
    """One bone in one scan, ready to be measured.

    Attributes
    ----------
    surface : Surface
        The whole periosteal surface; profile i belongs to its point ``points[i]``.
    points : ndarray of int, shape (n,)
        The points to measure.
    sampled : Profiles
        Of those points, in the calibrated unit (HU without calibration), as the CT has them.
    usable : ndarray of bool, shape (n,)
        No metal on the line, and the line lies in the scan where the cortex is expected.
    settings : CortexSettings
    tissue_noise : float or None
        Standard deviation of the noise in flat tissue around the bone, in the unit of the profiles, if there
        is enough of it.
    """

    surface: Surface
    points: np.ndarray
    sampled: Profiles
    usable: np.ndarray
    settings: CortexSettings
    tissue_noise: float | None = None

    @cached_property
    def profiles(self) -> Profiles:
        """The profiles without other bone close by."""
        thick = self.thick_cortex
        return without_neighbours(self.sampled, self.first_features, thick.blur, thick.density, self.noise)

    @cached_property
    def first_features(self) -> ProfileFeatures:
        """Edges, peak and backgrounds of the profiles as the CT has them, before any fit."""
        return find_features(self.sampled)

    @cached_property
    def features(self) -> ProfileFeatures:
        """Edges, peak and backgrounds before any fit; found again only where other bone was subtracted."""
        changed = (self.profiles.values != self.sampled.values) | (self.profiles.valid != self.sampled.valid)
        rows = np.flatnonzero(changed.any(axis=1))
        if not len(rows):
            return self.first_features
        return self.first_features.replaced(rows, find_features(self.profiles.take(rows)))

    @cached_property
    def noise(self) -> float:
        """Standard deviation of the noise: that of flat tissue, else the roughness along the lines.

        Roughness is the median over all lines of the difference between a sample and the mean of those a
        pixel before and behind. Edges are too few to change it. Noise that neighbouring pixels share is
        underestimated.
        """
        if self.tissue_noise is not None:
            return self.tissue_noise
        within_slices = self.usable & (np.abs(self.sampled.across) < _STEEPEST_FOR_NOISE)
        chosen = self.sampled.take(within_slices if within_slices.any() else self.usable)
        values, valid = chosen.values, chosen.valid
        rough = values[:, 2:-2] - 0.5 * (values[:, :-4] + values[:, 4:])
        rough = np.abs(rough[valid[:, 2:-2] & valid[:, :-4] & valid[:, 4:]])
        return 1.4826 * float(np.median(rough)) / np.sqrt(1.5) if len(rough) else 0.0

    @cached_property
    def thick_cortex(self) -> ThickCortex:
        """In-plane blur and cortical density of this scan: given, or estimated from its thick cortex."""
        return estimate_from_thick_cortex(
            self.sampled, self.first_features, self.usable, self.settings, self.noise
        )

    @cached_property
    def line_blur(self) -> LineBlur:
        """Blur of the scan along the normals."""
        return self.thick_cortex.blur.along(self.sampled.across, self.sampled.slice_thickness_mm)

    @cached_property
    def constant_density_fit(self) -> LayerFit:
        """Three layers with the density of the thick cortex everywhere."""
        return self.fit(self.thick_cortex.density)

    def fit(self, cortical_density: float | np.ndarray | None, near: LayerFit | None = None) -> LayerFit:
        """Fit three layers with the blur of the scan; the density is fitted, too, if it is None.

        `near` are fits at a similar density, to start from.
        """
        blur, highest = self.thick_cortex.blur, self.settings.highest_density
        return fit_three_layers(
            self.profiles, self.features, blur, cortical_density, highest, self.noise, near
        )


@dataclass(frozen=True)
class Estimates:
    """Result of a method at the n points of a `Scan`.

    Attributes
    ----------
    outer_edge, thickness : ndarray of shape (n,)
        Depth of the periosteal edge below the given surface, and cortical thickness, in mm.
    cortical_density, trabecular_density : ndarray of shape (n,)
        In the unit of the profiles.
    residual : ndarray of shape (n,)
        Root mean square difference between profile and model.
    failed : ndarray of bool, shape (n,)
        Where the fit did not converge or broke its bounds.
    no_cortex : ndarray of bool, shape (n,)
        Where no step of density could be a cortex.
    used : dict
        What the method estimated from the scan, for the record.
    thickness_sd, cortical_density_sd, mass_sd, outer_edge_sd : ndarray of shape (n,) or None
        Standard deviations of thickness (mm), cortical density, mass surface density and outer edge (mm), if
        the method gives them.
    local_thickness : ndarray of shape (n,) or None
        In mm, of each line alone, where the method gives the thickness that neighbours share.
    """

    outer_edge: np.ndarray
    thickness: np.ndarray
    cortical_density: np.ndarray
    trabecular_density: np.ndarray
    residual: np.ndarray
    failed: np.ndarray
    no_cortex: np.ndarray
    used: dict
    thickness_sd: np.ndarray | None = None
    cortical_density_sd: np.ndarray | None = None
    mass_sd: np.ndarray | None = None
    outer_edge_sd: np.ndarray | None = None
    local_thickness: np.ndarray | None = None
