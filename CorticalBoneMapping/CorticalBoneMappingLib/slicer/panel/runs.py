"""The command lines that the panel runs, and what a failed one says.

One run of ``cbm map`` for the panel: volumes go out, a result comes back, temporary files go away.

One run of ``cbm segment`` for the panel: a CT goes out, femurs come back, temporary files go away.

One run of ``cbm stats`` for the panel.

Runs of ``cbm study check`` and ``cbm study run`` for the panel.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...core.errors import CorticalBoneMappingError
from ...core.surface import Surface
from ...core.volume import Volume
from ...io.surface_files import write_surface
from ...io.tables import read_rows
from ...io.volume_files import write_volume
from ...pipeline.find.found_files import FoundFiles, read_found
from ...pipeline.result import FemurResult, read_result
from ...pipeline.settings import MapSettings
from ...study.analysis.analyse_maps import answer_folder
from ...study.analysis.answer_files import AnswerFiles, read_answer
from ...study.analysis.up_to_date import ASKED_FILE
from ...study.study_file.problems import PROBLEM_COLUMNS, Problem
from ...study.study_file.study_toml import StudyFile, read_study_file, write_study_file
from .child_process import ChildRun, OutputRun

LABEL = 1
"""Value of the femur in the label map that is handed over."""

_PROGRAM = ["-m", "CorticalBoneMappingLib.cli"]


def map_command(
    python: str, ct: Path, mask: Path, side: str, settings: MapSettings, folder: Path
) -> list[str]:
    """Give the command line that maps a femur, as a user would type it.

    Returns
    -------
    list of str
        Program and arguments.
    """
    command = [python, *_PROGRAM, "map", str(ct), "--mask", str(mask)]
    command += ["--label", str(LABEL), "--side", side, "--out", str(folder), "--method", settings.method]
    command += ["--calibration", settings.calibration, "--spacing", f"{settings.spacing_mm:g}"]
    command += ["--hardening", settings.hardening]
    if settings.kvp is not None:
        command += ["--kvp", f"{settings.kvp:g}"]
    if settings.slice_thickness_mm is not None:
        command += ["--slice-thickness", f"{settings.slice_thickness_mm:g}"]
    if settings.cortical_density is not None:
        command += ["--cortical-density", str(settings.cortical_density)]
    return [*command, "--progress", "json"]


def segment_command(python: str, ct: Path, folder: Path) -> list[str]:
    """Give the command line that finds the femurs of a CT, as a user would type it."""
    return [python, *_PROGRAM, "segment", str(ct), "--out", str(folder), "--progress", "json"]


def stats_command(python: str, study: Path, folder: Path, only: str | None = None) -> list[str]:
    """Give the command line that answers a study, or one analysis of it, as a user would type it."""
    chosen = [] if only is None else ["--only", only]
    return [python, *_PROGRAM, "stats", str(study), "--out", str(folder), *chosen, "--progress", "json"]


def study_check_command(python: str, study: Path, problems: Path) -> list[str]:
    """Give the command line that checks a study's scans, as a user would type it; `problems` is a CSV."""
    return [python, *_PROGRAM, "study", "check", str(study), "--out", str(problems), "--progress", "json"]


def study_run_command(python: str, study: Path) -> list[str]:
    """Give the command line that maps a study's scans, as a user would type it."""
    return [python, *_PROGRAM, "study", "run", str(study), "--progress", "json"]


def simulate_command(python: str, folder: Path, options: Sequence[str] = ()) -> list[str]:
    """Give the command line that simulates a hip.

    Parameters
    ----------
    python : str
        The Python that runs it.
    folder : Path
        Where the scan is written.
    options : sequence of str
        Further options of ``cbm simulate hip``.

    Returns
    -------
    list of str
        Program and arguments.
    """
    return [python, *_PROGRAM, "simulate", "hip", "--out", str(folder), *options, "--progress", "json"]


class MapFemurRun(ChildRun):
    """Map a femur in a child process.

    Parameters
    ----------
    ct : Volume
        HU.
    femur : Volume or Surface
        The femur as 1 in 0, or its surface as it was found.
    side : {"left", "right"}
        Side of the body.
    settings : MapSettings
        Choices; the label is `commands.LABEL` whatever they say.
    folder : Path
        Where the result is written.
    python : str
        The Python that has the library's dependencies.

    Raises
    ------
    VolumeError
        If a volume cannot be handed over.
    """

    def __init__(
        self,
        ct: Volume,
        femur: Volume | Surface,
        side: str,
        settings: MapSettings,
        folder: Path,
        python: str = sys.executable,
    ) -> None:
        self.folder = folder
        temporary = tempfile.TemporaryDirectory(prefix="cortical-bone-mapping-")
        is_surface = isinstance(femur, Surface)
        names = ("ct.nrrd", "femur.vtp" if is_surface else "femur.nrrd")
        ct_file, mask_file = (Path(temporary.name) / name for name in names)
        try:
            write_volume(ct_file, ct)
            (write_surface if is_surface else write_volume)(mask_file, femur)
            super().__init__(map_command(python, ct_file, mask_file, side, settings, folder), temporary)
        except BaseException:
            temporary.cleanup()
            raise

    def result(self) -> FemurResult:
        """Read the result of a run that is done.

        Raises
        ------
        CorticalBoneMappingError
            If its files are not what they should be.
        """
        return read_result(self.folder)


