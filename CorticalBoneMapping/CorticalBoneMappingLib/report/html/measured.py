"""How the maps of a study were made, in words, from the records of its cases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...study.result_files import PROVENANCE_FILE
from .cases import CaseRow
from .wording import counted

_METHODS = {
    "half-maximum": "half-maximum (Prevrhal et al. 2003)",
    "constant-density": "constant-density (Treece et al. 2010)",
    "mass-conserving": "mass-conserving (Treece et al. 2012)",
    "independent": "independent (Treece and Gee 2015)",
    "endocortical-ramp": "endocortical-ramp (Pearson and Treece 2018)",
}


def measured_in_words(cases: Sequence[CaseRow]) -> list[str]:
    """Say how the maps were made, from the records of the mapped cases."""
    records = [_record(case.folder) for case in cases if case.is_done]
    records = [record for record in records if record]
    if not records:
        return []
    methods = Counter(record["settings"]["method"] for record in records)
    spacings = sorted(record["surface"]["spacing_mm"] for record in records)
    calibrations = Counter(_calibration(record) for record in records)
    average = Counter(f"{record['atlas']['name']}, {record['atlas']['people']} people" for record in records)
    smoothings = Counter(f"{record['settings']['smoothing_fwhm_mm']:g} mm" for record in records)
    smoothed = "" if set(smoothings) == {"0 mm"} else f" They were smoothed there by {_all(smoothings)}."
    origins = Counter(_origin(record) for record in records)
    return [
        f"The femur was {_all(origins)}.",
        f"The cortex was measured with {_all(methods)} at points {spacings[len(spacings) // 2]:.1f} mm "
        f"apart.",
        f"Density: {_all(calibrations)}.",
        f"Maps were carried to an average femur ({_all(average)}) by registration of the surfaces (a "
        f"Gaussian process of shape modes and bumps, Lüthi et al. 2018).{smoothed}",
    ]


def _all(counts: Counter[str]) -> str:
    """Name one, or all with how often each was used."""
    named = [(_METHODS.get(name, name), count) for name, count in counts.most_common()]
    if len(named) == 1:
        return named[0][0]
    return "; ".join(f"{name} in {counted(count, 'map')}" for name, count in named)


_ORIGINS = {
    "label map": "given as a label map",
    "surface": "given as a surface",
    "found in the CT": "found in the CT with the shape model of the femur",
}


def _origin(record: dict[str, Any]) -> str:
    """Say how it was known where the femur is."""
    by = record.get("segmentation", {}).get("by", "")
    return _ORIGINS.get(by, "given")


def _calibration(record: dict[str, Any]) -> str:
    kind, unit = record["calibration"]["kind"], record["calibration"]["unit"]
    how = "not calibrated" if kind == "none" else f"calibrated by {kind}"
    corrected = "corrected" if record.get("beam_hardening", {}).get("applied") else "not corrected"
    return f"{how} ({unit}), beam hardening {corrected}"


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
        _ = record["settings"]["method"], record["surface"]["spacing_mm"], record["atlas"]["people"]
        _ = record["settings"]["smoothing_fwhm_mm"]
        _ = record["calibration"]["unit"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return record
