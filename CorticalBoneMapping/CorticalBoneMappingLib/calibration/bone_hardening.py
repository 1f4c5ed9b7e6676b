"""Correct beam hardening by bone, predicted from the CT itself.

After Joseph and Spital 1978, J Comput Assist Tomogr 2:100: bone seen in the CT is projected; the error that
the scanner's water correction leaves in each ray is reconstructed, and subtracted from the CT. The error in
bone is split in two: a smooth share of its own mineral, which the CT shows sharply, and a smooth rest; so
neither noise nor blur is added. The reference is mineral under the patient, where rods of a phantom lie.

The same rest is seen in the muscle between the bones, as dark and bright bands of some HU: if the CT shows
them, it needs the correction. Some scanners have made it already.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from ..core.volume import Volume
from .attenuation import WATER_IN_SOLUTION, Tube
from .body_section import PIXEL_MM, SLICE_MM, BodySection, ParallelBeam, Pelvis, water_and_mineral

ASSUMED_KVP = 120.0
"""Tube voltage where the scan does not state it; convention."""


@dataclass(frozen=True)
class HardeningSettings:
    """Numbers of the correction; chosen by hand and not tuned where no origin is given.

    Attributes
    ----------
    residual_relative_sd : float
        Uncertainty of bone density after a correction that the CT needed
        (``python -m validation.beam_hardening``; Docs/validation/beam_hardening.md).
    unknown_relative_sd : float
        The same where the CT does not show whether it needed the correction.
    decisive_sd, least_strength : float
        A CT is not corrected if its bands are weaker than `least_strength` of the predicted ones, with a
        standard deviation below `decisive_sd`.
    n_passes, first_water_mm, n_slices_at_once : int, float, int
        Iterations (the second knows that bone is denser than it looks), water before the first, and slices
        in memory. Numerical.
    axial : float
        Least cosine between slice axis and patient's axis.
    muscle_hu, muscle_spread_hu, fat_below_hu, bone_above_hu : tuple of float, float, float, float
        Muscle that can show the bands: its HU, distance from its median, and what is fat or bone.
    from_bone_px, from_fat_px, smooth_px : int, int, float
        Width of the windows without bone or fat, and of the smoothing, in pixels of 2 mm.
    band_mm, block_mm, least_blocks : float, float, int
        Neighbourhood whose mean is taken off; blocks that count as independent; least number of them.
    """

    residual_relative_sd: float = 0.025
    unknown_relative_sd: float = 0.05
    decisive_sd: float = 0.25
    least_strength: float = 0.5
    n_passes: int = 2
    first_water_mm: float = 150.0
    n_slices_at_once: int = 16
    axial: float = 0.9
    muscle_hu: tuple[float, float] = (0.0, 110.0)
    muscle_spread_hu: float = 20.0
    fat_below_hu: float = -10.0
    bone_above_hu: float = 150.0
    from_bone_px: int = 5
    from_fat_px: int = 5
    smooth_px: float = 1.0
    band_mm: float = 15.0
    block_mm: float = 30.0
    least_blocks: int = 12


_SETTINGS = HardeningSettings()


@dataclass(frozen=True)
class HardeningCorrection:
    """A CT after the correction, or uncorrected with the reason.

    Attributes
    ----------
    volume : Volume
        HU as if all bone were seen by the beam that sees the rods under the patient.
    applied : bool
        Whether it was corrected.
    statement : str
        What was done and why, a sentence.
    kvp : float
        Of the tube.
    kvp_known : bool
        Whether that was given, not assumed.
    strength, strength_sd : float
        How strongly the CT shows the predicted bands in muscle: 1 as predicted, 0 none; not-a-number
        where too little muscle is seen.
    bone_share : float
        Share of its density that dense bone had lost by the prediction.
    """

    volume: Volume
    applied: bool
    statement: str
    kvp: float
    kvp_known: bool
    strength: float = float("nan")
    strength_sd: float = float("nan")
    bone_share: float = float("nan")

    @property
    def residual_relative_sd(self) -> float:
        """Relative uncertainty of bone density after the correction."""
        seen = self.strength_sd < _SETTINGS.decisive_sd and self.strength >= _SETTINGS.least_strength
        return _SETTINGS.residual_relative_sd if seen else _SETTINGS.unknown_relative_sd

    def describe(self) -> dict[str, Any]:
        """Return everything but the voxels as plain values, for a provenance file."""
        names = ("applied", "kvp", "kvp_known", "strength", "strength_sd", "bone_share", "statement")
        return {name: getattr(self, name) for name in names}


def correct_hardening(
    volume: Volume,
    femur: np.ndarray,
    side: str,
    kvp: float | None = None,
    *,
    tube: Tube | None = None,
    pelvis: Pelvis | None = None,
    always: bool = False,
) -> HardeningCorrection:
    """Correct beam hardening by bone, if the CT shows that it needs it.

    Parameters
    ----------
    volume : Volume
        The CT in HU, axial.
    femur : ndarray of shape (n, 3)
        Points of the femur, RAS mm.
    side : {"left", "right"}
        Of the femur.
    kvp : float, optional
        Of the tube; default the volume's own, else 120.
    tube : Tube, optional
        Default one of that voltage with the usual filter.
    pelvis : Pelvis, optional
        The body where the CT ends; default a usual one.
    always : bool
        Correct even a CT that shows no bands.

    Returns
    -------
    HardeningCorrection
    """
    tube_kvp = kvp if kvp is not None else volume.kvp
    known, tube_kvp = tube_kvp is not None, ASSUMED_KVP if tube_kvp is None else tube_kvp
    if (
        abs(volume.slice_normal[2]) < _SETTINGS.axial
        or abs(volume.ijk_to_ras[0, 0]) < _SETTINGS.axial * volume.spacing_mm[0]
    ):
        text = "Beam hardening by bone is not corrected: the slices are not axial."
        return HardeningCorrection(volume, False, text, tube_kvp, known)
    section = BodySection.around(volume, femur, side, pelvis or Pelvis())
    predicted = predict_hardening(section, tube or Tube(tube_kvp))
    strength, sd = band_strength(predicted.rest_hu, section)
    applied = bool(always or not (sd < _SETTINGS.decisive_sd and strength < _SETTINGS.least_strength))
    if applied:
        volume = _corrected(volume, section, predicted)
    text = _statement(applied, tube_kvp, known, strength, sd, predicted.bone_share)
    return HardeningCorrection(volume, applied, text, tube_kvp, known, strength, sd, predicted.bone_share)


@dataclass(frozen=True)
class PredictedHardening:
    """What beam hardening adds to a CT: ``gain · mineral · 1000 + rest_hu`` HU.

    Attributes
    ----------
    gain : ndarray of shape (n_slices, n_rows, n_columns)
        Brightness of mineral there, less that under the patient; mostly negative.
    rest_hu : ndarray of shape (n_slices, n_rows, n_columns)
        The smooth rest.
    brightness : float
        Attenuation of 1 g/cm³ of mineral under the patient, relative to water.
    bone_share : float
        Share of its density that dense bone loses.
    """

    gain: np.ndarray
    rest_hu: np.ndarray
    brightness: float
    bone_share: float


def predict_hardening(section: BodySection, tube: Tube) -> PredictedHardening:
    """Project the bones, and reconstruct the error of the rays.

    Parameters
    ----------
    section : BodySection
        The body.
    tube : Tube
        The beam.

    Returns
    -------
    PredictedHardening
    """
    beam = ParallelBeam(section.hu.shape[1:], PIXEL_MM)
    reference = float(tube.mineral_brightness(np.array([_SETTINGS.first_water_mm]), np.zeros(1))[0])
    lost = np.zeros_like(section.hu)
    for _ in range(_SETTINGS.n_passes):  # the second knows that bone is denser than it looks
        water, mineral = section.tissues(lost, reference)
        paths = beam.project(water), beam.project(mineral)
        # A trace of mineral at a pixel is as bright as the mean over the rays that meet there.
        brightness = beam.back_project(tube.mineral_brightness(*paths))
        reference = section.under_patient(brightness)
        gain = brightness - reference
        wrong = tube.water_equivalent(*paths) - (paths[0] + reference * paths[1])
        rest = 1000.0 * (beam.reconstruct(wrong) - gain * beam.reconstruct(paths[1]))
        lost = 1000.0 * gain * mineral + rest
    dense = np.isfinite(section.hu) & (mineral > 0.5 * mineral.max())
    full = 1000.0 * mineral[dense] * (reference + WATER_IN_SOLUTION[1])
    share = float(np.median(-lost[dense] / full)) if dense.any() and mineral.max() > 0 else 0.0
    return PredictedHardening(gain, rest, reference, share)


def band_strength(rest_hu: np.ndarray, section: BodySection) -> tuple[float, float]:
    """Measure how strongly muscle in the CT shows the predicted bands.

    In muscle away from fat and bone, what differs from the neighbourhood (15 mm) in the smoothed CT is
    regressed on the same of the prediction. The standard deviation comes from blocks of 30 mm: muscle
    differs from place to place, not from voxel to voxel.

    Parameters
    ----------
    rest_hu : ndarray of shape (n_slices, n_rows, n_columns)
        The smooth rest of `predict_hardening`.
    section : BodySection
        The body.

    Returns
    -------
    strength, sd : float
        Not-a-number where fewer than 12 blocks hold muscle.
    """
    hu = np.nan_to_num(section.hu, nan=-1000.0)
    smooth = ndimage.gaussian_filter(hu, (0.0, _SETTINGS.smooth_px, _SETTINGS.smooth_px))
    muscle = (
        ndimage.maximum_filter(hu, (1, _SETTINGS.from_bone_px, _SETTINGS.from_bone_px))
        < _SETTINGS.bone_above_hu
    ) & (
        ndimage.minimum_filter(hu, (1, _SETTINGS.from_fat_px, _SETTINGS.from_fat_px)) > _SETTINGS.fat_below_hu
    )
    muscle &= (smooth > _SETTINGS.muscle_hu[0]) & (smooth < _SETTINGS.muscle_hu[1])
    if not muscle.any():
        return float("nan"), float("nan")
    muscle &= np.abs(smooth - np.median(smooth[muscle])) < _SETTINGS.muscle_spread_hu
    seen, expected = _bands(smooth, muscle)[muscle], _bands(rest_hu, muscle)[muscle]
    block = _blocks(section, muscle)
    both, own = np.bincount(block, seen * expected), np.bincount(block, expected**2)
    filled = own > 0
    if filled.sum() < _SETTINGS.least_blocks:
        return float("nan"), float("nan")
    strength = both.sum() / own.sum()
    scatter = (both - strength * own)[filled]
    return float(strength), float(np.sqrt(np.sum(scatter**2)) / own.sum())


def _bands(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Subtract the mean of the counted neighbourhood from an image."""
    width = (0.0, _SETTINGS.band_mm / PIXEL_MM, _SETTINGS.band_mm / PIXEL_MM)
    share = ndimage.gaussian_filter(where.astype(np.float32), width)
    total = ndimage.gaussian_filter(np.where(where, image, 0.0).astype(np.float32), width)
    return image - total / np.maximum(share, 1e-6)


