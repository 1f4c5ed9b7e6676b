"""One run of ``cbm map`` for the panel: volumes go out, a result comes back, temporary files go away."""

from __future__ import annotations

import sys
import tempfile
from enum import Enum
from pathlib import Path

from ..study.result import FemurResult
from ..study.result_files import read_result
from ..study.settings import MapSettings
from ..volume import Volume
from ..volume_files import write_volume
from .child_process import ChildProcess

LABEL = 1
"""Value of the femur in the label map that is handed over."""


class RunState(Enum):
    """How a run stands."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class MappingRun:
    """Map a femur in a child process.

    Parameters
    ----------
    ct, labelmap : Volume
        The CT in HU, and the femur as 1 in 0.
    side : {"left", "right"}
        Side of the body.
    settings : MapSettings
        Choices; the label is `LABEL` whatever they say.
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
        labelmap: Volume,
        side: str,
        settings: MapSettings,
        folder: Path,
        python: str = sys.executable,
    ) -> None:
        self.folder = folder
        self._temporary = tempfile.TemporaryDirectory(prefix="cortical-bone-mapping-")
        ct_file, mask_file = (Path(self._temporary.name) / name for name in ("ct.nrrd", "femur.nrrd"))
        try:
            write_volume(ct_file, ct)
            write_volume(mask_file, labelmap)
            self._child = ChildProcess(map_command(python, ct_file, mask_file, side, settings, folder))
        except BaseException:
            self._temporary.cleanup()
            raise

    @property
    def fraction(self) -> float:
        """How far it is, 0 to 1."""
        return self._child.fraction

    @property
    def text(self) -> str:
        """What is being done."""
        return self._child.text

    @property
    def log(self) -> str:
        """All that the child wrote besides its progress, for whoever looks for a fault."""
        return "\n".join(self._child.messages)

    def poll(self) -> RunState:
        """Take up what the child told; when it has ended, remove the temporary files."""
        self._child.poll()
        if self._child.running:
            return RunState.RUNNING
        self._temporary.cleanup()
        if self._child.exit_code == 0:
            return RunState.DONE
        return RunState.CANCELLED if self._child.stopping else RunState.FAILED

    def cancel(self) -> None:
        """Ask it to stop; `poll` tells when it has."""
        self._child.stop()

    def close(self) -> None:
        """End it at once, whatever its state, and remove the temporary files."""
        self._child.close()
        self._temporary.cleanup()

    def result(self) -> FemurResult:
        """Read the result of a run that is done.

        Raises
        ------
        CorticalBoneMappingError
            If its files are not what they should be.
        """
        return read_result(self.folder)

    def error_sentence(self) -> str:
        """Give the one sentence that a failed run has for the user; faults of the program have no other."""
        return error_sentence(self._child.messages)


def map_command(
    python: str, ct: Path, mask: Path, side: str, settings: MapSettings, folder: Path
) -> list[str]:
    """Give the command line that maps a femur, as a user would type it.

    Returns
    -------
    list of str
        Program and arguments.
    """
    command = [python, "-m", "CorticalBoneMappingLib.cli", "map", str(ct), "--mask", str(mask)]
    command += ["--label", str(LABEL), "--side", side, "--out", str(folder), "--method", settings.method]
    command += ["--calibration", settings.calibration, "--spacing", f"{settings.spacing_mm:g}"]
    if settings.cortical_density is not None:
        command += ["--cortical-density", str(settings.cortical_density)]
    return [*command, "--progress", "json"]


def error_sentence(messages: list[str]) -> str:
    """Pick the sentence for the user out of what a failed command wrote.

    A traceback is a fault of the program, which no sentence of its own explains.
    """
    said = [line for line in messages if line.startswith(_ERROR_MARK)]
    if said:
        return said[-1].removeprefix(_ERROR_MARK).strip()
    return "The program stopped by a fault of its own; the details are in Slicer's error log."


_ERROR_MARK = "error:"
