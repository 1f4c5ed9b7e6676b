"""The result of a study as nodes of a scene: the effect on the average femur, and its tables."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, fields

import slicer
import vtk

from ...study.analysis.answer_files import AnswerFiles
from ...study.analysis.answer_tables import (
    ANSWER_COLUMNS,
    ATTRIBUTION_COLUMNS,
    CLUSTER_COLUMNS,
    GROUP_COLUMNS,
)
from ...study.analysis.shown import VIEWS, shown_of, with_significant
from .models import (
    add_map_model,
    colour_table,
    difference_table,
    families_in,
    hide_legend,
    label_legend,
    put_in_folder,
    surface_from_model,
)
from .tables import add_table

_ANSWER = "CorticalBoneMapping.Answer"
ANSWER_ROLE = "CorticalBoneMapping.AnswerRole"
"""Attribute by which a selector finds the effects (``effect``) of all results."""

_COLUMNS = {
    "clusters": CLUSTER_COLUMNS,
    "regions": ANSWER_COLUMNS,
    "attributed": ATTRIBUTION_COLUMNS,
    "groups": GROUP_COLUMNS,
}


@dataclass(frozen=True)
class AnswerNodes:
    """The nodes of one answer: the result of an analysis.

    Attributes
    ----------
    effect : vtkMRMLModelNode
        The average femur with effect and significance at every vertex.
    clusters, regions, attributed, groups : vtkMRMLTableNode
        The tables of `study.analysis.answer_files`.
    provenance : vtkMRMLTextNode
        How the answer was made, as JSON.
    """

    effect: slicer.vtkMRMLModelNode
    clusters: slicer.vtkMRMLTableNode
    regions: slicer.vtkMRMLTableNode
    attributed: slicer.vtkMRMLTableNode
    groups: slicer.vtkMRMLTableNode
    provenance: slicer.vtkMRMLTextNode


_ROLES = tuple(field.name for field in fields(AnswerNodes))


def add_answer(scene: slicer.vtkMRMLScene, answer: AnswerFiles, name: str) -> AnswerNodes:
    """Add an answer to a scene, in a folder of its own, the effect shown where it is significant.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.
    answer : AnswerFiles
        From `read_answer`.
    name : str
        Name of the folder; the nodes' names begin with it.

    Returns
    -------
    AnswerNodes
    """
    provenance = scene.AddNewNodeByClass("vtkMRMLTextNode", f"{name} provenance")
    provenance.SetText(json.dumps(answer.provenance, indent=2, ensure_ascii=False))
    tables = {
        role: add_table(scene, getattr(answer, role), columns, f"{name} {role}")
        for role, columns in _COLUMNS.items()
    }
    effect = add_map_model(scene, with_significant(answer.surface), f"{name} effect")
    nodes = AnswerNodes(effect=effect, provenance=provenance, **tables)
    identifier, by_role = uuid.uuid4().hex, {role: getattr(nodes, role) for role in _ROLES}
    for role, node in by_role.items():
        node.SetAttribute(_ANSWER, identifier)
        node.SetAttribute(ANSWER_ROLE, role)
    put_in_folder(scene, by_role, name)
    show_answer(nodes, views_of(nodes)[0])
    return nodes


def show_answer(nodes: AnswerNodes, view: str) -> None:
    """Show one view of an answer, and hide the other answers, which lie in the same place.

    Parameters
    ----------
    nodes : AnswerNodes
        The answer.
    view : str
        One of `views_of` the answer.
    """
    for other in answers_in(nodes.effect.GetScene()):
        hide_legend(other.effect)
        other.effect.GetDisplayNode().SetVisibility(other.effect is nodes.effect)
    shown = shown_of(surface_from_model(nodes.effect), view)
    display = nodes.effect.GetDisplayNode()
    table = (difference_table if shown.is_difference else colour_table)(nodes.effect.GetScene())
    display.SetAndObserveColorNodeID(table.GetID())
    display.SetActiveScalar(shown.array, vtk.vtkDataObject.POINT)
    display.SetScalarRange(*shown.range)
    display.SetScalarVisibility(True)
    label_legend(nodes.effect, f"{shown.label}\n({shown.unit})" if shown.unit else shown.label)


def views_of(nodes: AnswerNodes) -> list[str]:
    """List the views that an answer has; an F test has no effect."""
    surface = surface_from_model(nodes.effect)
    return [view for view in VIEWS if shown_of(surface, view) is not None]


def answers_in(scene: slicer.vtkMRMLScene) -> list[AnswerNodes]:
    """Find the answers of a scene, also of a restored one, oldest first."""
    complete = [AnswerNodes(**nodes) for nodes in families_in(scene, _ANSWER, ANSWER_ROLE, _ROLES)]
    if complete:  # a scene file does not keep the colour of not-a-number
        colour_table(scene)
        difference_table(scene)
    return complete


def answer_of(effect: slicer.vtkMRMLModelNode | None) -> AnswerNodes | None:
    """Find the answer that an effect belongs to; None if it does not belong to a complete one."""
    if effect is None or effect.GetScene() is None:
        return None
    return next((nodes for nodes in answers_in(effect.GetScene()) if nodes.effect is effect), None)
