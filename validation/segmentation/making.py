"""Make the scan of a case: people, fields, contrast agent, metal, and how the voxels are stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.special import erf

from CorticalBoneMappingLib.anatomy import measure_anatomy
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.simulation import simulate_hip, simulate_scan
from CorticalBoneMappingLib.simulation.hip.bone import Hip
from CorticalBoneMappingLib.simulation.scanner.field import rotation
from CorticalBoneMappingLib.simulation.scanner.scanner import FEMUR_LABEL

from ..measurement.plan import PHYSICAL as PHYSICAL_SCANNER
from ..measurement.plan import Case as MeasurementCase
from ..measurement.scans import make_scan
from .both_hips import LEFT_FEMUR_LABEL, scan_both_hips
from .plan import FEET_FIRST, NAIL, NO_TOP, NO_TROCHANTER, PAIR, PHYSICAL, PRONE, REAL, SAGITTAL, Case
from .real_femur import real_hip

_OTHER_BONE = 2
_HEAD_LEFT, _TROCHANTER_OUTSIDE_MM = 0.6, 6.0  # of the radius above the head's centre; of the bone's edge
_LEG_DEG = {"right": (3.0, -4.0, 8.0), "left": (-2.0, 2.0, -10.0)}
_WIDE_PIXELS, _AIR_HU = 512, -1000.0
_COUCH_HU, _COUCH_MM, _COUCH_RADIUS_MM = -500.0, 12.0, 600.0
_NAIL_RADIUS_MM, _METAL_HU = 5.5, 12000.0
_HIGHEST_HU = 3071.0
# Lateral, anterior and superior of the head's centre.
_ARTERY_MM = ((-16.0, 46.0, 90.0), (-8.0, 44.0, 0.0), (-14.0, 32.0, -60.0), (-20.0, 24.0, -170.0))
_ARTERY_RADIUS_MM, _ARTERY_HU = 4.5, 350.0


@dataclass(frozen=True)
class TrueFemur:
    """What is known of one femur in a scan.

    Attributes
    ----------
    side : str
        ``"left"`` or ``"right"``.
    label : int
        Its value in the label map.
    surface : Surface
        Periosteal, of the whole bone, with ``cortical_thickness``; RAS mm.
    head_centre : ndarray of shape (3,)
        RAS mm.
    head_radius_mm : float
        Of the head.
    """

    side: str
    label: int
    surface: Surface
    head_centre: np.ndarray
    head_radius_mm: float


@dataclass(frozen=True)
class KnownScan:
    """A CT of known truth.

    Attributes
    ----------
    volume, labelmap : Volume
        The CT, and exact labels: 2 is other bone, each femur has one of its own.
    femurs : tuple of TrueFemur
        One, or right and left.
    """

    volume: Volume
    labelmap: Volume
    femurs: tuple[TrueFemur, ...]


def make(case: Case, measurement_cache: Path) -> KnownScan:
    """Make a scan.

    Parameters
    ----------
    case : Case
        Which.
    measurement_cache : Path
        The cache of the measurement's benchmark, which may hold scans of the physical scanner.

    Returns
    -------
    KnownScan
    """
    if case.kind == PAIR:
        return _pair(case)
    if case.kind == PHYSICAL:
        hardened = case.settings.slice_spacing_mm > 1.0
        other = MeasurementCase("accuracy", case.bone, PHYSICAL_SCANNER, case.seed, hardened=hardened)
        made = make_scan(other, measurement_cache)
        return KnownScan(made.volume, made.labelmap, (_truth(made.hip),))
    hip = _hip(case)
    made = simulate_scan(hip, case.settings)
    known = KnownScan(made.volume, made.labelmap, (_truth(made.hip),))
    if case.kind == NAIL:
        known = _with_nail(known, case.settings.psf_sigma_mm)
    if case.vessel:
        known = _with_artery(known, case.settings.psf_sigma_mm)
    return stored_as(cropped(known, case.cut), case.stored)


def _hip(case: Case) -> Hip:
    if case.kind == REAL:
        return real_hip(case.name, case.gap_mm)
    return simulate_hip(case.seed, case.side, joint_space_mm=case.gap_mm)


def _truth(hip: Hip, label: int = FEMUR_LABEL) -> TrueFemur:
    return TrueFemur(hip.side, label, hip.femur.surface, hip.head_centre, hip.head_radius_mm)


def _pair(case: Case) -> KnownScan:
    hips = [
        simulate_hip(case.seed, side, joint_space_mm=gap).moved(rotation(_LEG_DEG[side]), np.zeros(3))
        for side, gap in (("right", case.gap_mm), ("left", 6.0 - case.gap_mm))
    ]
    made = scan_both_hips(*hips, case.settings)
    truth = (_truth(made.right), _truth(made.left, LEFT_FEMUR_LABEL))
    return _on_a_couch(KnownScan(made.volume, made.labelmap, truth))


def _on_a_couch(known: KnownScan) -> KnownScan:
    """Give slices of 512 × 512 pixels, air around the body and a couch under it."""
    _, *size = known.volume.array.shape
    before = [max((_WIDE_PIXELS - count) // 2, 0) for count in size]
    after = [max(_WIDE_PIXELS - count, 0) - first for count, first in zip(size, before)]
    width = [(0, 0), *zip(before, after)]
    matrix = known.volume.ijk_to_ras.copy()
    matrix[:3, 3] = known.volume.points_of([-before[1], -before[0], 0])
    hu = np.pad(known.volume.array, width, constant_values=_AIR_HU)
    labels = Volume(np.pad(known.labelmap.array, width), matrix, known.labelmap.source)
    wide = replace(known.volume, array=hu, ijk_to_ras=matrix)
    rows, columns = np.indices(hu.shape[1:])
    x, y, _ = np.moveaxis(wide.points_of(np.stack([columns, rows, 0 * rows], axis=-1)), -1, 0)
    body = (hu > -300.0).any(axis=(0, 2))
    lowest = wide.points_of([0, np.flatnonzero(body)[-1], 0])[1] - 3.0
    # A shell of a large circle, hollow upward.
    depth = np.hypot(x - x.mean(), y - lowest - _COUCH_RADIUS_MM) - _COUCH_RADIUS_MM
    couch = (depth > 0) & (depth < _COUCH_MM) & (y < y.max())
    hu[:, couch] = np.maximum(hu[:, couch], _COUCH_HU)
    return KnownScan(wide, labels, known.femurs)


def _with_nail(known: KnownScan, blur_mm: float) -> KnownScan:
    """Drive a nail down the shaft; it is as bright as the scanner can show."""
    femur = known.femurs[0]
    landmarks = measure_anatomy(femur.surface, femur.side).landmarks
    top, bottom = landmarks["shaft_proximal"], landmarks["shaft_distal"]
    along = (top - bottom) / np.linalg.norm(top - bottom)
    line = np.array([bottom - 200.0 * along, top + 15.0 * along])
    return replace(known, volume=with_tube(known.volume, line, _NAIL_RADIUS_MM, _METAL_HU, blur_mm))


def _with_artery(known: KnownScan, blur_mm: float) -> KnownScan:
    """Fill the femoral artery with contrast agent; bone keeps its HU."""
    femur = known.femurs[0]
    lateral = 1.0 if femur.side == "right" else -1.0
    line = np.array(_ARTERY_MM) * [lateral, 1.0, 1.0] + femur.head_centre
    filled = with_tube(known.volume, line, _ARTERY_RADIUS_MM, _ARTERY_HU, blur_mm)
    hu = np.where(known.labelmap.array > 0, known.volume.array, np.maximum(filled.array, known.volume.array))
    return replace(known, volume=replace(filled, array=hu))


def with_tube(volume: Volume, line: np.ndarray, radius_mm: float, hu: float, blur_mm: float) -> Volume:
    """Draw a tube with blurred walls into a CT.

    Parameters
    ----------
    volume : Volume
        In HU.
    line : ndarray of shape (n, 3)
        Its axis as a polyline, RAS mm.
    radius_mm : float
        Of the tube.
    hu : float
        Inside it; what the scanner cannot show is clipped.
    blur_mm : float
        Standard deviation of the scanner's blur.

    Returns
    -------
    Volume
    """
    array = volume.array.copy()
    size = np.array(array.shape[::-1])
    reach = (radius_mm + 4.0 * blur_mm) / volume.spacing_mm
    for start, stop in pairwise(line):
        ends = volume.index_of(np.array([start, stop]))
        low = np.clip(np.floor(ends.min(axis=0) - reach).astype(int), 0, size)
        high = np.clip(np.ceil(ends.max(axis=0) + reach).astype(int) + 1, 0, size)
        box = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1]))
        index = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
        offset = volume.points_of(index) - start
        along = stop - start
        share = np.clip(offset @ along / (along @ along), 0.0, 1.0)
        depth = radius_mm - np.linalg.norm(offset - share[..., None] * along, axis=-1)
        filled = (0.5 + 0.5 * erf(depth / (np.sqrt(2.0) * blur_mm))).transpose(2, 1, 0)
        drawn = array[box] + filled * (hu - array[box])
        array[box] = np.where(filled > 1e-3, np.clip(np.round(drawn), None, _HIGHEST_HU), array[box])
    return replace(volume, array=array)


def cropped(known: KnownScan, cut: str) -> KnownScan:
    """Leave the top of the head, or the lateral edge of the greater trochanter, out of the field."""
    femur, volume = known.femurs[0], known.volume
    size = volume.array.shape
    box = [slice(0, size[2]), slice(0, size[1]), slice(0, size[0])]
    if cut == NO_TOP:
        top = femur.head_centre + _HEAD_LEFT * femur.head_radius_mm * np.array([0.0, 0.0, 1.0])
        box[2] = slice(0, int(volume.index_of(top)[2]))
    if cut == NO_TROCHANTER:
        outward = 1.0 if femur.side == "right" else -1.0
        edge = outward * (femur.surface.points[:, 0] * outward).max() - outward * _TROCHANTER_OUTSIDE_MM
        column = int(volume.index_of(np.array([edge, *femur.head_centre[1:]]))[0])
        box[0] = slice(column, size[2]) if outward > 0 else slice(0, column)
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = volume.points_of([part.start for part in box])
    cut_out = tuple(box[::-1])
    labels = replace(known.labelmap, array=known.labelmap.array[cut_out], ijk_to_ras=matrix)
    return replace(
        known, volume=replace(volume, array=volume.array[cut_out], ijk_to_ras=matrix), labelmap=labels
    )


def stored_as(known: KnownScan, stored: str) -> KnownScan:
    """Give the same scan with its voxels in another order; the matrix says so."""
    flipped = {FEET_FIRST: (0, 2), PRONE: (1, 2)}.get(stored, ())

    def turned(volume: Volume) -> Volume:
        matrix, array = volume.ijk_to_ras.copy(), volume.array
        start = [0, 0, 0]
        for axis in flipped:  # of the array: k, j, i
            start[2 - axis] = array.shape[axis] - 1
            matrix[:3, 2 - axis] *= -1.0
        matrix[:3, 3] = volume.points_of(start)
        array = np.flip(array, flipped)
        if stored == SAGITTAL:
            array, matrix = array.transpose(2, 0, 1), matrix[:, [1, 2, 0, 3]]
            volume = replace(volume, slice_thickness_mm=None)
        return replace(volume, array=np.ascontiguousarray(array), ijk_to_ras=matrix)

    return replace(known, volume=turned(known.volume), labelmap=turned(known.labelmap))


def other_bone(known: KnownScan) -> np.ndarray:
    """Voxels of bone that is not a femur."""
    return known.labelmap.array == _OTHER_BONE
