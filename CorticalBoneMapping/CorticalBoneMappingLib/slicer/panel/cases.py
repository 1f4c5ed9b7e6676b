"""Opens a case of a study in the scene: its result, its picture, and its scan if that is there.

The cases of a study for the panel: how each went, what was decided on it, and which scan it is from.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from ...anatomy.planes import BONE_WINDOW_HU
from ...core.errors import CorticalBoneMappingError
from ...core.wording import counted
from ...io.input_files import stamp_of
from ...io.tables import read_rows
from ...io.volume_files import read_volume
from ...pipeline.provenance import input_record
from ...pipeline.result import THUMBNAIL_FILE, read_result
from ...study.mapping.case import DONE
from ...study.mapping.ledger import CASE_FILE, known_fingerprints, mark_of, read_record
from ...study.mapping.overview import CASE_COLUMNS, CASES_FILE
from ...study.mapping.review import REVIEW_FILE, UNSEEN, CaseId, Review, read_reviews
from ...study.study_file.case_names import case_folder
from ...study.study_file.scans import Case, cases_of, read_scans
from ...study.study_file.study_toml import StudyFile, read_study_file
from ..scene.cases import add_case, add_scan, find_case, find_scan, share_scan, show_case
from ..scene.results import ResultNodes


def open_case(scene: slicer.vtkMRMLScene, case: ListedCase) -> ResultNodes:
    """Show a case in the scene; its result is read if it is not there yet.

    Raises
    ------
    CorticalBoneMappingError
        If the result is damaged.
    """
    key = _ledger(case)["key"]
    nodes = find_case(scene, key)
    if nodes is None:
        picture = case.folder / THUMBNAIL_FILE
        drawn = picture if picture.is_file() else None
        nodes = add_case(scene, read_result(case.folder), key, drawn, case.title)
    show_case(nodes)
    return nodes


def opened_case(scene: slicer.vtkMRMLScene, case: ListedCase) -> ResultNodes | None:
    """Find the nodes of a case that was opened; None where it was not, or its result is another now."""
    try:
        return find_case(scene, _ledger(case)["key"])
    except CorticalBoneMappingError:
        return None


def open_scan(
    scene: slicer.vtkMRMLScene, case: ListedCase, plan: StudyFile, nodes: ResultNodes
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add the scan that a case was mapped from, if it is not in the scene yet.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where it is added.
    case : ListedCase
    plan : StudyFile
        Whose table says where the scan is.
    nodes : ResultNodes
        Of the case, from `open_case`.

    Raises
    ------
    CorticalBoneMappingError
        If the scan is not there, cannot be read, or is no longer the one that was mapped: the surface would
        lie over another person's bone.
    """
    record = _ledger(case)["inputs"]["ct"]
    sha256 = record["sha256"]
    # Two series of one folder have one hash.
    identity = f"{sha256} {record['series']}" if "series" in record else sha256
    if (found := find_scan(scene, identity)) is not None:
        share_scan(found, nodes)
        return found
    source = next((one for one in valid_cases_of(plan) if one.name == case.name), None)
    if source is None:
        raise CorticalBoneMappingError(
            _("{table} no longer names the scan of this case.").format(table=plan.table)
        )
    if not source.ct.exists():
        raise CorticalBoneMappingError(_("The scan {path} is not there.").format(path=source.ct))
    if _hash_of_scan(source, plan) != sha256:
        raise CorticalBoneMappingError(
            _("The scan {path} is no longer the one that was mapped; run the study again.").format(
                path=source.ct
            )
        )
    volume = read_volume(source.ct, source.series)
    return add_scan(scene, volume, identity, BONE_WINDOW_HU, f"{case.title} CT", nodes)