def _blocks(section: BodySection, where: np.ndarray) -> np.ndarray:
    """Number the block in which each chosen pixel lies."""
    k, j, i = np.nonzero(where)
    in_slice, across = (max(1, round(_SETTINGS.block_mm / size)) for size in (PIXEL_MM, SLICE_MM))
    shape = np.array(section.hu.shape) // [across, in_slice, in_slice] + 1
    return np.ravel_multi_index((k // across, j // in_slice, i // in_slice), tuple(shape))


def _corrected(volume: Volume, section: BodySection, predicted: PredictedHardening) -> Volume:
    array = np.empty_like(volume.array, dtype=np.float32)
    shape = volume.array.shape
    for start in range(0, shape[0], _SETTINGS.n_slices_at_once):  # a few slices at a time: memory
        some = slice(start, min(start + _SETTINGS.n_slices_at_once, shape[0]))
        hu = volume.array[some]
        mineral = water_and_mineral(hu, predicted.brightness)[1]
        gain, rest = (section.in_slices(x, some, shape) for x in (predicted.gain, predicted.rest_hu))
        array[some] = hu - 1000.0 * gain * mineral - rest
    return replace(volume, array=array)


def _statement(applied: bool, kvp: float, known: bool, strength: float, sd: float, share: float) -> str:
    voltage = f"{kvp:.0f} kV" if known else f"{kvp:.0f} kV (assumed: the scan does not state it)"
    seen = f"bands between the bones {strength:.2f} ± {sd:.2f} times as strong as predicted"
    if np.isnan(strength):
        seen = "too little muscle is seen to decide whether the scan needs it"
    if applied:
        return (
            f"Beam hardening by bone was predicted for {voltage} and corrected: dense bone had lost "
            f"{share:.0%} of its density against rods under the patient ({seen})."
        )
    return (
        f"Beam hardening by bone is not corrected: {seen}, so the scanner has corrected it already. For "
        f"{voltage} {share:.0%} of dense bone would have been lost."
    )
