"""One run of ``cbm map`` for the panel: volumes go out, a result comes back, temporary files go away."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ..study.result import FemurResult
from ..study.result_files import read_result
from ..study.settings import MapSettings
from ..surface import Surface, write_surface
from ..volume import Volume
from ..volume_files import write_volume
from .child_run import ChildRun
from .commands import map_command


class MappingRun(ChildRun):
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
