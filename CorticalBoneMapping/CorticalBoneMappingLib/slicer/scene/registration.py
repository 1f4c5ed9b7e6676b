"""The average femur laid on a bone, the way there, and the bone's landmarks, as nodes beside the CT."""

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

BENDING_RANGE_MM = (0.0, 10.0)
"""Range of the colours: how far the average femur was bent, beyond position, turn and size."""

_ROLES = ("laid", "average_to_bone", "landmarks")
_LANDMARK_SIZE_MM, _LANDMARK_TEXT = 4.0, 3.0
_LANDMARK_COLOUR = (0.84, 0.37, 0.00)  # vermilion after Okabe and Ito 2008: none of the maps' colours


@dataclass(frozen=True)
class RegistrationNodes:
    """The nodes of one femur's registration.

    Attributes
    ----------
    laid : vtkMRMLModelNode
        The average femur laid on the bone, with ``region`` and ``bending`` (mm).
    average_to_bone : vtkMRMLLinearTransformNode
        The similarity from the average femur to the bone. For a left femur it holds the mirror as well, so
        that a model of the average femur that is put under it lies on the bone.
    landmarks : vtkMRMLMarkupsFiducialNode
        The bone's landmarks by name; empty where its anatomy could not be measured.
    """

    registered_template: slicer.vtkMRMLModelNode
    average_to_bone: slicer.vtkMRMLLinearTransformNode
    landmarks: slicer.vtkMRMLMarkupsFiducialNode


def add_registration(
    scene: slicer.vtkMRMLScene, result: FemurResult, nodes: ResultNodes, name: str
) -> RegistrationNodes | None:
    """Add how the average femur lies on a bone, hidden, to the folder of its result.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where the nodes are added.
    result : FemurResult
        Of one femur.
    nodes : ResultNodes
        Its nodes.
    name : str
        The nodes' names begin with it.

    Returns
    -------
    RegistrationNodes or None
        None where the result does not hold the registration.
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
    for role in _ROLES:
        node = getattr(added, role)
        node.SetAttribute(RESULT_ATTRIBUTE, nodes.identifier)
        node.SetAttribute(ROLE_ATTRIBUTE, role)
        put_beside(scene, node, nodes.bone)
    hide_registration(nodes)
    return added


def registration_of(nodes: ResultNodes) -> RegistrationNodes | None:
    """Find the registration of a result, also in a scene that was restored; None where there is none."""
    scene, found = nodes.bone.GetScene(), {}
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        if node.GetAttribute(RESULT_ATTRIBUTE) == nodes.identifier:
            found[node.GetAttribute(ROLE_ATTRIBUTE)] = node
    if not set(_ROLES) <= set(found):
        return None
    return RegistrationNodes(**{role: found[role] for role in _ROLES})


def show_registration(nodes: ResultNodes) -> bool:
    """Show the average femur on the bone, coloured by how far it was bent, and the landmarks.

    Parameters
    ----------
    nodes : ResultNodes
        The result; its other models are hidden, and the legends of all others.

    Returns
    -------
    bool
        False, and nothing is changed, where the result holds no registration.
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
    display.SetScalarRange(*BENDING_RANGE_MM)
    display.SetScalarVisibility(True)
    display.SetVisibility(True)
    label_legend(found.registered_template, "Bending\n(mm)", True)
    found.landmarks.GetDisplayNode().SetVisibility(True)
    return True


def hide_registration(nodes: ResultNodes) -> None:
    """Hide the average femur on the bone, its legend, and the landmarks."""
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
    node.SetLocked(True)  # they were measured: nobody shall drag one by mistake
    display = node.GetDisplayNode()
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(_LANDMARK_SIZE_MM)
    display.SetTextScale(_LANDMARK_TEXT)
    display.SetColor(*_LANDMARK_COLOUR)
    display.SetSelectedColor(*_LANDMARK_COLOUR)
    display.SetOccludedVisibility(True)  # the centre of the head lies within the bone
    display.SetOccludedOpacity(0.8)
    return node
