"""Map one femur: from a CT and a label map or surface to maps on the bone and on the average femur."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from ..anatomy.regions import CUT_END
from ..atlas.average import load_atlas
from ..calibration import Calibration, RodFit, parse_calibration
from ..calibration.bone_hardening import ASSUMED_KVP, HardeningCorrection, correct_hardening
from ..core.measures import DENSITY_KNOWN_SHARE, MEASURES, VertexStatus, density_is_known
from ..core.progress import Progress
from ..core.side import check_side
from ..core.slice_axis import slices_along_k
from ..core.surface import Surface
from ..core.volume import Volume
from ..cortex import CortexSettings, CorticalMap, measure_cortex
from ..io.hu_checks import check_around_bone
from ..io.volume_checks import check_image, check_overlap
from ..io.volume_warnings import thickness_warnings, without_interpolated_slices
from ..registration import register
from ..segmentation import PeriostealSurface, periosteal_surface
from .anatomy import registered_average, similarity_to_subject, subject_anatomy
from .carry import carry_to_average, registration_summary, shape_summary
from .find.known_labels import label_of_femur
from .provenance import Stopwatch, count_statuses, plain, program, without_folders
from .regions import region_rows
from .result import FemurResult
from .settings import MapSettings, with_slice_thickness

_MARGIN_MM = 25.0  # of CT around the bone: the longest line and a voxel to interpolate
_NOT_CORRECTED = {
    "none": "Beam hardening by bone is not corrected in maps in HU: they show the CT unchanged.",
    "internal": "Beam hardening by bone is not corrected: the patient's own tissues calibrate amid the body, "
    "and cortex, if it is among them, hardens the beam as much as what it calibrates.",
}


def map_femur(
    volume: Volume,
    femur: Volume | PeriostealSurface,
    side: str,
    settings: MapSettings | None = None,
    progress: Progress | None = None,
) -> FemurResult:
    """Measure the cortex of a femur and carry the maps to the average femur.

    Parameters
    ----------
    volume : Volume
        The CT in HU.
    femur : Volume or PeriostealSurface
        A label map, whose grid may differ from the CT's, or a surface, as `find_femurs` gives it. Points of
        the array ``completed`` (1 where a shape model and not the CT gives the surface) are not measured.
    side : {"left", "right"}
        Side of the body.
    settings : MapSettings, optional
        By default those of `MapSettings`.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    FemurResult
        Values at points that were not measured are not-a-number, with the reason in ``quality``.

    Raises
    ------
    CorticalBoneMappingError
        Of the kind of the step that failed; the message has the reason.
    """
    settings, progress = settings or MapSettings(), progress or Progress()
    check_side(side)
    watch = Stopwatch()
    average = load_atlas(settings.atlas)
    volume = check_image(slices_along_k(volume))
    volume = without_interpolated_slices(with_slice_thickness(volume, settings))
    with watch.time("calibration"):
        label, notes = _label_in(femur, settings.label, side, volume)
        calibration = parse_calibration(settings.calibration, volume)
    with watch.time("periosteal surface"):
        found = _surface_of(femur, label, settings, progress.part(0.02, 0.25))
        notes += check_around_bone(volume, found.surface)
    with watch.time("beam hardening"):
        hardening, calibration = without_hardening(volume, found.surface.points, side, calibration, settings)
    with watch.time("cortex"):
        cortical = _measure(found.surface, hardening.volume, calibration, settings, progress.part(0.25, 0.65))
    bone = _with_measures(found.surface, cortical, calibration)
    with watch.time("registration"):
        registration = register(
            bone,
            average.surface,
            side,
            shape_model=average.shape_model,
            progress=progress.part(0.65, 0.95),
        )
    with watch.time("maps on the average femur"):
        bone = bone.with_arrays(region=registration.to_subject(average.region).astype(np.int16))
        on_average = carry_to_average(bone, average.surface, registration, settings.smoothing_fwhm_mm)
    with watch.time("anatomy"):
        anatomy = subject_anatomy(bone, registration, average.landmarks)
    with watch.time("regions"):
        names = {number: name for number, name in average.region_names.items() if number != CUT_END}
        given = settings.cortical_density is not None
        rows = region_rows(bone, bone.arrays["region"], names, calibration, given)
    chosen = asdict(settings) | {"label": label, "calibration": without_folders(settings.calibration)}
    chosen["atlas"] = settings.atlas and settings.atlas.name
    quality = bone.arrays["quality"]
    warnings = [*volume.warnings, *thickness_warnings(volume), *cortical.warnings]
    warnings += femur.warnings if isinstance(femur, Volume) else ()
    notes = [
        *warnings,
        *calibration.warnings,
        hardening.statement,
        *notes,
        *found.notes,
        *registration.warnings,
        *([f"Anatomy: {anatomy['missing']}"] if "missing" in anatomy else anatomy["remarks"]),
        *_assumptions(cortical.used),
        *_notes(quality),
        *_unknown_density(cortical),
    ]
    provenance = {
        "program": program(),
        "settings": chosen,
        "side": side,
        "atlas": average.describe(),
        "calibration": calibration.describe(),
        "beam_hardening": hardening.describe(),
        "surface": {"n_points": len(bone.points), "spacing_mm": round(bone.mean_spacing_mm, 4)},
        "cortex": cortical.used,
        "registration": registration_summary(registration)
        | {"average_to_bone": similarity_to_subject(registration).round(6).tolist()},
        "anatomy": anatomy,
        "shape": shape_summary(registration, average.shape_model),
        "points": count_statuses(quality),
        "warnings": warnings,
        "notes": list(dict.fromkeys(notes)),  # a femur that was found repeats the warnings of its CT
        "timings_s": watch.seconds,
    }
    progress.report(1.0, "Femur mapped")
    return FemurResult(bone, on_average, rows, plain(provenance), side, registered_average(registration))


def without_hardening(
    volume: Volume, femur: np.ndarray, side: str, calibration: Calibration, settings: MapSettings
) -> tuple[HardeningCorrection, Calibration]:
    """Correct the CT for beam hardening, and calibrate it again where the rods are in it.

    Parameters
    ----------
    volume : Volume
        The CT in HU.
    femur : ndarray of shape (n, 3)
        Points of the femur, RAS mm.
    side : {"left", "right"}
        Of the femur.
    calibration : Calibration
        Of the CT before the correction.
    settings : MapSettings
        Give the choice, and the voltage of the tube.

    Returns
    -------
    HardeningCorrection
        With the CT to be measured.
    Calibration
        For that CT.
    """
    known = settings.kvp or volume.kvp
    text = _NOT_CORRECTED.get(calibration.kind)
    if settings.hardening == "off":
        text = "Beam hardening by bone was not to be corrected."
    if text:
        return HardeningCorrection(volume, False, text, known or ASSUMED_KVP, known is not None), calibration
    done = correct_hardening(volume, femur, side, settings.kvp, always=settings.hardening == "on")
    if not done.applied:
        return done, calibration
    fit = calibration.fit
    if isinstance(fit, RodFit) and fit.rods.n_voxels is not None:
        calibration = parse_calibration(settings.calibration, done.volume)
    return done, calibration.for_corrected_hardening(done.residual_relative_sd)


def _label_in(
    femur: Volume | PeriostealSurface, label: int | None, side: str, volume: Volume
) -> tuple[int | None, list[str]]:
    """Return the chosen label, the only one, or that of the side; a surface has none."""
    if isinstance(femur, PeriostealSurface):
        return None, []
    label, notes = (label, []) if label is not None else label_of_femur(femur, side)
    check_overlap(volume, femur, label)
    return label, notes


def _surface_of(
    femur: Volume | PeriostealSurface, label: int | None, settings: MapSettings, progress: Progress
) -> PeriostealSurface:
    if isinstance(femur, PeriostealSurface):
        return femur
    return periosteal_surface(femur, label, settings.spacing_mm, progress=progress)


def _measure(
    surface: Surface, volume: Volume, calibration: Calibration, settings: MapSettings, progress: Progress
) -> CorticalMap:
    return measure_cortex(
        surface,
        volume.crop(surface.points, _MARGIN_MM),
        calibration,
        method=settings.method,
        settings=CortexSettings(cortical_density=settings.cortical_density),
        excluded=_not_seen(surface),
        compare_slices=True,
        progress=progress,
    )


def _not_seen(surface: Surface) -> np.ndarray:
    """Points without an edge to measure: cut ends, and what a shape model completed."""
    not_seen = surface.arrays["cut_end"].astype(bool)
    return not_seen | surface.arrays["completed"].astype(bool) if "completed" in surface.arrays else not_seen


def _with_measures(surface: Surface, cortical: CorticalMap, calibration: Calibration) -> Surface:
    arrays = cortical.arrays()
    units = {name: MEASURES[name].unit_for(calibration.is_calibrated) for name in MEASURES if name in arrays}
    return surface.with_arrays(units=units | {"periosteal_offset": "mm"}, **arrays)


def _assumptions(used: dict[str, Any]) -> list[str]:
    """Notes on what was assumed because the scan does not show it."""
    named = {
        "cortical_density": "The cortical density could not be read off this scan",
        "in_plane_sigma_mm": "The blur of the scanner could not be read off this scan",
    }
    notes = []
    for name, sentence in named.items():
        origin = str(used.get(f"{name.removesuffix('_mm')}_from", ""))
        _, assumed, reason = origin.partition("assumed")
        if assumed:
            notes.append(f"{sentence}; {used[name]:g} was assumed{reason}. Do not trust its values.")
    return notes


def _unknown_density(cortical: CorticalMap) -> list[str]:
    """A note on the part of the surface whose density the scan does not show."""
    if cortical.density_sd is None:
        return []
    measured = np.isfinite(cortical.density)
    known = density_is_known(cortical.density, cortical.density_sd)[measured]
    if not measured.any() or known.all():
        return []
    return [
        f"The scan shows the cortical density at {100.0 * known.mean():.0f} % of the points, where the "
        "cortex is thick. Elsewhere the density is that of the thick cortex, with a standard deviation of "
        f"more than {100.0 * DENSITY_KNOWN_SHARE:.0f} %; mass and thickness are measured there."
    ]


def _notes(quality: np.ndarray) -> list[str]:
    """Notes on points without values."""
    notes = []
    if metal := int(np.sum(quality == VertexStatus.METAL)):
        notes.append(f"Metal was found at {metal} points; they carry no values.")
    if missing := int(np.sum(quality == VertexStatus.NO_CORTEX)):
        notes.append(f"{missing} points have no measurable cortex: it is missing, or too thin for this scan.")
    if outside := int(np.sum(quality == VertexStatus.OUTSIDE_SCAN)):
        notes.append(f"At {outside} points the scan does not reach far enough to measure.")
    return notes
