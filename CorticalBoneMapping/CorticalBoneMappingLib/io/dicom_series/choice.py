"""Which of a folder's series is read, and why one is refused."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from ...core.errors import VolumeError
from .headers import Slice, Tag, some
from .stack import MINIMUM_SLICES

_HEADER = ("number", "slices", "thickness", "kernel", "description", "UID")


def choose(images: list[Slice], wanted: str | None, folder: Path) -> list[Slice]:
    """Give the slices of the only CT series, or of the requested one.

    Parameters
    ----------
    images : list of Slice
        All of a folder.
    wanted : str, optional
        UID, description, or number in the list that the error shows.
    folder : Path
        For messages.

    Raises
    ------
    VolumeError
        If no series or more than one matches, or some of its slices lack their place.
    """
    every: dict[str, list[Slice]] = defaultdict(list)
    for each in sorted(images, key=_order):
        if each.is_ct_slice:
            every[each.uid].append(each)
    if not every:
        raise VolumeError(_why_none(images, folder))
    if wanted is None:
        found = [s for s in every.values() if len(s) >= MINIMUM_SLICES] or list(every.values())
        problem = "several CT series"
    else:
        found = _asked_for(every, wanted)
        if not found and (unusable := [each for each in images if wanted in _names(each)]):
            raise VolumeError(_why_none(unusable, folder))
        problem = f"no CT series '{wanted}'" if not found else f"several CT series named '{wanted}'"
    if len(found) != 1:
        raise VolumeError(
            f"{folder}: the folder holds {problem}. Choose one with --series, or in the column 'series' of a "
            f"study's table, by its number, description or UID:\n{_listed(list(every.values()))}"
        )
    _check_complete(found[0], images, folder)
    return found[0]


def _order(each: Slice) -> tuple[float, str]:
    return each.number(Tag.SERIES_NUMBER) or 0.0, each.uid


def _names(each: Slice) -> tuple[str, str]:
    return each.uid, each.text(Tag.DESCRIPTION)


def _asked_for(every: dict[str, list[Slice]], wanted: str) -> list[list[Slice]]:
    """Give the series that a text names: first as UID or description, then as number in the list."""
    found = [s for s in every.values() if wanted.strip() in _names(s[0])]
    if not found and wanted.strip().isdigit() and 0 < int(wanted) <= len(every):
        return [list(every.values())[int(wanted) - 1]]
    return found


def _listed(every: list[list[Slice]]) -> str:
    """Set the series in columns."""
    rows = [_HEADER]
    for number, slices in enumerate(every, start=1):
        first = slices[0]
        thickness = first.number(Tag.SLICE_THICKNESS)
        shown = "–" if thickness is None else f"{thickness:g} mm"
        kernel = first.text(Tag.KERNEL) or "–"
        description = first.text(Tag.DESCRIPTION) or "–"
        rows.append((str(number), str(len(slices)), shown, kernel, description, first.uid))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    return "\n".join("  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _check_complete(chosen: list[Slice], images: list[Slice], folder: Path) -> None:
    """Refuse a series with unusable slices: they would be left out."""
    lacking = [each for each in images if each.uid == chosen[0].uid and each.is_ct_image and each.lacks]
    if lacking:
        names = some([each.path.name for each in lacking])
        raise VolumeError(
            f"{folder}: {lacking[0].lacks[0]} is missing in {len(lacking)} of the series' "
            f"{len(lacking) + len(chosen)} slices: {names}. Export the series again with its whole header."
        )


def _why_none(images: list[Slice], folder: Path) -> str:
    """Say why none of some images is a CT slice."""
    if lacking := [each for each in images if each.is_ct_image and each.lacks]:
        counts = Counter(name for each in lacking for name in each.lacks)
        what = ", ".join(f"{name} is missing in {count}" for name, count in counts.items())
        return (
            f"{folder}: the place of the CT slices is not known: of {len(lacking)} images, {what}. "
            "Export the original series again with its whole header."
        )
    if any(each.modality == "CT" and each.is_multi_frame for each in images):
        return (
            f"{folder}: the CT is stored as one multi-frame DICOM file, whose slice positions this program "
            "cannot check. Export it as single slices, or convert it to NRRD or NIfTI."
        )
    held = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(map(_kind, images)).items()))
    return f"{folder}: the folder holds no CT slices (images: {held}). A CT is needed."


def _kind(each: Slice) -> str:
    if each.modality == "CT" and each.is_scout:
        return "scouts of CT"
    return f"colour pictures of {each.modality}" if each.is_picture else f"of {each.modality}"
