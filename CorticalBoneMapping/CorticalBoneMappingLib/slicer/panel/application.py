"""What the panels need of the Slicer application: its Python, its DICOM database, a sample scan."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import slicer
import slicer.util
from slicer.i18n import tr as _

from ...core.errors import Cancelled, CorticalBoneMappingError
from ...io.volume_files import read_labelmap, read_volume
from ..scene.volumes import add_segmentation, add_volume
from .child_process import ChildProcess, error_sentence
from .runs import simulate_command

_POLL_SECONDS = 0.1  # between two updates of the dialog; chosen by hand; not tuned
_DICOM_TAGS = {"slice_thickness_mm": "0018,0050", "kvp": "0018,0060"}


def python_beside_slicer() -> str:
    """Return the Python that can run beside Slicer; `sys.executable` may be Slicer itself."""
    return shutil.which("PythonSlicer") or sys.executable


def dicom_facts_of(node: slicer.vtkMRMLScalarVolumeNode) -> dict[str, float | None]:
    """Look up slice thickness (mm) and tube voltage (kV) of a CT in Slicer's DICOM database.

    Slices may overlap, so the distance between them is not their thickness.

    Returns
    -------
    dict
        ``slice_thickness_mm`` and ``kvp``, named as in `Volume`; None where DICOM has no value.
    """
    instances = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    facts = {}
    for name, tag in _DICOM_TAGS.items():
        text = database.instanceValue(instances[0], tag) if instances and database else ""
        facts[name] = float(text) if text else None
    return facts


def simulate_hip(
    _source: object = None, options: Sequence[str] = ()
) -> tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLSegmentationNode]:
    """Simulate the CT of a right hip, whose truth is known, and add it with its segmentation.

    The files, the phantom's ``rods.csv`` among them, stay in Slicer's temporary folder.

    Parameters
    ----------
    _source : object
        Passed by Slicer's sample data; not used.
    options : sequence of str
        Further options of ``cbm simulate hip``.

    Raises
    ------
    CorticalBoneMappingError
        If the simulation failed, or was cancelled (`Cancelled`).
    """
    folder = Path(slicer.app.temporaryPath) / "SimulatedHip"
    _run_with_dialog(simulate_command(python_beside_slicer(), folder, options), _("Simulating a hip …"))
    volume = add_volume(slicer.mrmlScene, read_volume(folder / "ct.nrrd"), "SimulatedHip")
    names = {1: _("Femur"), 2: _("Other bone")}
    labelmap = read_labelmap(folder / "labels.nrrd")
    segmentation = add_segmentation(slicer.mrmlScene, labelmap, names, "SimulatedHip bones")
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    return volume, segmentation


def _run_with_dialog(command: list[str], text: str) -> None:
    child = ChildProcess(command)
    dialog = slicer.util.createProgressDialog(maximum=100, labelText=text)
    try:
        while child.running:
            child.poll()
            dialog.setValue(round(100 * child.fraction))
            if dialog.wasCanceled:
                child.stop()
            slicer.app.processEvents()
            time.sleep(_POLL_SECONDS)
    finally:
        child.close()
        dialog.close()
    if child.stopping:
        raise Cancelled
    if child.exit_code != 0:
        logging.error(child.failure)
        raise CorticalBoneMappingError(error_sentence(child.messages, child.exit_code))
