"""The command lines that the panel runs, and what a failed one says."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from ..study.settings import MapSettings

LABEL = 1
"""Value of the femur in the label map that is handed over."""

_PROGRAM = ["-m", "CorticalBoneMappingLib.cli"]
_ERROR_MARK = "error:"
_KILLED = (-9, 137)  # how Linux and macOS end what takes too much memory; the second by way of a launcher


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


def error_sentence(messages: list[str], exit_code: int | None = None) -> str:
    """Pick the sentence for the user out of what a failed command wrote, with the indented lines after it.

    A traceback is a fault of the program, which no sentence of its own explains; whoever shows this sentence
    writes `ChildProcess.failure` to the error log.
    """
    said = [number for number, line in enumerate(messages) if line.startswith(_ERROR_MARK)]
    if said:
        more = takewhile(lambda line: line.startswith(" "), messages[said[-1] + 1 :])
        return "\n".join([messages[said[-1]].removeprefix(_ERROR_MARK).strip(), *more])
    details = "the details are in Slicer's error log."
    if exit_code in _KILLED:
        return f"The program was ended by the system, perhaps because memory ran out; {details}"
    return f"The program stopped by a fault of its own; {details}"
