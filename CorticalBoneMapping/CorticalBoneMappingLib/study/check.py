"""Check a study of scans before anything runs: its table, the headers of its scans, its questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..calibration import check_calibration
from ..core.errors import CorticalBoneMappingError, SettingError
from ..core.progress import Progress
from ..core.volume import Volume
from ..core.wording import counted
from ..io.volume_files import read_header
from ..io.volume_warnings import thickness_warnings
from ..pipeline.find.femur_in_scan import SURFACE_SUFFIX
from ..pipeline.find.found_files import read_ready_surface
from .analysis.questions import COLUMNS, faults_of_questions, refuse_wrong_questions
from .mapping.results_table import table_of_femurs
from .study_file.participants import problems_of_participants
from .study_file.problems import ERROR, NOTE, WARNING, Problem
from .study_file.scans import (
    CALIBRATION,
    MASK,
    PATH,
    SERIES,
    Case,
    ScanTable,
    cases_of,
    read_scans,
    valid_cases,
)
from .study_file.study_toml import StudyFile

_ANALYSIS = "analysis"


@dataclass(frozen=True)
class StudyCheck:
    """What a check found.

    Attributes
    ----------
    cases, scans : int
        Femurs, and files and DICOM folders that they are in, as far as the table is valid.
    problems : tuple of Problem
        By row.
    """

    cases: int
    scans: int
    problems: tuple[Problem, ...]

    def summary(self) -> str:
        """Return all of it as text."""
        kinds = {kind: sum(p.severity == kind for p in self.problems) for kind in (ERROR, WARNING, NOTE)}
        found = ", ".join(counted(count, kind) for kind, count in kinds.items())
        lines = [f"{counted(self.cases, 'femur')} in {counted(self.scans, 'scan')}: {found}"]
        return "\n".join([*lines, *(f"  {problem}" for problem in self.problems)])


def cases_to_map(study: StudyFile) -> list[Case]:
    """Return the cases of a study, if its table is valid and its questions fit the table.

    Raises
    ------
    CorticalBoneMappingError
        If the study names no scans, a cell of its table is invalid, or a question names what is not in the
        table; names the first of them.
    """
    scans = read_scans(study.table)
    cases = valid_cases(scans, study.scans_to_map())
    if not cases:
        raise SettingError(f"{study.table}: no row names a scan in its column 'path'; fill it in.")
    refuse_questions_before_mapping(study, scans, cases)
    return cases


def check_study(study: StudyFile, progress: Progress | None = None) -> StudyCheck:
    """Return all that is wrong with a study.

    Parameters
    ----------
    study : StudyFile
        With scans.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    StudyCheck

    Raises
    ------
    CorticalBoneMappingError
        If reading the table itself fails.
    """
    progress = progress or Progress()
    table = read_scans(study.table)
    cases, problems = cases_of(table, study.scans_to_map())
    problems += [Problem(str(table.path), 0, "", "", WARNING, text) for text in table.warnings]
    problems += problems_of_participants(table, study.coding.levels)
    problems += problems_of_questions(study, table, cases)
    problems += _shared_scans(table, cases)
    problems += _calibrations(table, cases)
    scans: dict[tuple[Path, str | None], list[Case]] = defaultdict(list)
    for case in cases:
        scans[case.ct, case.series].append(case)
    places: dict[tuple[Path, bytes], Case] = {}
    for number, shown in enumerate(scans.values()):
        progress.report(number / len(scans), f"Reading header {number + 1} of {len(scans)}")
        problems += _scan(table, shown, places)
    progress.report(1.0, "Checked")
    unique = dict.fromkeys(problems)  # both hips of a row would say the same twice
    return StudyCheck(len(cases), len(scans), tuple(sorted(unique, key=lambda p: (p.row, p.column))))


def problems_of_questions(study: StudyFile, scans: ScanTable, cases: Sequence[Case]) -> list[Problem]:
    """Return what is wrong with the questions, as if all cases were mapped.

    Parameters
    ----------
    study : StudyFile
    scans : ScanTable
    cases : sequence of Case
        In whose rows nothing is wrong; without any, questions are not checked.

    Returns
    -------
    list of Problem
        Of the study file.
    """
    if not cases:
        return []
    faults = faults_of_questions(study, table_of_femurs(scans, cases, study.coding.levels))
    return [
        Problem(study.source, 0, *((where, "") if where == COLUMNS else (_ANALYSIS, where)), ERROR, sentence)
        for where, sentence in faults
    ]


def refuse_questions_before_mapping(study: StudyFile, scans: ScanTable, cases: Sequence[Case]) -> None:
    """Refuse a study whose questions could not be answered when all cases are mapped.

    Raises
    ------
    CorticalBoneMappingError
        See `refuse_wrong_questions`.
    """
    refuse_wrong_questions(study, table_of_femurs(scans, cases, study.coding.levels))


def _shared_scans(table: ScanTable, cases: Sequence[Case]) -> list[Problem]:
    """Refuse one scan for two participants or two visits."""
    first: dict[tuple[Path, str | None], Case] = {}
    found = []
    for case in cases:
        other = first.setdefault((case.ct, case.series), case)
        if (other.participant, other.visit) != (case.participant, case.visit):
            whose = f"participant {other.participant} at visit {other.visit} (row {other.row})"
            found.append(table.problem_of(case, PATH, f"This scan is given for {whose} as well."))
    return found


def _calibrations(table: ScanTable, cases: Sequence[Case]) -> list[Problem]:
    """Try each calibration once; a wrong one is a problem of each row that names it, or else of the study."""
    wrong: dict[str, str] = {}
    for text in {case.settings.calibration for case in cases}:
        try:
            check_calibration(text)
        except CorticalBoneMappingError as error:
            wrong[text] = str(error)
    found = []
    for case in cases:
        if case.settings.calibration in wrong:
            of_row = table.problem_of(case, CALIBRATION, wrong[case.settings.calibration])
            found.append(of_row if of_row.value else replace(of_row, row=0, value=case.settings.calibration))
    return found


def _scan(
    table: ScanTable, cases: Sequence[Case], places: dict[tuple[Path, bytes], Case]
) -> Iterator[Problem]:
    """Read the header of a scan, and those of the masks drawn on it."""
    path = cases[0].ct
    try:
        ct = read_header(path, cases[0].series)
        warnings = [*ct.warnings, *thickness_warnings(ct)]
        yield from (table.problem_of(case, PATH, text, WARNING) for case in cases for text in warnings)
        yield from _same_place(table, ct, cases, places)
    except CorticalBoneMappingError as error:
        yield from (table.problem_of(case, PATH, str(error)) for case in cases)
        ct = None
    for case in cases:
        if case.mask is None:
            continue  # the femur will be found
        try:
            mask = None if case.mask.suffix.lower() == SURFACE_SUFFIX else read_header(case.mask)
            if mask is None:
                read_ready_surface(case.mask)
        except CorticalBoneMappingError as error:
            yield table.problem_of(case, MASK, str(error))
            continue
        if ct is not None and mask is not None and not _meet(ct, mask):
            sentence = f"The mask lies outside the scan {path.name}; was it drawn on another?"
            yield table.problem_of(case, MASK, sentence)


def _same_place(
    table: ScanTable, ct: Volume, cases: Sequence[Case], places: dict[tuple[Path, bytes], Case]
) -> Iterator[Problem]:
    """Warn of two series of one folder that are one scan, reconstructed twice or named in two ways."""
    place = ct.ijk_to_ras.round(3).tobytes() + repr(ct.array.shape).encode()
    other = places.setdefault((cases[0].ct, place), cases[0])
    for case in cases:
        if other is not cases[0] and (other.participant, other.visit) != (case.participant, case.visit):
            whose = f"participant {other.participant} at visit {other.visit} (row {other.row})"
            sentence = f"The series covers exactly the same place as that of {whose}; is it the same scan?"
            yield table.problem_of(case, SERIES, sentence, WARNING)


def _meet(one: Volume, other: Volume) -> bool:
    """Return whether the boxes of two volumes share some space, along the axes of either."""
    return _reaches(one, other) and _reaches(other, one)


def _reaches(one: Volume, other: Volume) -> bool:
    """Return whether the corners of `other` span any of the voxels of `one` along each of its axes."""
    size = np.array(other.array.shape[::-1])
    corners = one.index_of(other.points_of(np.indices((2, 2, 2)).reshape(3, -1).T * (size - 1.0)))
    return bool(
        np.all((corners.max(axis=0) >= 0) & (corners.min(axis=0) <= np.array(one.array.shape[::-1]) - 1))
    )
