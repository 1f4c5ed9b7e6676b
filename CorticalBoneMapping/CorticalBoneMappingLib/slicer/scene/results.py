"""A femur's result as nodes of a scene."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

import slicer

from ...pipeline.result import FemurResult
from .models import add_map_model, colour_table, families_in, hide_legend, put_in_folder, show_measure
from .tables import add_region_table

# Attributes identify the nodes of a result: they are saved with the scene, while users may edit names.
RESULT_ATTRIBUTE = "CorticalBoneMapping.Result"
"""Attribute that all nodes of one result share."""

_SIDE = "CorticalBoneMapping.Side"
ROLE_ATTRIBUTE = "CorticalBoneMapping.Role"
"""Attribute by which a selector finds the bones (``bone``) of all results."""

_ROLES = ("bone", "average", "regions", "provenance")


@dataclass(frozen=True)
class ResultNodes:
    """The nodes of one femur's result.

    Attributes
    ----------
    bone : vtkMRMLModelNode
        The periosteal surface with its maps, where the CT is.
    average : vtkMRMLModelNode
        The average femur with the same maps.
    regions : vtkMRMLTableNode
        Regional values.
    provenance : vtkMRMLTextNode
        How the result was made, as JSON.
    """

    bone: slicer.vtkMRMLModelNode
    average: slicer.vtkMRMLModelNode
    regions: slicer.vtkMRMLTableNode
    provenance: slicer.vtkMRMLTextNode

    @property
    def models(self) -> tuple[slicer.vtkMRMLModelNode, slicer.vtkMRMLModelNode]:
        """The bone and the average femur."""
        return self.bone, self.average

    @property
    def identifier(self) -> str:
        """Value of `RESULT_ATTRIBUTE`, which is saved with the scene."""
        return self.bone.GetAttribute(RESULT_ATTRIBUTE)


def add_result(scene: slicer.vtkMRMLScene, result: FemurResult, name: str) -> ResultNodes:
    """Add a result to a scene, in a folder of its own, the thickness shown on the bone.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.
    result : FemurResult
        Result of one femur.
    name : str
        Name of the folder; the nodes' names begin with it.

    Returns
    -------
    ResultNodes
    """
    provenance = scene.AddNewNodeByClass("vtkMRMLTextNode", f"{name} provenance")
    provenance.SetText(json.dumps(result.provenance, indent=2, ensure_ascii=False))
    nodes = ResultNodes(
        bone=add_map_model(scene, result.periosteal, f"{name} bone"),
        average=add_map_model(scene, result.average, f"{name} average femur"),
        regions=add_region_table(scene, result.regions, f"{name} regions"),
        provenance=provenance,
    )
    _sign(nodes, result.side)
    put_in_folder(scene, {role: getattr(nodes, role) for role in _ROLES}, name)
    show_result(nodes, "cortical_thickness", on="bone")
    return nodes


def show_result(nodes: ResultNodes, measure_name: str, on: str) -> None:
    """Show one measure of a result on the bone or on the average femur.

    Parameters
    ----------
    nodes : ResultNodes
        The result. Its other model is hidden; models of other results stay visible without their legends,
        since a view has space for one and the ranges are the same.
    measure_name : str
        Name of a measure that the model has.
    on : str
        ``bone`` or ``average``.

    Raises
    ------
    SurfaceError
        If the model has no such measure.
    """
    for other in results_in(nodes.bone.GetScene()):
        for model in other.models:
            hide_legend(model)
    shown = getattr(nodes, on)
    for model in nodes.models:
        show_measure(model, measure_name, legend=model is shown)
        model.GetDisplayNode().SetVisibility(model is shown)


def results_in(scene: slicer.vtkMRMLScene) -> list[ResultNodes]:
    """Find the results of a scene, also of a restored one, oldest first.

    A result that lost a node is left out. The colour of not-a-number, which a scene file does not keep, is
    restored.
    """
    complete = [
        ResultNodes(**roles) for roles in families_in(scene, RESULT_ATTRIBUTE, ROLE_ATTRIBUTE, _ROLES)
    ]
    if complete:
        colour_table(scene)
    return complete


def result_of(bone: slicer.vtkMRMLModelNode | None) -> ResultNodes | None:
    """Find the result that a bone belongs to; None if it does not belong to a complete one."""
    if bone is None or bone.GetScene() is None:
        return None
    return next((nodes for nodes in results_in(bone.GetScene()) if nodes.bone is bone), None)


def _sign(nodes: ResultNodes, side: str) -> None:
    identifier = uuid.uuid4().hex
    for role in _ROLES:
        node = getattr(nodes, role)
        node.SetAttribute(RESULT_ATTRIBUTE, identifier)
        node.SetAttribute(ROLE_ATTRIBUTE, role)
        node.SetAttribute(_SIDE, side)