class FindFemursRun(OutputRun):
    """Find the femurs of a CT in a child process.

    Parameters
    ----------
    ct : Volume
        HU.
    python : str
        The Python that has the library's dependencies.

    Raises
    ------
    VolumeError
        If the volume cannot be handed over.
    """

    def __init__(self, ct: Volume, python: str = sys.executable) -> None:
        temporary = tempfile.TemporaryDirectory(prefix="cortical-bone-mapping-")
        answer = tempfile.TemporaryDirectory(prefix="cortical-bone-mapping-femurs-")
        try:
            ct_file = Path(temporary.name) / "ct.nrrd"
            write_volume(ct_file, ct)
            super().__init__(segment_command(python, ct_file, Path(answer.name)), answer, temporary)
        except BaseException:
            temporary.cleanup()
            answer.cleanup()
            raise

    def found(self) -> FoundFiles:
        """Read what a run that is done has found; once.

        Raises
        ------
        CorticalBoneMappingError
            If its files are not what they should be.
        """
        return self.take(read_found)


class AnalyseMapsRun(ChildRun):
    """Answer a study in a child process.

    An analysis that is asked as its study file has it is asked of that file. Any other is written to the
    output folder as ``asked.toml``, so that ``cbm stats`` can be run on it again without the panel.

    Parameters
    ----------
    plan : StudyFile
        With one analysis.
    folder : Path
        Where the answer is written.
    python : str
        The Python that has the library's dependencies.

    Raises
    ------
    CorticalBoneMappingError
        If there is an ``asked.toml`` that was written or changed by hand.
    """

    def __init__(self, plan: StudyFile, folder: Path, python: str = sys.executable) -> None:
        (analysis,) = plan.analyses
        self.folder = answer_folder(folder, analysis)
        if _is_of_its_file(plan):
            study, only = Path(plan.source), analysis.name
        else:
            study, only = folder / ASKED_FILE, None
            folder.mkdir(parents=True, exist_ok=True)
            write_study_file(study, plan)
        super().__init__(stats_command(python, study, folder, only))

    def answer(self) -> AnswerFiles:
        """Read the answer of a run that is done."""
        return read_answer(self.folder)


def _is_of_its_file(plan: StudyFile) -> bool:
    """Whether the study file asks just this, among other things."""
    if not plan.source:
        return False
    own = read_study_file(plan.source, needs_analysis=False)
    same_folder = own.results.resolve() == plan.results.resolve()
    asked_alone = replace(own, analyses=plan.analyses, results=plan.results)
    return same_folder and asked_alone == plan and plan.analyses[0] in own.analyses


_PROBLEMS_FILE = "problems.csv"


class CheckScansRun(OutputRun):
    """Look in a child process for all that is wrong with a study; a study with errors is checked as well.

    Parameters
    ----------
    study : Path
        ``study.toml``, which names scans.
    python : str
        The Python that has the library's dependencies.
    """

    def __init__(self, study: Path, python: str = sys.executable) -> None:
        answer = tempfile.TemporaryDirectory(prefix="cortical-bone-study-")
        self._file = Path(answer.name) / _PROBLEMS_FILE
        try:
            super().__init__(study_check_command(python, study, self._file), answer)
        except BaseException:
            answer.cleanup()
            raise

    def problems(self) -> list[Problem]:
        """Read what a run that is done has found; once."""
        return self.take(lambda folder: _read_problems(folder / _PROBLEMS_FILE))

    def _ended_well(self) -> bool:
        return super()._ended_well() or self._file.is_file()


class MapScansRun(ChildRun):
    """Map all scans of a study in a child process; what is done stays, whenever it ends.

    Parameters
    ----------
    study : Path
        ``study.toml``, which names scans.
    python : str
        The Python that has the library's dependencies.
    """

    def __init__(self, study: Path, python: str = sys.executable) -> None:
        super().__init__(study_run_command(python, study))


def _read_problems(path: Path) -> list[Problem]:
    try:
        return [Problem(**row) for row in read_rows(path, PROBLEM_COLUMNS)]
    except (OSError, ValueError, KeyError) as error:
        raise CorticalBoneMappingError(f"The list of problems could not be read ({error}).") from error
