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
from .commands import error_sentence, map_command


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
    def cancelling(self) -> bool:
        """Whether it was asked to stop."""
        return self._child.stopping

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
