"""Nodes that belong together: one folder in the subject hierarchy, and attributes that say so."""

from __future__ import annotations

from collections.abc import Mapping

import slicer


def put_in_folder(scene: slicer.vtkMRMLScene, nodes: Mapping[str, slicer.vtkMRMLNode], name: str) -> None:
    """Put nodes into a folder of their own, in their order."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), name)
    for node in nodes.values():
        _put(hierarchy, node, folder)


def put_beside(scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLNode, other: slicer.vtkMRMLNode) -> None:
    """Put a node into the folder of another."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    _put(hierarchy, node, hierarchy.GetItemParent(hierarchy.GetItemByDataNode(other)))


def families_in(
    scene: slicer.vtkMRMLScene, family: str, role: str, roles: tuple[str, ...]
) -> list[dict[str, slicer.vtkMRMLNode]]:
    """Find nodes that share an attribute, by role, in order of making; incomplete families are left out.

    Parameters
    ----------
    scene : vtkMRMLScene
        Also one that was restored from a file: attributes are saved, names may be edited by users.
    family, role : str
        Names of the attributes that say which family a node belongs to, and what it is in it.
    roles : tuple of str
        What makes a family whole.
    """
    found: dict[str, dict[str, slicer.vtkMRMLNode]] = {}
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        if node.GetAttribute(family) and node.GetAttribute(role) in roles:
            found.setdefault(node.GetAttribute(family), {})[node.GetAttribute(role)] = node
    return [members for members in found.values() if len(members) == len(roles)]


def _put(hierarchy: slicer.vtkMRMLSubjectHierarchyNode, node: slicer.vtkMRMLNode, folder: int) -> None:
    item = hierarchy.GetItemByDataNode(node)
    if item != hierarchy.GetInvalidItemID():  # Slicer makes items by itself, slicer-core does not
        hierarchy.SetItemParent(item, folder)
    else:
        hierarchy.CreateItem(folder, node)
