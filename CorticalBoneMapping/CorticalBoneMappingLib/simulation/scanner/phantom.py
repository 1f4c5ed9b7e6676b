"""A density phantom under the patient: five rods of known K2HPO4-equivalent density."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.special import erf

from ...io.files import write_text

# A typical certificate of a Mindways solid phantom: K2HPO4 equivalent and water term, mg/cm³.
ROD_DENSITY = (375.8, 157.0, 58.9, -53.4, -51.8)
ROD_WATER = (923.2, 1119.5, 1103.6, 1057.0, 1012.2)
# Mindways QCT certificate; its own copy, since the simulator shares no code with the measurement.
_MINDWAYS_SLOPE, _MINDWAYS_OFFSET = -0.2174, 999.6
_ROD_RADIUS_MM, _ROD_DISTANCE_MM = 6.5, 19.0
_BLOCK_HU = 25.0
# The table names the inner part of a rod, where the blur of a 1 mm voxel does not reach.
_MEASURED_RADIUS_MM, _MEASURED_LENGTH_MM = 4.0, 20.0


@dataclass(frozen=True)
class Phantom:
    """Rods along S in a block of plastic, longer than any scan.

    Attributes
    ----------
    centre : ndarray of shape (3,)
        Of the block, RAS mm.
    slope, intercept : float
        HU = slope · density + intercept of the scanner (σ_CT in HU per mg/cm³, β_CT in HU).
    """

    centre: np.ndarray
    slope: float
    intercept: float

    HALF_WIDTH_MM: ClassVar[float] = 49.0
    HALF_HEIGHT_MM: ClassVar[float] = 10.0

    @property
    def rod_hu(self) -> np.ndarray:
        """HU of each rod: water + σ_ref ρ + β_ref, with σ_CT = σ_ref − 0.2174, β_CT = β_ref + 999.6."""
        slope, offset = self.slope - _MINDWAYS_SLOPE, self.intercept - _MINDWAYS_OFFSET
        return np.array(ROD_WATER) + slope * np.array(ROD_DENSITY) + offset

    @property
    def rod_centres(self) -> np.ndarray:
        """Places in the rods half way along them, RAS mm, shape (5, 3)."""
        along = (np.arange(len(ROD_DENSITY)) - 2) * _ROD_DISTANCE_MM
        return self.centre + along[:, None] * [1.0, 0.0, 0.0]

    @property
    def corners(self) -> np.ndarray:
        """Of the block's cross-section half way along it, RAS mm, shape (4, 3)."""
        signs = np.array([[-1, -1, 0], [-1, 1, 0], [1, -1, 0], [1, 1, 0]])
        return self.centre + signs * [self.HALF_WIDTH_MM, self.HALF_HEIGHT_MM, 0.0]

    def add_to(self, hu: np.ndarray, points: np.ndarray, blur_mm: float) -> np.ndarray:
        """Add the phantom to an image.

        Parameters
        ----------
        hu : ndarray of shape (n,)
            The image without it.
        points : ndarray of shape (n, 3)
            Where, RAS mm.
        blur_mm : float
            Standard deviation of the scanner's blur, which the edges show.

        Returns
        -------
        ndarray of shape (n,)
        """
        offset = np.abs(points[:, :2] - self.centre[:2])
        depth = np.minimum(self.HALF_WIDTH_MM - offset[:, 0], self.HALF_HEIGHT_MM - offset[:, 1])
        hu = hu + _edge(depth, blur_mm) * (_BLOCK_HU - hu)
        for rod, centre in zip(self.rod_hu, self.rod_centres):
            depth = _ROD_RADIUS_MM - np.hypot(*(points[:, :2] - centre[:2]).T)
            hu = hu + _edge(depth, blur_mm) * (rod - _BLOCK_HU)
        return hu

    def write_table(self, path: str | Path) -> None:
        """Write the table of rods that a calibration reads: density, water term, place and size."""
        lines = ["# equivalent: K2HPO4", "density,water,x_ras,y_ras,z_ras,radius_mm,length_mm"]
        for density, water, centre in zip(ROD_DENSITY, ROD_WATER, self.rod_centres):
            place = ",".join(f"{value:.2f}" for value in centre)
            lines.append(f"{density},{water},{place},{_MEASURED_RADIUS_MM},{_MEASURED_LENGTH_MM}")
        write_text(path, "\n".join(lines) + "\n")


def phantom_under(posterior_edge_mm: float, middle: np.ndarray, slope: float, intercept: float) -> Phantom:
    """Place a phantom below the skin of a lying patient.

    Parameters
    ----------
    posterior_edge_mm : float
        RAS y of the skin.
    middle : ndarray of shape (3,)
        Above the middle of the phantom, RAS mm.
    slope, intercept : float
        Of the scanner, as in `Phantom`.

    Returns
    -------
    Phantom
    """
    return Phantom(
        np.array([middle[0], posterior_edge_mm - 2.0 - Phantom.HALF_HEIGHT_MM, middle[2]]), slope, intercept
    )


def _edge(depth: np.ndarray, blur_mm: float) -> np.ndarray:
    return 0.5 * (1.0 + erf(depth / (np.sqrt(2.0) * blur_mm)))
