"""The section of the panel that finds the femurs of a CT: its button, and the verdict on what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import slicer
from slicer.i18n import tr as _

from ...scene.segmentation import add_femurs, said_of
from ...scene.volumes import volume_from_node
from ..application import facts_of_scan, python_beside_slicer
from ..runs import FindFemursRun
from .run_section import RunSection


def start_finding(ct: slicer.vtkMRMLScalarVolumeNode) -> FindFemursRun:
    """Begin to look for the femurs of a CT in a child process, so that Slicer stays alive."""
    volume = replace(volume_from_node(ct), **facts_of_scan(ct))
    return FindFemursRun(volume, python=python_beside_slicer())


def add_found(run: FindFemursRun, ct: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """Add the femurs of a run that is done to the scene, as one segmentation on the grid of the CT."""
    return add_femurs(slicer.mrmlScene, run.found(), ct, _("{ct} femurs").format(ct=ct.GetName()))


class FindSection:
    """Finds the femurs of the chosen CT.

    Parameters
    ----------
    ui : namespace of widgets
        With ``findButton``, ``findProgressBar``, ``findStatusLabel``, and ``inputsSection``, which cannot be
        used meanwhile.
    missing : callable
        Gives what stands against a search, one sentence each; None where there is nothing to search in.
    volume : callable
        Gives the node of the CT.
    take : callable
        Takes the segmentation that was added.
    changed : callable
        Called when a search has begun or ended.
    """

    def __init__(
        self,
        ui: SimpleNamespace,
        missing: Callable[[], list[str] | None],
        volume: Callable[[], slicer.vtkMRMLScalarVolumeNode],
        take: Callable[[slicer.vtkMRMLSegmentationNode], None],
        changed: Callable[[], None],
    ) -> None:
        self._volume, self._take, self._label = volume, take, ui.findStatusLabel
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
        """Whether a search is on."""
        return self._section.run is not None

    def show(self, segmentation: slicer.vtkMRMLSegmentationNode | None) -> None:
        """Show the verdict on a segmentation that was not shown last."""
        if not self.running and segmentation is not self._shown:
            self._shown = segmentation
            self._label.text = said_of(segmentation)

    def show_button(self) -> None:
        """Enable the button if everything is there, and say in its tooltip what is missing."""
        self._section.show_apply()

    def abandon(self) -> None:
        """End a search at once."""
        self._section.abandon()

    def _start(self) -> FindFemursRun:
        self._searched = self._volume()
        return start_finding(self._searched)

    def _finished(self, run: FindFemursRun) -> None:
        segmentation = add_found(run, self._searched)
        self.show(segmentation)
        self._take(segmentation)
