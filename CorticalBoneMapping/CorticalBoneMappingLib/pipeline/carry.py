"""Carry maps from a subject's bone to the average femur."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from ..core.measures import MEASURES, VertexStatus
from ..core.surface import Surface
from ..mesh.shape_model import ShapeModel
from ..mesh.smoothing import smooth
from ..registration import Registration


def carry_to_average(
    bone: Surface, average: Surface, registration: Registration, fwhm_mm: float = 0.0
) -> Surface:
    """Carry the measures of a bone to the average femur.

    Parameters
    ----------
    bone : Surface
        The subject's, with measures and ``quality``.
    average : Surface
        The average femur; its arrays stay.
    registration : Registration
        Of `bone` onto `average`.
    fwhm_mm : float
        Smoothing on the average femur; 0 for none. Points without a value stay without.

    Returns
    -------
    Surface
        The average femur with the bone's measures and ``quality``; without their standard deviations if
        they are smoothed, since an average is more certain than its values. A place outside the subject's
        scan is `Quality.NOT_MEASURED`.
    """
    maps = {
        name: registration.to_average(bone.arrays[name])
        for name, measure in MEASURES.items()
        if name in bone.arrays and not (measure.is_uncertainty and fwhm_mm > 0)
    }
    quality = registration.to_average(bone.arrays["quality"].astype(np.int64))
    quality = np.where(quality < 0, VertexStatus.NOT_MEASURED, quality)
    measured = np.isfinite(np.stack(list(maps.values()))).all(axis=0)
    # Beside a gap the interpolated value and the nearest status may differ; the value decides.
    quality = np.where(
        measured,
        VertexStatus.GOOD,
        np.where(quality == VertexStatus.GOOD, VertexStatus.NOT_MEASURED, quality),
    )
    if fwhm_mm > 0:
        maps = {name: smooth(average, values, fwhm_mm) for name, values in maps.items()}
    maps = {name: np.where(measured, values, np.nan).astype(np.float32) for name, values in maps.items()}
    units = {name: bone.units[name] for name in maps if name in bone.units}
    return average.with_arrays(units=units, **maps, quality=quality.astype(np.uint8))


def registration_summary(registration: Registration) -> dict[str, Any]:
    """Return the measures of a registration's quality, as plain values.

    Returns
    -------
    dict
        ``scale`` (subject over average), distances between the surfaces in mm, the error along the surface
        that is to be expected on average in mm, the area of the average that the subject covers (0 to 1),
        folded triangles, and ``remarks`` (warnings).
    """
    areas = registration.average.point_areas
    return {
        "scale": round(registration.scale, 5),
        "distances_mm": {name: round(value, 4) for name, value in asdict(registration.distances).items()},
        "bending_misfit_mm": round(registration.deformation_misfit_mm, 4),
        "expected_error_mm": round(registration.expected_error_mm, 3),
        "covered": round(float(areas[registration.covered].sum() / areas.sum()), 4),
        "folded_triangles": registration.folded,
        "remarks": list(registration.warnings),
    }


def shape_summary(registration: Registration, shape_model: ShapeModel) -> dict[str, Any]:
    """Return a femur's size and shape, which may serve as covariates, as plain values.

    Parameters
    ----------
    registration : Registration
        Of the femur.
    shape_model : ShapeModel
        Used in the registration.

    Returns
    -------
    dict
        ``size`` over that of the average femur, independent of the scanned length of the shaft;
        ``coordinates`` in standard deviations of the population; ``explained``, the share of how people
        differ that each of the first modes explains, which may serve as covariates; ``mahalanobis``, the
        distance from the average shape in standard deviations; ``residual_mm``, ``greatest_residual_mm`` and
        ``expected_residual_mm``, what the modes leave of the femur and of usual ones, and
        ``plausibility_by_coordinates`` and ``plausibility_by_residual``, each None if the shape model does
        not know; ``plausibility``, the share of the population at least as unusual.
    """
    # Coordinates are those of the deformation, not of the registered points, which slide along the surface in
    # ways that no mode describes and would look like an impossible shape.
    usual = registration.plausibility
    return {
        "size": round(registration.scale, 5),
        "coordinates": np.round(registration.shape_coordinates, 3).tolist(),
        "explained": np.round(shape_model.shares[: shape_model.n_covariates], 4).tolist(),
        "mahalanobis": round(usual.mahalanobis, 3),
        "residual_mm": _rounded(usual.residual_mm, 3),
        "greatest_residual_mm": _rounded(usual.greatest_residual_mm, 3),
        "expected_residual_mm": _rounded(usual.expected_residual_mm, 3),
        "plausibility_by_coordinates": _rounded(usual.by_coordinates, 4),
        "plausibility_by_residual": _rounded(usual.by_residual, 4),
        "plausibility": round(usual.share_beyond, 4),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
