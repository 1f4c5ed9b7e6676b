"""The colours of maps as MRML colour tables: one for measures, one for why a point carries none."""

from __future__ import annotations

import numpy as np
import slicer

from ..colours import NO_CORTEX_COLOUR, NOT_MEASURED_COLOUR, diverging, sequential
from ..measures import Quality

_ATTRIBUTE = "CorticalBoneMapping.Colours"

# Short names: Slicer shrinks a legend's letters until the longest fits. Colours after Okabe and Ito 2008,
# which every kind of colour vision tells apart.
_QUALITY_COLOURS = {
    Quality.GOOD: ("measured", (0.90, 0.90, 0.84)),
    Quality.NOT_MEASURED: ("cut end", NOT_MEASURED_COLOUR),
    Quality.OUTSIDE_SCAN: ("outside scan", (0.34, 0.71, 0.91)),
    Quality.NO_CORTEX: ("no cortex", NO_CORTEX_COLOUR),
    Quality.FIT_FAILED: ("fit failed", (0.90, 0.62, 0.00)),
    Quality.METAL: ("metal", (0.15, 0.15, 0.15)),
}


def colour_table(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """Give the scene's table for measures; it is added where it is not there yet.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where the table is, or is added.

    Returns
    -------
    vtkMRMLColorTableNode
        256 colours from little to much; not-a-number is grey.
    """
    return _ramp(scene, "Cortical bone map", sequential(256))


def difference_table(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """Give the scene's table for effects: blue for a loss, orange for a gain, grey for not significant."""
    return _ramp(scene, "Cortical bone effect", diverging(255))


def quality_table(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """Give the scene's table for `Quality`: one named colour a value."""
    return _table(scene, "Cortical bone map quality", [_QUALITY_COLOURS[kind] for kind in Quality])


def _ramp(scene: slicer.vtkMRMLScene, name: str, ramp: np.ndarray) -> slicer.vtkMRMLColorTableNode:
    table = _table(scene, name, [(f"{index}", tuple(colour)) for index, colour in enumerate(ramp)])
    # MRML files do not keep the colour of not-a-number: without this, a restored map shows dark red where
    # nothing was measured, which reads as a value.
    table.GetLookupTable().SetNanColor(*NOT_MEASURED_COLOUR, 1.0)
    table.Modified()
    return table


def _table(
    scene: slicer.vtkMRMLScene, name: str, colours: list[tuple[str, tuple[float, ...]]]
) -> slicer.vtkMRMLColorTableNode:
    """Find a table by what it says of itself (users may rename it), or make it."""
    kind = "vtkMRMLColorTableNode"
    tables = (scene.GetNthNodeByClass(index, kind) for index in range(scene.GetNumberOfNodesByClass(kind)))
    node = next((table for table in tables if table.GetAttribute(_ATTRIBUTE) == name), None)
    if node is None:
        node = scene.AddNewNodeByClass(kind, name)
        node.SetAttribute(_ATTRIBUTE, name)
        node.SetTypeToUser()
        node.SetNumberOfColors(len(colours))
        for index, (label, colour) in enumerate(colours):
            node.SetColor(index, label, *colour, 1.0)
    return node
