"""Whether and how beam hardening by bone is corrected before a femur is measured."""

from __future__ import annotations

import numpy as np

from ..calibration import Calibration, RodFit, parse_calibration
from ..calibration.bone_hardening import ASSUMED_KVP, HardeningCorrection, correct_hardening
from ..volume import Volume
from .settings import MapSettings

_NOT_CORRECTED = {
    "none": "Beam hardening by bone is not corrected in maps in HU: they show the CT as it is.",
    "internal": "Beam hardening by bone is not corrected: the patient's own tissues calibrate amid the body, "
    "and cortex, if it is among them, hardens the beam as much as what it calibrates.",
}


def without_hardening(
    volume: Volume, femur: np.ndarray, side: str, calibration: Calibration, settings: MapSettings
) -> tuple[HardeningCorrection, Calibration]:
    """Correct the CT for beam hardening, and calibrate it anew where the rods are in it.

    Parameters
    ----------
    volume : Volume
        The CT in HU.
    femur : ndarray of shape (n, 3)
        Points of the femur, RAS mm.
    side : {"left", "right"}
        Of the femur.
    calibration : Calibration
        Of the CT as it is.
    settings : MapSettings
        Say whether to, and the voltage of the tube.

    Returns
    -------
    HardeningCorrection
        With the CT to be measured.
    Calibration
        For that CT.
    """
    told = settings.kvp or volume.kvp
    text = _NOT_CORRECTED.get(calibration.kind)
    if settings.hardening == "off":
        text = "Beam hardening by bone was not to be corrected."
    if text:
        return HardeningCorrection(volume, False, text, told or ASSUMED_KVP, told is not None), calibration
    done = correct_hardening(volume, femur, side, settings.kvp, always=settings.hardening == "on")
    if not done.applied:
        return done, calibration
    fit = calibration.fit
    if isinstance(fit, RodFit) and fit.rods.n_voxels is not None:
        calibration = parse_calibration(settings.calibration, done.volume)
    return done, calibration.for_corrected_hardening(done.left_relative_sd)