def _ledger(case: ListedCase) -> dict:
    try:
        ledger = json.loads((case.folder / CASE_FILE).read_text(encoding="utf-8"))
        return {"key": ledger["key"], "inputs": ledger["inputs"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorticalBoneMappingError(
            _("{folder}: the result is damaged ({error}); run the study again.").format(
                folder=case.folder, error=error
            )
        ) from error


def _hash_of_scan(case: Case, plan: StudyFile) -> str:
    """Hash the scan; one that was not touched since it was mapped need not be read for that."""
    known = known_fingerprints(read_record(plan.results, case)).get("ct")
    if known is not None and known.stamp == stamp_of(case.ct):
        return known.sha256
    return input_record(case.ct)["sha256"]


_WORDS = {"accept": "accepted", "reject": "rejected"}
_LOOK = "look"  # how the program's suggestion to look at a case begins
_NO_VERDICT = Review(UNSEEN, "", "")


@dataclass(frozen=True)
class ListedCase:
    """One femur of a study, as ``cases.csv`` and ``qc.csv`` tell of it.

    Attributes
    ----------
    participant, visit, side : str
    name : str
        As BIDS would write it.
    status : str
        ``done``, ``failed`` or ``waiting``.
    reason : str
        Why it failed.
    suggestion : str
        What the program says of the result.
    verdict : Review
        What a person says.
    folder : Path
        Of its result.
    """

    participant: str
    visit: str
    side: str
    name: str
    status: str
    reason: str
    suggestion: str
    verdict: Review
    folder: Path

    @property
    def identity(self) -> CaseId:
        """Participant, visit and side."""
        return self.participant, self.visit, self.side

    @property
    def title(self) -> str:
        """How a person would name it; the name of its folder in the scene."""
        return f"{self.participant} visit {self.visit} {self.side}"

    @property
    def is_mapped(self) -> bool:
        """Whether there is a result to be opened and judged."""
        return self.status == DONE

    @property
    def needs_a_look(self) -> bool:
        """Whether the program suggests to look at it."""
        return self.suggestion.startswith(_LOOK)

    @property
    def judged(self) -> str:
        """The verdict in a word or two; empty where there is none."""
        word = _WORDS.get(self.verdict.verdict, "")
        return f"{word} (earlier result)" if self.verdict.is_of_earlier else word

    def mark(self) -> str:
        """Tell the result that stands there now from others of the same case."""
        return mark_of(self.folder)

    def cells(self) -> tuple[str, ...]:
        """Give its row of a table."""
        return (
            *(self.participant, self.visit, self.side, self.status),
            *(self.judged, self.suggestion, self.reason),
        )

    def in_words(self) -> str:
        """Give all that is known of it."""
        said = self.reason or self.suggestion
        lines = [f"{self.title}: {self.status}" + (f"; {said}" if said else "")]
        if self.judged:
            lines.append(self.judged + (f": {self.verdict.note}" if self.verdict.note else ""))
        return "\n".join(lines)


def read_study_of_scans(study: Path) -> StudyFile:
    """Read a study file that names scans.

    Raises
    ------
    CorticalBoneMappingError
        If it cannot be read, or names maps.
    """
    plan = read_study_file(study, needs_analysis=False)
    plan.scans_to_map()
    return plan


def names_maps(study: Path) -> bool:
    """Whether a study file can be read and its table names maps: nothing of it is to be mapped."""
    try:
        return read_study_file(study, needs_analysis=False).scans is None
    except CorticalBoneMappingError:
        return False


def listed_cases(results: Path) -> list[ListedCase]:
    """Give the cases that a run has told of, in the order of the study; none where there was no run.

    Raises
    ------
    CorticalBoneMappingError
        If a table in the folder of results is damaged.
    """
    path = results / CASES_FILE
    if not path.is_file():
        return []
    try:
        rows = read_rows(path, CASE_COLUMNS)
    except (OSError, ValueError, KeyError) as error:
        raise CorticalBoneMappingError(
            f"{path}: this is not the table that a run has written ({error}). Move it, and run the study "
            "again."
        ) from error
    verdicts = read_reviews(results, [(row["participant"], row["visit"], row["side"]) for row in rows])
    cases = []
    for row in rows:
        identity = row["participant"], row["visit"], row["side"]
        verdict = verdicts.get(identity, _NO_VERDICT)
        told = (row[name] for name in ("case", "status", "reason", "suggestion"))
        cases.append(ListedCase(*identity, *told, verdict, results / case_folder(*identity)))
    return cases


def counts(cases: list[ListedCase]) -> str:
    """Count them in a line: how they went, and what was decided."""
    status = Counter(case.status for case in cases)
    judged = Counter(case.verdict.counted for case in cases if case.is_mapped)
    told = [f"{number} {name}" for name, number in status.items()]
    told.append(f"{sum(case.needs_a_look for case in cases)} to look at")
    told += [f"{judged[verdict]} {word}" for verdict, word in _WORDS.items()]
    return f"{counted(len(cases), 'case')}: {', '.join(told)}"


def valid_cases_of(plan: StudyFile) -> list[Case]:
    """Give the cases of a study in whose rows nothing is wrong."""
    return cases_of(read_scans(plan.table), plan.scans_to_map())[0]


def stamp_of_tables(plan: StudyFile) -> tuple[int, ...]:
    """Give the times at which the tables of cases and verdicts were written; 0 where there is none."""
    return tuple(_written(plan.results / name) for name in (CASES_FILE, REVIEW_FILE))


def stamp_of_study(study: Path, plan: StudyFile) -> tuple[int, ...]:
    """Give the times at which the study file and its table were written."""
    return _written(study), _written(plan.table)


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0
