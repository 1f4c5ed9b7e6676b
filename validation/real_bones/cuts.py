"""The registration of real bones whose shaft was cut short, as a scan of the hip often does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from CorticalBoneMappingLib.anatomy import measure_anatomy
from CorticalBoneMappingLib.atlas.average import AverageFemur
from CorticalBoneMappingLib.core.errors import RegistrationError, SurfaceError
from CorticalBoneMappingLib.registration import register

from .bones import Bone, cut_below
from .measured import Measured, landmarks_apart, refuses_other_side

CUTS_MM = (60.0, 40.0, 25.0)
"""Where the shaft is cut: below the tip of the lesser trochanter, along its axis."""
_LANDMARKS = ("greater_trochanter", "lesser_trochanter")


@dataclass(frozen=True)
class Cut:
    """What came of one bone with a short shaft.

    Attributes
    ----------
    bone : Bone
        Before it was cut, without its surfaces.
    below_mm : float
        Of `CUTS_MM`.
    distance_mm, distance_high_mm : float
        Mean and 95th percentile of the distance of the bone from the registered average.
    moved_mm, moved_high_mm : float
        How far the vertices that are covered with and without the cut lie apart, mean and 95th percentile.
    apart_mm : dict of str to float
        As `Measured.apart_mm`; empty if a landmark was not found on the cut bone.
    side_is_checked : bool
        As `Measured.side_is_checked`.
    warnings : tuple of str
        Of the registration.
    failure : str
        Why the bone was refused, or an empty string.
    """

    bone: Bone
    below_mm: float
    distance_mm: float = np.nan
    distance_high_mm: float = np.nan
    moved_mm: float = np.nan
    moved_high_mm: float = np.nan
    apart_mm: dict[str, float] | None = None
    side_is_checked: bool = False
    warnings: tuple[str, ...] = ()
    failure: str = ""


def cut_short(measured: Measured, average: AverageFemur) -> list[Cut]:
    """Cut a measured bone at each level that its shaft reaches, and register the average to what is left."""
    bone = measured.bone
    anatomy = measure_anatomy(bone.surface, bone.side)
    found = []
    for below in CUTS_MM:
        surface = cut_below(bone.surface, anatomy, below)
        if surface is not bone.surface:
            found.append(_registered(replace(bone, surface=surface), below, measured, average))
    return found


def _registered(bone: Bone, below_mm: float, uncut: Measured, average: AverageFemur) -> Cut:
    try:
        registration = register(bone.surface, average.surface, bone.side, shape_model=average.shape_model)
    except (SurfaceError, RegistrationError) as error:
        return Cut(bone, below_mm, failure=str(error))
    try:
        apart = landmarks_apart(measure_anatomy(bone.surface, bone.side), registration, average)
        failure = ""
    except SurfaceError as error:
        apart, failure = None, str(error)
    moved = np.nan, np.nan
    if uncut.points is not None:
        distance = np.linalg.norm(registration.points - uncut.points, axis=1)[registration.covered]
        moved = np.nanmean(distance), np.nanquantile(distance, 0.95)
    return Cut(
        bone,
        below_mm,
        registration.distances.to_average_mean,
        registration.distances.to_average_95,
        *map(float, moved),
        apart,
        refuses_other_side(bone, average),
        registration.warnings,
        failure,
    )


def cuts_text(cuts: list[Cut]) -> str:
    """Write the section of the page."""
    lines = [
        "",
        "## Shaft cut short",
        "",
        "The same bones, cut across the shaft so far below the tip of the lesser trochanter, and registered",
        "anew; bones that end above a level are not in its row. *Distance*: from the bone to the registered",
        "average, mean over the bones (95th percentile). *Moved*: how far the same vertices lie from where",
        "the uncut bone has them, mean (greatest mean of a bone; greatest 95th percentile). *Trochanters*:",
        "as above, the landmark found on the cut bone from the one carried to it, median (greatest).",
        "",
        "| source | cut at | registered | side | distance, mm | moved, mm | greater trochanter, mm "
        "| lesser trochanter, mm | with warnings |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    keys = dict.fromkeys((cut.bone.source, cut.below_mm) for cut in cuts)
    for source, below in keys:
        lines.append(_row([cut for cut in cuts if (cut.bone.source, cut.below_mm) == (source, below)]))
    failures = [f"* {cut.bone.name}, {cut.below_mm:.0f} mm: {cut.failure}" for cut in cuts if cut.failure]
    lines += ["", *(["Failed:", "", *failures] if failures else ["Nothing failed."])]
    return "\n".join(lines) + "\n"


def _row(cuts: list[Cut]) -> str:
    there = [cut for cut in cuts if np.isfinite(cut.distance_mm)]
    cells = [cuts[0].bone.source, f"{cuts[0].below_mm:.0f} mm", f"{len(there)} of {len(cuts)}"]
    if not there:
        return f"| {' | '.join([*cells, *['–'] * 6])} |"
    cells.append(f"{sum(cut.side_is_checked for cut in there)} of {len(there)}")
    distance = np.mean([[cut.distance_mm, cut.distance_high_mm] for cut in there], axis=0)
    cells.append(f"{distance[0]:.2f} ({distance[1]:.2f})")
    moved = np.array([[cut.moved_mm, cut.moved_high_mm] for cut in there])
    cells.append(f"{moved[:, 0].mean():.2f} ({moved[:, 0].max():.2f}; {moved[:, 1].max():.2f})")
    for name in _LANDMARKS:
        apart = [cut.apart_mm[name] for cut in there if cut.apart_mm]
        cells.append(f"{np.median(apart):.1f} ({np.max(apart):.1f})" if apart else "–")
    cells.append(str(sum(bool(cut.warnings) for cut in there)))
    return f"| {' | '.join(cells)} |"
