"""One run of ``cbm segment`` for the panel: a CT goes out, femurs come back, temporary files go away."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ..study.found_files import FoundFiles, read_found
from ..volume import Volume
from ..volume_files import write_volume
from .child_run import ChildRun, RunState
from .commands import segment_command


class SegmentRun(ChildRun):
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
        self._answer = tempfile.TemporaryDirectory(prefix="cortical-bone-mapping-femurs-")
        try:
            ct_file = Path(temporary.name) / "ct.nrrd"
            write_volume(ct_file, ct)
            super().__init__(segment_command(python, ct_file, Path(self._answer.name)), temporary)
        except BaseException:
            temporary.cleanup()
            self._answer.cleanup()
            raise

    def poll(self) -> RunState:
        """Take up what the child told; what it leaves stays only where it is done, until `found`."""
        state = super().poll()
        if state in (RunState.CANCELLED, RunState.FAILED):
            self._answer.cleanup()
        return state

    def close(self) -> None:
        """End it at once, whatever its state, and remove the temporary files."""
        super().close()
        self._answer.cleanup()

    def found(self) -> FoundFiles:
        """Read what a run that is done has found; once.

        Raises
        ------
        CorticalBoneMappingError
            If its files are not what they should be.
        """
        try:
            return read_found(self._answer.name)
        finally:
            self._answer.cleanup()
