"""Everything in the report, measured or taken from the cache."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from CorticalBoneMappingLib.core.progress import Progress
from CorticalBoneMappingLib.io.volume_files import read_labelmap, read_volume

from .cost import Cost, cost_of
from .errors import Errors, dice, errors_of, mask_on, matched
from .finder import Found, Outcome, outcome_of
from .making import KnownScan
from .plan import HIP, Case, plan
from .real_femur import DATA
from .scans import ct_of, is_here, read_known, scan_folder
from .wrong import wrong_scans

COST_EVERY = 3
_AT_ONCE = 2
_REAL_CT = DATA / "hips_ct_3mm"
_REAL_RIGHT, _REAL_LEFT = 2, 1


@dataclass(frozen=True)
class Judged:
    """One true femur of a scan, and what was found of it.

    Attributes
    ----------
    case : Case
        The scan.
    side : str
        In truth.
    found : Found or None
        None if nothing overlaps the femur.
    errors : Errors or None
        None if nothing was found.
    """

    case: Case
    side: str
    found: Found | None
    errors: Errors | None

    @property
    def name(self) -> str:
        """For tables."""
        return self.case.name if self.case.side != "both" else f"{self.case.name}, {self.side}"

    @property
    def side_right(self) -> bool:
        """Whether it was found as what it is."""
        return self.found is not None and self.found.side == self.side


@dataclass(frozen=True)
class Scanned:
    """One scan of known truth.

    Attributes
    ----------
    case : Case
        Which.
    size : tuple of int
        Voxels along i, j, k.
    outcome : Outcome
        What the library made of it.
    femurs : list of Judged
        One a true femur.
    """

    case: Case
    size: tuple[int, int, int]
    outcome: Outcome
    femurs: list[Judged]

    @property
    def surplus(self) -> int:
        """Found femurs that are none."""
        claimed = sum(found.surface is not None for found in self.outcome.found)
        return claimed - sum(one.found is not None for one in self.femurs)


@dataclass(frozen=True)
class RealCt:
    """The real CT of both hips, one with a nail.

    Attributes
    ----------
    outcome : Outcome
        What the library made of it.
    dice : dict of str to float
        By side, against the labels that came with it; 0 if that side was not found.
    reasons : dict of str to str
        By side, the verdict and why.
    """

    outcome: Outcome
    dice: dict[str, float]
    reasons: dict[str, str]


@dataclass(frozen=True)
class Results:
    """What was measured.

    Attributes
    ----------
    scans : list of Scanned
        Of known truth.
    absent : list of str
        Scans that could not be made, as their data are not here.
    wrong : dict of str to Outcome
        By what they show.
    real : RealCt or None
        None where the data are not here.
    costs : list of Cost
        Of some hips.
    """

    scans: list[Scanned]
    absent: list[str]
    wrong: dict[str, Outcome]
    real: RealCt | None
    costs: list[Cost]

    def femurs(self, kind: str | None = None) -> list[Judged]:
        """Give the true femurs of all scans, or of one kind of scan."""
        return [one for scan in self.scans if kind in (None, scan.case.kind) for one in scan.femurs]


def measured(quick: bool, progress: Progress) -> Results:
    """Measure everything.

    Parameters
    ----------
    quick : bool
        Only a few scans.
    progress : Progress
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    Results
    """
    cases = plan(quick)
    here = [case for case in cases if is_here(case)]
    folders = []
    for number, case in enumerate(here):
        progress.report(0.3 * number / len(here), f"Scan: {case.title} {case.text}")
        folders.append(scan_folder(case))
    progress.report(0.3, "Scans that show no hip")
    others = wrong_scans()
    files = [*map(ct_of, folders), *others.values()]
    outcomes = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # each waits for a process of its own
        for outcome in pool.map(outcome_of, files):
            outcomes.append(outcome)
            progress.report(0.35 + 0.45 * len(outcomes) / len(files), "Finding femurs")
    scans, costs = [], []
    for number, (case, folder, outcome) in enumerate(zip(here, folders, outcomes)):
        progress.report(0.8 + 0.17 * number / len(here), f"Comparing: {case.title} {case.text}")
        known = read_known(folder)
        scanned = _judged(case, known, outcome)
        scans.append(scanned)
        femur = scanned.femurs[0]
        if case.kind == HIP and number % COST_EVERY == 0 and femur.found is not None:
            costs.append(cost_of(case, known, femur.found))
    wrong = dict(zip(others, outcomes[len(here) :]))
    progress.report(0.97, "The real CT")
    real = _real() if (_REAL_CT / "ct.nrrd").is_file() else None
    progress.report(1.0, "Measured")
    return Results(scans, [case.name for case in cases if case not in here], wrong, real, costs)


def _judged(case: Case, known: KnownScan, outcome: Outcome) -> Scanned:
    femurs = [
        Judged(case, true.side, found, errors_of(found, true, known) if found is not None else None)
        for true, found in matched(outcome.found, known)
    ]
    size = known.volume.array.shape[::-1]
    return Scanned(case, size, outcome, femurs)


def _real() -> RealCt:
    outcome = outcome_of(_REAL_CT / "ct.nrrd")
    volume, labels = read_volume(_REAL_CT / "ct.nrrd"), read_labelmap(_REAL_CT / "labels.nrrd")
    dices, reasons = {"right": 0.0, "left": 0.0}, {"right": "not found", "left": "not found"}
    for found in outcome.found:
        label = _REAL_RIGHT if found.side == "right" else _REAL_LEFT
        if found.surface is not None:
            dices[found.side] = dice(mask_on(found.labelmap(), volume), labels.array == label)
        reasons[found.side] = " ".join([f"{found.verdict}:", *found.reasons])
    return RealCt(outcome, dices, reasons)
