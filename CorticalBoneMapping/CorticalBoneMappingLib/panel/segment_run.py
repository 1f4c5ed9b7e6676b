"""One run of ``cbm segment`` for the panel: a CT goes out, femurs come back, temporary files go away."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ..study.found_files import FoundFiles, read_found
from ..volume import Volume
from ..volume_files import write_volume
from .child_run import AnsweringRun
from .commands import segment_command


class SegmentRun(AnsweringRun):
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
