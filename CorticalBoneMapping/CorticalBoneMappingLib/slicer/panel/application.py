"""What the panels need of Slicer itself: its Python, DICOM database, a sample scan, views and plots."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

from ...core.errors import Cancelled, CorticalBoneMappingError
from ...io.volume_files import read_labelmap, read_volume
from ..scene.cameras import LAYOUT_NUMBER, layout_description, look_at_peak, look_from, view_tags
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


def show_anatomical_views(points: np.ndarray) -> None:
    """Show four 3D views, one from each side of the femur, and a plot under them.

    Parameters
    ----------
    points : ndarray of shape (n, 3)
        Of the femur, RAS mm.
    """
    manager = slicer.app.layoutManager()
    layout = manager.layoutLogic().GetLayoutNode()
    if not layout.IsLayoutDescription(LAYOUT_NUMBER):
        layout.AddLayoutDescription(LAYOUT_NUMBER, layout_description())
    layout.SetViewArrangement(LAYOUT_NUMBER)
    for tag, view in view_tags().items():
        node = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLViewNode")
        look_from(slicer.modules.cameras.logic().GetViewActiveCameraNode(node), view, points)


def show_case(scan: slicer.vtkMRMLScalarVolumeNode | None, points: np.ndarray) -> None:
    """Show a bone and, if it is there, the scan under it, cut through the bone's middle.

    Parameters
    ----------
    scan : vtkMRMLScalarVolumeNode or None
    points : ndarray of shape (n, 3)
        Of the bone, RAS mm.
    """
    if scan is not None:
        slicer.util.setSliceViewerLayers(background=scan, fit=True)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *middle)
    slicer.util.resetThreeDViews()


def turn_to(place: np.ndarray, normal: np.ndarray) -> None:
    """Turn the first 3D view to a place on the surface."""
    node = slicer.app.layoutManager().threeDWidget(0).mrmlViewNode()
    look_at_peak(slicer.modules.cameras.logic().GetViewActiveCameraNode(node), place, normal)


def show_chart(chart: slicer.vtkMRMLPlotChartNode) -> None:
    """Show a chart in the plot view, if the layout has one."""
    slicer.modules.plots.logic().ShowChartInLayout(chart)


def begin_placing(point: slicer.vtkMRMLMarkupsFiducialNode) -> None:
    """Let the next click in a view place the point."""
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    selection.SetActivePlaceNodeID(point.GetID())
    slicer.app.applicationLogic().GetInteractionNode().SetCurrentInteractionMode(
        slicer.vtkMRMLInteractionNode.Place
    )
