"""The cases of a study in the panel: how each went, what was decided on it, and its nodes in the scene."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from ...anatomy.views import BONE_WINDOW_HU
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

_WORDS = {"accept": "accepted", "reject": "rejected"}
_LOOK = "look"  # how the program's suggestion to look at a case begins
_NO_REVIEW = Review(UNSEEN, "", "")


@dataclass(frozen=True)
class ListedCase:
    """One femur of a study, as ``cases.csv`` and ``qc.csv`` list it.

    Attributes
    ----------
    participant, visit, side : str
    name : str
        The name in BIDS style, also of the folder.
    status : str
        ``done``, ``failed`` or ``waiting``.
    reason : str
        Why it failed.
    suggestion : str
        Of the program: look at the result, or not.
    review : Review
        Of a person: decision and note.
    folder : Path
        With its result.
    """

    participant: str
    visit: str
    side: str
    name: str
    status: str
    reason: str
    suggestion: str
    review: Review
    folder: Path

    @property
    def identity(self) -> CaseId:
        """Participant, visit and side."""
        return self.participant, self.visit, self.side

    @property
    def title(self) -> str:
        """The name that the panel and the scene show."""
        return f"{self.participant} visit {self.visit} {self.side}"

    @property
    def is_mapped(self) -> bool:
        """Whether there is a result to open and review."""
        return self.status == DONE

    @property
    def needs_a_look(self) -> bool:
        """Whether the program suggests that a person looks at it."""
        return self.suggestion.startswith(_LOOK)

    @property
    def judged(self) -> str:
        """The decision in words; empty where there is none."""
        word = _WORDS.get(self.review.decision, "")
        return f"{word} (earlier result)" if self.review.is_of_earlier else word

    def mark(self) -> str:
        """Return the mark of the present result, by which it differs from earlier ones of this case."""
        return mark_of(self.folder)

    def cells(self) -> tuple[str, ...]:
        """Return the cells of its row in the panel's table."""
        return (
            *(self.participant, self.visit, self.side, self.status),
            *(self.judged, self.suggestion, self.reason),
        )

    def in_words(self) -> str:
        """Describe it in one to two lines: status, reason or suggestion, decision, note."""
        explanation = self.reason or self.suggestion
        lines = [f"{self.title}: {self.status}" + (f"; {explanation}" if explanation else "")]
        if self.judged:
            lines.append(self.judged + (f": {self.review.note}" if self.review.note else ""))
        return "\n".join(lines)


def read_study_of_scans(study: Path) -> StudyFile:
    """Read a study file that names scans.

    Raises
    ------
    CorticalBoneMappingError
        If it could not be read, or names maps.
    """
    plan = read_study_file(study, needs_analysis=False)
    plan.scans_to_map()
    return plan


def names_maps(study: Path) -> bool:
    """Whether a study file names maps that exist already: it has nothing to map."""
    try:
        return read_study_file(study, needs_analysis=False).scans is None
    except CorticalBoneMappingError:
        return False


def listed_cases(results: Path) -> list[ListedCase]:
    """Read the cases that a run has listed, in the order of the study; none before the first run.

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
            f"{path}: this is not the table that a run has written ({error}). Move the file away, and map "
            "the scans again."
        ) from error
    reviews = read_reviews(results, [(row["participant"], row["visit"], row["side"]) for row in rows])
    cases = []
    for row in rows:
        identity = row["participant"], row["visit"], row["side"]
        review = reviews.get(identity, _NO_REVIEW)
        texts = (row[name] for name in ("case", "status", "reason", "suggestion"))
        cases.append(ListedCase(*identity, *texts, review, results / case_folder(*identity)))
    return cases


def counts(cases: list[ListedCase]) -> str:
    """Count cases by status and decision, in one line."""
    status = Counter(case.status for case in cases)
    judged = Counter(case.review.counted for case in cases if case.is_mapped)
    parts = [f"{number} {name}" for name, number in status.items()]
    parts.append(f"{sum(case.needs_a_look for case in cases)} to look at")
    parts += [f"{judged[decision]} {word}" for decision, word in _WORDS.items()]
    return f"{counted(len(cases), 'case')}: {', '.join(parts)}"


def valid_cases_of(plan: StudyFile) -> list[Case]:
    """Return the cases of a study whose rows have no error."""
    return cases_of(read_scans(plan.table), plan.scans_to_map())[0]


def stamp_of_tables(plan: StudyFile) -> tuple[int, ...]:
    """Return when the tables of cases and reviews were written; 0 for one that does not exist."""
    return tuple(_written(plan.results / name) for name in (CASES_FILE, REVIEW_FILE))


def stamp_of_study(study: Path, plan: StudyFile) -> tuple[int, ...]:
    """Return when the study file and its table were written."""
    return _written(study), _written(plan.table)


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


def open_case(scene: slicer.vtkMRMLScene, case: ListedCase) -> ResultNodes:
    """Show a case in the scene; read its result if the scene does not have it.

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
    """Find the nodes of an opened case; None if it is not open, or was mapped again since."""
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
        The case.
    plan : StudyFile
        The study, whose table names the scan.
    nodes : ResultNodes
        Nodes of the case, from `open_case`.

    Returns
    -------
    vtkMRMLScalarVolumeNode

    Raises
    ------
    CorticalBoneMappingError
        If the scan does not exist, could not be read, or is no longer the one that was mapped: the surface
        would lie over another person's bone.
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
        raise CorticalBoneMappingError(_("The scan {path} does not exist.").format(path=source.ct))
    if _hash_of_scan(source, plan) != sha256:
        raise CorticalBoneMappingError(
            _("The scan {path} is no longer the one that was mapped; map the scans again.").format(
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
            _("{folder}: the result is damaged ({error}); map the scans again.").format(
                folder=case.folder, error=error
            )
        ) from error


def _hash_of_scan(case: Case, plan: StudyFile) -> str:
    """Return the hash of the scan; it is read only if its file changed since it was mapped."""
    known = known_fingerprints(read_record(plan.results, case)).get("ct")
    if known is not None and known.stamp == stamp_of(case.ct):
        return known.sha256
    return input_record(case.ct)["sha256"]
