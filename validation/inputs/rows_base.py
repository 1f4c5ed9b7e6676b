"""The plain scan itself, stored in the formats that are read."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from CorticalBoneMappingLib.io.volume_files import read_volume, write_volume

from .hip import as_plain, base
from .judged import Answer, Input


def _stored_as(ending: str, folder: Path) -> Answer:
    write_volume(folder / f"ct{ending}", read_volume(base() / "ct.nrrd"))
    return as_plain(folder / f"ct{ending}", folder)


INPUTS = [
    Input("kept", f"the hip as {ending}", "the plain scan", partial(_stored_as, ending), is_long=True)
    for ending in (".nrrd", ".nii.gz", ".mha")
]
