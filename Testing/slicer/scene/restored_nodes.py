"""What the nodes of a scene hold, read back into the library's results, to compare with what was added."""

from __future__ import annotations

import json

import slicer

from CorticalBoneMappingLib.pipeline.result import FemurResult
from CorticalBoneMappingLib.slicer.scene.answers import AnswerNodes
from CorticalBoneMappingLib.slicer.scene.cases import PICTURE_ROLE
from CorticalBoneMappingLib.slicer.scene.models import surface_from_model
from CorticalBoneMappingLib.slicer.scene.results import RESULT_ATTRIBUTE, ROLE_ATTRIBUTE, ResultNodes
from CorticalBoneMappingLib.slicer.scene.tables import region_rows, table_rows
from CorticalBoneMappingLib.study.analysis.answer_files import AnswerFiles
from CorticalBoneMappingLib.study.analysis.answer_tables import (
    ANSWER_COLUMNS,
    ATTRIBUTION_COLUMNS,
    CLUSTER_COLUMNS,
    GROUP_COLUMNS,
)


def restored_result(nodes: ResultNodes) -> FemurResult:
    return FemurResult(
        periosteal=surface_from_model(nodes.bone),
        average=surface_from_model(nodes.average),
        regions=region_rows(nodes.regions),
        provenance=json.loads(nodes.provenance.GetText()),
        side=nodes.bone.GetAttribute("CorticalBoneMapping.Side"),
    )


def restored_answer(nodes: AnswerNodes) -> AnswerFiles:
    return AnswerFiles(
        surface=surface_from_model(nodes.effect),
        clusters=table_rows(nodes.clusters, CLUSTER_COLUMNS),
        regions=table_rows(nodes.regions, ANSWER_COLUMNS),
        attributed=table_rows(nodes.attributed, ATTRIBUTION_COLUMNS),
        groups=table_rows(nodes.groups, GROUP_COLUMNS),
        provenance=json.loads(nodes.provenance.GetText()),
    )


def picture_of(nodes: ResultNodes) -> slicer.vtkMRMLVectorVolumeNode | None:
    """Return the picture of a case; None if it has none."""
    scene, wanted = nodes.bone.GetScene(), (nodes.identifier, PICTURE_ROLE)
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        if (node.GetAttribute(RESULT_ATTRIBUTE), node.GetAttribute(ROLE_ATTRIBUTE)) == wanted:
            return node
    return None
