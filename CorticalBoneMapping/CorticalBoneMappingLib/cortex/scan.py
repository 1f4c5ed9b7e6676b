"""What every method is given: the profiles of one scan, and what the scan says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..surface import Surface
from .landmarks import Landmarks, find_landmarks
from .profiles import Profiles
from .scan_estimates import ThickCortex, estimate_from_thick_cortex
from .settings import CortexSettings

_NOISE_BAND_MM = (1.5, 5.0)  # outside the edge


@dataclass(frozen=True)
class Scan:
    """One bone in one scan, ready to be measured.

    Attributes
    ----------
    surface : Surface
        The whole periosteal surface; profile i belongs to its point ``points[i]``.
    points : ndarray of int, shape (n,)
        The points to measure.
    profiles : Profiles
        Of those points, in the calibrated unit (HU without calibration).
    usable : ndarray of bool, shape (n,)
        No metal on the line, and the line lies in the scan where the cortex is expected.
    settings : CortexSettings
    """

    surface: Surface
    points: np.ndarray
    profiles: Profiles
    usable: np.ndarray
    settings: CortexSettings

    @cached_property
    def landmarks(self) -> Landmarks:
        """First sight of edges, peak and backgrounds."""
        return find_landmarks(self.profiles)

    @cached_property
    def noise(self) -> float:
        """Standard deviation of the soft tissue outside, over all usable points."""
        depth, edge = self.profiles.depth[self.usable], self.landmarks.outer_edge[self.usable]
        band = (depth > (edge - _NOISE_BAND_MM[1])[:, None]) & (depth < (edge - _NOISE_BAND_MM[0])[:, None])
        band &= depth >= self.landmarks.outer_limit[self.usable][:, None]
        away = np.abs(self.profiles.values[self.usable] - self.landmarks.outside[self.usable][:, None])[band]
        return 1.4826 * float(np.median(away)) if len(away) else 0.0

    @cached_property
    def thick_cortex(self) -> ThickCortex:
        """In-plane blur and cortical density of this scan: given, or read off its thick cortex."""
        return estimate_from_thick_cortex(self.profiles, self.landmarks, self.usable, self.settings)


@dataclass(frozen=True)
class Estimates:
    """What a method found at the n points of a `Scan`.

    Attributes
    ----------
    outer_edge, thickness : ndarray of shape (n,)
        Depth of the periosteal edge below the given surface, and cortical thickness, in mm.
    cortical_density, trabecular_density : ndarray of shape (n,)
        In the unit of the profiles.
    residual : ndarray of shape (n,)
        Root mean square difference between profile and model.
    failed : ndarray of bool, shape (n,)
        The fit did not converge or broke its bounds.
    no_cortex : ndarray of bool, shape (n,)
        No step of density that could be a cortex.
    used : dict
        What the method took from the scan, for the record.
    """

    outer_edge: np.ndarray
    thickness: np.ndarray
    cortical_density: np.ndarray
    trabecular_density: np.ndarray
    residual: np.ndarray
    failed: np.ndarray
    no_cortex: np.ndarray
    used: dict
