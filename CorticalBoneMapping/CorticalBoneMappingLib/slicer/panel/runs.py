"""The ``cbm`` commands that the panels run in a child process, and how their results are read."""

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
"""Value of the femur in the label map that the command reads."""

_PROGRAM = ["-m", "CorticalBoneMappingLib.cli"]
_PROBLEMS_FILE = "problems.csv"


def map_command(
    python: str, ct: Path, mask: Path, side: str, settings: MapSettings, folder: Path
) -> list[str]:
    """Return the command that maps a femur.

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
    """Return the command that finds the femurs of a CT."""
    return [python, *_PROGRAM, "segment", str(ct), "--out", str(folder), "--progress", "json"]


def stats_command(python: str, study: Path, folder: Path, only: str | None = None) -> list[str]:
    """Return the command that analyses the maps of a study, in all its analyses or one."""
    chosen = [] if only is None else ["--only", only]
    return [python, *_PROGRAM, "stats", str(study), "--out", str(folder), *chosen, "--progress", "json"]


def study_check_command(python: str, study: Path, problems: Path) -> list[str]:
    """Return the command that checks the scans of a study and writes the CSV file `problems`."""
    return [python, *_PROGRAM, "study", "check", str(study), "--out", str(problems), "--progress", "json"]


def study_run_command(python: str, study: Path) -> list[str]:
    """Return the command that maps the scans of a study."""
    return [python, *_PROGRAM, "study", "run", str(study), "--progress", "json"]


def simulate_command(python: str, folder: Path, options: Sequence[str] = ()) -> list[str]:
    """Return the command that simulates a hip; `options` are further ones of ``cbm simulate hip``."""
    return [python, *_PROGRAM, "simulate", "hip", "--out", str(folder), *options, "--progress", "json"]


class MapFemurRun(ChildRun):
    """Map one femur: ``cbm map``.

    Parameters
    ----------
    ct : Volume
        HU.
    femur : Volume or Surface
        Label map (1 inside, 0 outside), or surface in RAS mm.
    side : {"left", "right"}
        Side of the body.
    settings : MapSettings
        How to map; its label is not used.
    folder : Path
        Folder of the result.
    python : str
        The Python that has the library's dependencies.

    Raises
    ------
    VolumeError
        If a volume could not be written.
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
        """Read the result of a finished run.

        Raises
        ------
        CorticalBoneMappingError
            If a file is missing or damaged.
        """
        return read_result(self.folder)


class FindFemursRun(OutputRun):
    """Find the femurs of a CT: ``cbm segment``.

    Parameters
    ----------
    ct : Volume
        HU.
    python : str
        The Python that has the library's dependencies.

    Raises
    ------
    VolumeError
        If the volume could not be written.
    """

    def __init__(self, ct: Volume, python: str = sys.executable) -> None:
        temporary = tempfile.TemporaryDirectory(prefix="cortical-bone-mapping-")
        output = tempfile.TemporaryDirectory(prefix="cortical-bone-mapping-femurs-")
        try:
            ct_file = Path(temporary.name) / "ct.nrrd"
            write_volume(ct_file, ct)
            super().__init__(segment_command(python, ct_file, Path(output.name)), output, temporary)
        except BaseException:
            temporary.cleanup()
            output.cleanup()
            raise

    def found(self) -> FoundFiles:
        """Read the femurs that a finished run has found; works once.

        Raises
        ------
        CorticalBoneMappingError
            If a file is missing or damaged.
        """
        return self.read_output(read_found)


class AnalyseMapsRun(ChildRun):
    """Analyse the maps of a study: ``cbm stats``.

    An analysis that the study file has is run from that file. Any other is written to the output folder as
    ``asked.toml``, so that ``cbm stats`` can run it again without the panel.

    Parameters
    ----------
    plan : StudyFile
        The study with one analysis.
    folder : Path
        Output folder.
    python : str
        The Python that has the library's dependencies.

    Raises
    ------
    CorticalBoneMappingError
        If the output folder has an ``asked.toml`` that was written or changed by hand.
    """

    def __init__(self, plan: StudyFile, folder: Path, python: str = sys.executable) -> None:
        (analysis,) = plan.analyses
        self.folder = answer_folder(folder, analysis)
        if _is_in_study_file(plan):
            study, only = Path(plan.source), analysis.name
        else:
            study, only = folder / ASKED_FILE, None
            folder.mkdir(parents=True, exist_ok=True)
            write_study_file(study, plan)
        super().__init__(stats_command(python, study, folder, only))

    def answer(self) -> AnswerFiles:
        """Read the answer of a finished run."""
        return read_answer(self.folder)


def _is_in_study_file(plan: StudyFile) -> bool:
    """Whether the study file has this analysis, with the same table and settings."""
    if not plan.source:
        return False
    own = read_study_file(plan.source, needs_analysis=False)
    same_folder = own.results.resolve() == plan.results.resolve()
    asked_alone = replace(own, analyses=plan.analyses, results=plan.results)
    return same_folder and asked_alone == plan and plan.analyses[0] in own.analyses


class CheckScansRun(OutputRun):
    """Check the scans of a study: ``cbm study check``. The run is `DONE` also if it has found errors.

    Parameters
    ----------
    study : Path
        ``study.toml``, which names scans.
    python : str
        The Python that has the library's dependencies.
    """

    def __init__(self, study: Path, python: str = sys.executable) -> None:
        output = tempfile.TemporaryDirectory(prefix="cortical-bone-study-")
        self._file = Path(output.name) / _PROBLEMS_FILE
        try:
            super().__init__(study_check_command(python, study, self._file), output)
        except BaseException:
            output.cleanup()
            raise

    def problems(self) -> list[Problem]:
        """Read the problems that a finished run has found; works once."""
        return self.read_output(lambda folder: _read_problems(folder / _PROBLEMS_FILE))

    def _succeeded(self) -> bool:
        return super()._succeeded() or self._file.is_file()


def _read_problems(path: Path) -> list[Problem]:
    try:
        return [Problem(**row) for row in read_rows(path, PROBLEM_COLUMNS)]
    except (OSError, ValueError, KeyError) as error:
        raise CorticalBoneMappingError(
            f"The list of problems could not be read ({error}). Check the study again."
        ) from error


class MapScansRun(ChildRun):
    """Map the scans of a study: ``cbm study run``. Mapped cases stay, however it ends.

    Parameters
    ----------
    study : Path
        ``study.toml``, which names scans.
    python : str
        The Python that has the library's dependencies.
    """

    def __init__(self, study: Path, python: str = sys.executable) -> None:
        super().__init__(study_run_command(python, study))
