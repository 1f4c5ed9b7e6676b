"""Femurs without a pelvis, in air, water and a bath like muscle; and scans without a hip.

``python -m validation.segmentation.isolated [--persons N ...] [--report FILE]``
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.files import write_text
from CorticalBoneMappingLib.io.volume_files import read_volume
from CorticalBoneMappingLib.pipeline.find.find_femur import find_femurs
from CorticalBoneMappingLib.simulation import ScannerSettings, simulate_hip, simulate_scan
from CorticalBoneMappingLib.simulation.hip.structured import structured

from .errors import dice, mask_on
from .wrong import wrong_scans

_REPORT = Path(__file__).parents[2] / "Docs" / "validation" / "isolated_femurs.md"
_PERSONS = (2001, 2002, 2003, 2004, 2005, 2006, 2007, 2008)
_MEDIA = {"air": -1000.0, "water": 0.0, "muscle": 55.0}
_FEMUR_LABEL = 1
_TURN_SD_DEG = 10.0


@dataclass(frozen=True)
class Case:
    """One isolated femur; medium, structure and side go by turns."""

    person: int

    @property
    def medium(self) -> str:
        """What is around the bone."""
        return list(_MEDIA)[self.person % len(_MEDIA)]

    @property
    def is_structured(self) -> bool:
        """Whether the bone has a microstructure."""
        return self.person % 2 == 0

    @property
    def side(self) -> str:
        """Side of the body."""
        return "left" if self.person // 2 % 2 else "right"


def main() -> None:
    """Find femurs, and write the page."""
    parser = argparse.ArgumentParser(prog="isolated", description=__doc__.split("\n")[0])
    parser.add_argument("--persons", type=int, nargs="+", default=list(_PERSONS), metavar="N")
    parser.add_argument("--report", type=Path, default=_REPORT)
    chosen = parser.parse_args()
    found = [_femur_row(Case(person)) for person in chosen.persons]
    empty = [_empty_row(name, path) for name, path in wrong_scans().items()]
    template = (Path(__file__).parent / "isolated.md").read_text(encoding="utf-8")
    page = template.format(
        count=len(found),
        good=sum("| good |" in row for row in found),
        femurs="\n".join(found),
        empty="\n".join(empty),
        false=sum("**found**" in row for row in empty),
        scans=len(empty),
    )
    write_text(chosen.report, page)
    print(chosen.report)


def isolated(case: Case) -> tuple[Volume, np.ndarray]:
    """Scan a femur alone.

    Returns
    -------
    volume : Volume
        HU.
    femur : ndarray of bool
        True voxels of the femur.
    """
    random = np.random.default_rng([case.person, 41])
    hip = replace(simulate_hip(case.person, case.side), other_bones=())
    if case.is_structured:
        hip = structured(hip, case.person)
    turn = tuple(float(value) for value in _TURN_SD_DEG * random.standard_normal(3))
    settings = ScannerSettings(
        voxel_mm=0.8,
        slice_spacing_mm=1.5,
        noise_hu=20.0,
        seed=case.person,
        patient_rotation_deg=turn,
        rods=False,
    )
    made = simulate_scan(hip, settings)
    femur = made.labelmap.array == _FEMUR_LABEL
    # The medium instead of the body, under the same blur.
    sigma = (0.0, settings.psf_sigma_mm / settings.voxel_mm, settings.psf_sigma_mm / settings.voxel_mm)
    share = ndimage.gaussian_filter(femur.astype(np.float32), sigma)
    noise = settings.noise_hu * random.standard_normal(femur.shape, np.float32)
    around = _MEDIA[case.medium] + ndimage.gaussian_filter(noise, (0.0, 0.6, 0.6)) / 0.5
    near = ndimage.binary_dilation(femur, iterations=2)
    body = np.where(near, made.volume.array, around)
    soft = np.median(made.volume.array[near & ~ndimage.binary_dilation(femur)])
    image = np.where(near, body + (_MEDIA[case.medium] - soft) * (1.0 - share), around)
    return replace(made.volume, array=np.clip(np.round(image), -1024, 3071).astype(np.float32)), femur


def _femur_row(case: Case) -> str:
    volume, true = isolated(case)
    begun = time.process_time()
    try:
        found = find_femurs(volume)
    except CorticalBoneMappingError as error:
        return _row(case, "not found", str(error).partition(": ")[2], "–", begun)
    best = found[0]
    if best.labelmap is None or best.side != case.side:
        return _row(case, best.verdict, " ".join(best.reasons) or f"{best.side} side", "–", begun)
    overlap = dice(mask_on(best.labelmap, volume), true)
    print(case, best.verdict, f"{overlap:.4f}", flush=True)
    return _row(case, best.verdict, " ".join(best.reasons), f"{overlap:.3f}", begun)


def _row(case: Case, verdict: str, reasons: str, overlap: str, begun: float) -> str:
    kind = "structured" if case.is_structured else "smooth"
    seconds = time.process_time() - begun
    cells = (case.person, case.side, kind, case.medium, verdict, overlap, f"{seconds:.0f}", reasons)
    return f"| {' | '.join(map(str, cells))} |"


def _empty_row(name: str, path: Path) -> str:
    try:
        found = find_femurs(read_volume(path))
    except CorticalBoneMappingError as error:
        text = str(error).partition(": ")[2].partition(". ")[0]
        return f"| {name} | refused | {text} |"
    usable = [femur for femur in found if femur.surface is not None]
    if not usable:
        return f"| {name} | failed | {' '.join(found[0].reasons)} |"
    verdicts, reasons = ", ".join(femur.verdict for femur in usable), " ".join(usable[0].reasons)
    return f"| {name} | **found**: {verdicts} | {reasons} |"


if __name__ == "__main__":
    main()
