"""A femur's result as nodes of a scene, and back."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

import slicer

from ...pipeline.result import FemurResult
from .models import (
    add_map_model,
    colour_table,
    families_in,
    hide_legend,
    put_in_folder,
    show_measure,
    surface_from_model,
)
from .tables import add_region_table, region_rows

# A node says by these attributes which result it belongs to, and what it is in it: names may be edited
# by the user, and attributes are saved with the scene.
RESULT_ATTRIBUTE = "CorticalBoneMapping.Result"
"""Attribute that the nodes of one result have in common."""

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
        """What the nodes of this result have in common, also after the scene was saved."""
        return self.bone.GetAttribute(RESULT_ATTRIBUTE)


def add_result(scene: slicer.vtkMRMLScene, result: FemurResult, name: str) -> ResultNodes:
    """Add a result to a scene, in a folder of its own, the thickness shown on the bone.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where the nodes are added.
    result : FemurResult
        Of one femur.
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
        The result; its other model is hidden. Models of other results stay, their legends go: there is
        room for one, and the ranges are the same.
    measure_name : str
        One of `MEASURES`.
    on : str
        ``bone`` or ``average``.

    Raises
    ------
    SurfaceError
        If the model carries no such measure.
    """
    for other in results_in(nodes.bone.GetScene()):
        for model in other.models:
            hide_legend(model)
    shown = getattr(nodes, on)
    for model in nodes.models:
        show_measure(model, measure_name, legend=model is shown)
        model.GetDisplayNode().SetVisibility(model is shown)


def results_in(scene: slicer.vtkMRMLScene) -> list[ResultNodes]:
    """Find the results of a scene, also of one that was restored from a file, in order of making.

    A result of which a node was deleted is left out. The colours of what is found are made whole, since
    a scene file does not keep all of them.
    """
    whole = [ResultNodes(**roles) for roles in families_in(scene, RESULT_ATTRIBUTE, ROLE_ATTRIBUTE, _ROLES)]
    if whole:
        colour_table(scene)
    return whole


def result_of(bone: slicer.vtkMRMLModelNode | None) -> ResultNodes | None:
    """Find the result that a bone belongs to; None where it is no bone of a whole result."""
    if bone is None or bone.GetScene() is None:
        return None
    return next((nodes for nodes in results_in(bone.GetScene()) if nodes.bone is bone), None)


def restore_result(nodes: ResultNodes) -> FemurResult:
    """Give the result that the nodes hold, as it was added.

    Raises
    ------
    SurfaceError
        If a model was emptied.
    """
    return FemurResult(
        periosteal=surface_from_model(nodes.bone),
        average=surface_from_model(nodes.average),
        regions=region_rows(nodes.regions),
        provenance=json.loads(nodes.provenance.GetText()),
        side=nodes.bone.GetAttribute(_SIDE),
    )


def _sign(nodes: ResultNodes, side: str) -> None:
    identifier = uuid.uuid4().hex
    for role in _ROLES:
        node = getattr(nodes, role)
        node.SetAttribute(RESULT_ATTRIBUTE, identifier)
        node.SetAttribute(ROLE_ATTRIBUTE, role)
        node.SetAttribute(_SIDE, side)
