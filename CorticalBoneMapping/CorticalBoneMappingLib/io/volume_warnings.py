"""Warn of what makes numbers from a CT less certain: oblique, thick or resampled slices.

Between the slices of the scanner, a resampled image holds weighted means of them, which are blurred more than
the others. Such a slice follows from its neighbours without an error; the scanner's have noise of their own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..core.volume import Volume

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


_FACTORS = (2, 3, 4, 5)
_TAPS = 3  # slices of the scanner on each side from which one between them is predicted: enough for splines
_FEWEST_SLICES = 24
_COLUMNS = 1500  # looked at
# Share of the error of the worst prediction. On simulated hips it is 0.02 for linear interpolation, 0.06 for
# splines, 0.16 for a windowed sinc, and above 0.95 for slices of the scanner.
_NOTHING = 0.25


def without_interpolated_slices(volume: Volume) -> Volume:
    """Leave out slices that were interpolated between others, with a warning.

    Found are those of a whole number for each slice of the scanner, which then is among them.

    Parameters
    ----------
    volume : Volume
        CT in HU.

    Returns
    -------
    Volume
        The same if there are none.
    """
    first, step = 0, 1
    columns = _columns(volume.array)
    while (found := _interpolated(columns)) is not None:
        begin, factor = found
        columns = columns[begin::factor]
        first, step = first + begin * step, step * factor
    if step == 1:
        return volume
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = volume.points_of(np.array([0, 0, first]))
    matrix[:3, 2] *= step
    spacing = float(volume.spacing_mm[2])
    warning = (
        f"The slices were resampled from {spacing * step:.3g} mm to {spacing:.3g} mm: those between "
        "hold nothing of their own and were left out. Measure the original scan if you have it."
    )
    return replace(
        volume,
        array=volume.array[first::step],
        ijk_to_ras=matrix,
        warnings=(*volume.warnings, warning),
    )


def _columns(array: np.ndarray) -> np.ndarray:
    """Some columns of voxels across the slices, shape (n_slices, n_columns), none of them constant."""
    stride = max(1, int(np.sqrt(array[0].size / _COLUMNS)))
    columns = (
        array[:, stride // 2 :: stride, stride // 2 :: stride].reshape(len(array), -1).astype(np.float64)
    )
    return columns[:, np.ptp(columns, axis=0) > 0]


def _interpolated(columns: np.ndarray) -> tuple[int, int] | None:
    """First slice of the scanner, and how many there are for each; None where none is interpolated."""
    for factor in _FACTORS:
        if len(columns) < _FEWEST_SLICES * factor or not columns.shape[1]:
            continue
        errors = [_error_of_prediction(columns[begin:], factor) for begin in range(factor)]
        best = int(np.argmin(errors))
        if errors[best] < _NOTHING * max(errors):  # slices next to the scanner's predict nearly as well
            return best, factor
    return None


def _error_of_prediction(columns: np.ndarray, factor: int) -> float:
    """Error with which every `factor`-th slice predicts those between."""
    knots = columns[::factor]
    count = len(knots) - 2 * _TAPS + 1
    near = np.stack([knots[tap : tap + count] for tap in range(2 * _TAPS)], axis=-1).reshape(-1, 2 * _TAPS)
    squares = 0.0
    for offset in range(1, factor):
        between = columns[(_TAPS - 1) * factor + offset :: factor][:count]
        size = between.size
        used = near[:size]
        weights = np.linalg.lstsq(used.T @ used, used.T @ between.ravel(), rcond=None)[0]
        squares += float(np.mean((used @ weights - between.ravel()) ** 2))
    return float(np.sqrt(squares / (factor - 1)))
