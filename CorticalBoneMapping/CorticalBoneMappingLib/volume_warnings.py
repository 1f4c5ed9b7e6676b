"""What the grid of a CT says that makes numbers from it less certain."""

from __future__ import annotations

import numpy as np

from .volume import Volume

_THICK_MM = 3.0
_AXIAL_DEG = 20.0
_ANISOTROPIC = 1.5


def direction_warnings(normal: np.ndarray, limit_deg: float = _AXIAL_DEG) -> list[str]:
    """Warn of slices that are not axial: a scanner makes axial ones, so these are a reformat.

    Parameters
    ----------
    normal : ndarray of shape (3,)
        Across the slices, RAS or LPS.
    limit_deg : float
        How far it may be from the axis of the body.
    """
    share = np.abs(normal) / np.linalg.norm(normal)
    angle = float(np.degrees(np.arccos(np.clip(share[2], 0.0, 1.0))))
    if angle <= limit_deg:
        return []
    name = ("sagittal", "coronal", "oblique")[int(np.argmax(share)) if share.max() > 0.94 else 2]
    return [
        f"The slices are {name}, {angle:.0f}° from axial: a reformat of another series, whose thickness and "
        "blur are not known. Use the original axial series."
    ]


def file_warnings(volume: Volume) -> list[str]:
    """Warn of thick slices that are not axial in a CT that was not read from DICOM."""
    spacing = volume.spacing_mm
    across = int(np.argmax(spacing))
    if spacing[across] < _ANISOTROPIC * np.median(spacing):
        return []
    return direction_warnings(volume.ijk_to_ras[:3, across])


def thickness_warnings(volume: Volume) -> list[str]:
    """Warn of slices so thick that a cortex is not seen apart from what lies above and below it."""
    spacing = float(volume.spacing_mm.max())
    thickness = max(volume.slice_thickness_mm or 0.0, spacing)
    if thickness <= _THICK_MM:
        return []
    how = f"{thickness:.3g} mm thick" if thickness > 1.01 * spacing else f"{spacing:.3g} mm apart"
    return [
        f"The slices are {how}; above {_THICK_MM:g} mm, thickness and density are less certain, most of all "
        "where the cortex is thin or oblique to the slices."
    ]
