"""The average femur registered to a bone, the transform, and the landmarks, as nodes beside the CT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util
import vtk

from ...pipeline.anatomy import DEFORMATION
from ...pipeline.result import FemurResult
from .models import add_map_model, colour_table, hide_legend, label_legend, put_beside
from .results import RESULT_ATTRIBUTE, ROLE_ATTRIBUTE, ResultNodes, results_in

DEFORMATION_RANGE_MM = (0.0, 10.0)
"""Range of the colours: displacement beyond position, rotation and size; chosen by hand; not tuned."""

_ROLES = {"registered_template": "laid", "average_to_bone": "average_to_bone", "landmarks": "landmarks"}
"""Fields of `RegistrationNodes`, and the roles of these nodes in saved scenes."""

_LANDMARK_SIZE_MM, _LANDMARK_TEXT = 4.0, 3.0  # chosen by hand; the text is in percent of the view
_LANDMARK_COLOUR = (0.84, 0.37, 0.00)  # vermilion after Okabe and Ito 2008: not a colour of the maps


@dataclass(frozen=True)
class RegistrationNodes:
    """The nodes of one femur's registration.

    Attributes
    ----------
    registered_template : vtkMRMLModelNode
        The average femur registered to the bone, with ``region`` and deformation (mm).
    average_to_bone : vtkMRMLLinearTransformNode
        The similarity from the average femur to the bone, with the reflection of a left femur: a model of
        the average femur under this transform lies on the bone.
    landmarks : vtkMRMLMarkupsFiducialNode
        The bone's landmarks by name; empty if its anatomy was not measured.
    """

    registered_template: slicer.vtkMRMLModelNode
    average_to_bone: slicer.vtkMRMLLinearTransformNode
    landmarks: slicer.vtkMRMLMarkupsFiducialNode


def add_registration(
    scene: slicer.vtkMRMLScene, result: FemurResult, nodes: ResultNodes, name: str
) -> RegistrationNodes | None:
    """Add the registration of a bone, hidden, to the folder of its result.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.
    result : FemurResult
        Result of one femur.
    nodes : ResultNodes
        Its nodes.
    name : str
        The nodes' names begin with it.

    Returns
    -------
    RegistrationNodes or None
        None if the result has no registration.
    """
    if result.registered_template is None:
        return None
    registered_template = add_map_model(
        scene, result.registered_template, f"{name} average femur on the bone"
    )
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", f"{name} average femur to bone")
    matrix = np.array(result.provenance["registration"]["average_to_bone"])
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    places = result.provenance.get("anatomy", {}).get("landmarks_ras_mm", {})
    landmarks = _add_landmarks(scene, places, f"{name} landmarks")
    added = RegistrationNodes(registered_template, transform, landmarks)
    for field, role in _ROLES.items():
        node = getattr(added, field)
        node.SetAttribute(RESULT_ATTRIBUTE, nodes.identifier)
        node.SetAttribute(ROLE_ATTRIBUTE, role)
        put_beside(scene, node, nodes.bone)
    hide_registration(nodes)
    return added


def registration_of(nodes: ResultNodes) -> RegistrationNodes | None:
    """Find the registration of a result, also in a restored scene; None if it has none."""
    scene, found = nodes.bone.GetScene(), {}
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        if node.GetAttribute(RESULT_ATTRIBUTE) == nodes.identifier:
            found[node.GetAttribute(ROLE_ATTRIBUTE)] = node
    if not set(_ROLES.values()) <= set(found):
        return None
    return RegistrationNodes(**{field: found[role] for field, role in _ROLES.items()})


def show_registration(nodes: ResultNodes) -> bool:
    """Show the registered average femur, coloured by its deformation, and the landmarks.

    Parameters
    ----------
    nodes : ResultNodes
        The result. Its other models are hidden, and the legends of all results.

    Returns
    -------
    bool
        False, and nothing is changed, if the result has no registration.
    """
    found = registration_of(nodes)
    if found is None:
        return False
    for other in results_in(nodes.bone.GetScene()):
        hide_registration(other)
        for model in other.models:
            hide_legend(model)
    for model in nodes.models:
        model.GetDisplayNode().SetVisibility(False)
    display = found.registered_template.GetDisplayNode()
    display.SetAndObserveColorNodeID(colour_table(nodes.bone.GetScene()).GetID())
    display.SetActiveScalar(DEFORMATION, vtk.vtkDataObject.POINT)
    display.SetScalarRange(*DEFORMATION_RANGE_MM)
    display.SetScalarVisibility(True)
    display.SetVisibility(True)
    label_legend(found.registered_template, "Deformation\n(mm)", True)
    found.landmarks.GetDisplayNode().SetVisibility(True)
    return True


def hide_registration(nodes: ResultNodes) -> None:
    """Hide the registered average femur, its legend, and the landmarks."""
    found = registration_of(nodes)
    if found is not None:
        hide_legend(found.registered_template)
        found.registered_template.GetDisplayNode().SetVisibility(False)
        found.landmarks.GetDisplayNode().SetVisibility(False)


def _add_landmarks(
    scene: slicer.vtkMRMLScene, places: dict[str, list[float]], name: str
) -> slicer.vtkMRMLMarkupsFiducialNode:
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    for landmark, place in places.items():
        node.AddControlPoint(vtk.vtkVector3d(*place), landmark.replace("_", " "))
    node.SetLocked(True)  # they were measured, so nobody drags one by mistake
    display = node.GetDisplayNode()
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(_LANDMARK_SIZE_MM)
    display.SetTextScale(_LANDMARK_TEXT)
    display.SetColor(*_LANDMARK_COLOUR)
    display.SetSelectedColor(*_LANDMARK_COLOUR)
    display.SetOccludedVisibility(True)  # the centre of the head lies inside the bone
    display.SetOccludedOpacity(0.8)
    return node
