"""Section that finds the femurs of a CT, with the verdict on what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import slicer
from slicer.i18n import tr as _

from ...scene.segmentation import add_femurs, found_summary_of
from ...scene.volumes import volume_from_node
from ..application import dicom_facts_of, python_beside_slicer
from ..runs import FindFemursRun
from .run_section import RunSection


def start_finding(ct: slicer.vtkMRMLScalarVolumeNode) -> FindFemursRun:
    """Start to find the femurs of a CT in a child process."""
    volume = replace(volume_from_node(ct), **dicom_facts_of(ct))
    return FindFemursRun(volume, python=python_beside_slicer())


def add_found(run: FindFemursRun, ct: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """Add the femurs of a finished run to the scene, as one segmentation on the grid of the CT."""
    return add_femurs(slicer.mrmlScene, run.found(), ct, _("{ct} femurs").format(ct=ct.GetName()))


class FindSection:
    """Find the femurs of the chosen CT.

    Parameters
    ----------
    ui : namespace of widgets
        With ``findButton``, ``findProgressBar``, ``findStatusLabel`` and ``inputsSection``, which is disabled
        meanwhile.
    missing : callable
        Returns what has to be set before a search, one sentence each.
    volume : callable
        Returns the node of the CT.
    found : callable
        Called with the segmentation that was added.
    changed : callable
        Called when a search has started or ended.
    """

    def __init__(
        self,
        ui: SimpleNamespace,
        missing: Callable[[], list[str] | None],
        volume: Callable[[], slicer.vtkMRMLScalarVolumeNode],
        found: Callable[[slicer.vtkMRMLSegmentationNode], None],
        changed: Callable[[], None],
    ) -> None:
        self._volume, self._found, self._label = volume, found, ui.findStatusLabel
        self._searched = self._shown = None
        self._section = RunSection(
            SimpleNamespace(
                applyButton=ui.findButton, progressBar=ui.findProgressBar, statusLabel=ui.findStatusLabel
            ),
            (ui.inputsSection,),
            missing,
            self._start,
            self._finished,
            _("Find the femurs that the CT shows, and add them as segments."),
            changed,
        )

    @property
    def running(self) -> bool:
        """Whether a search runs."""
        return self._section.run is not None

    def show(self, segmentation: slicer.vtkMRMLSegmentationNode | None) -> None:
        """Show the verdict on a segmentation, if it is not the one shown last."""
        if not self.running and segmentation is not self._shown:
            self._shown = segmentation
            self._label.text = found_summary_of(segmentation)

    def show_button(self) -> None:
        """Enable the button if all inputs are set; else its tooltip lists what is missing."""
        self._section.show_apply()

    def abandon(self) -> None:
        """Kill a search."""
        self._section.abandon()

    def _start(self) -> FindFemursRun:
        self._searched = self._volume()
        return start_finding(self._searched)

    def _finished(self, run: FindFemursRun) -> None:
        segmentation = add_found(run, self._searched)
        self.show(segmentation)
        self._found(segmentation)
