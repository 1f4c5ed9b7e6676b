"""Cameras on the anatomical sides of a femur, and the layout that shows them side by side."""

from __future__ import annotations

import numpy as np
import slicer

from ...anatomy.views import View, anatomical_views

LAYOUT_NUMBER = 5140
"""Number of the layout in Slicer; those of its own layouts are smaller."""

_MARGIN = 1.15  # height of a view over that of the femur; chosen by hand; not tuned
_NEAR_MM = 140.0  # height of the view that shows a peak; chosen by hand; not tuned


def view_tags() -> dict[str, View]:
    """Return the views of the layout by the tags of their view nodes; the average femur is a right one."""
    return {f"CorticalBone{view.name}": view for view in anatomical_views("right")}


def layout_description() -> str:
    """Return the layout for Slicer, as XML: four views over a plot."""
    views = "".join(
        f'<item><view class="vtkMRMLViewNode" singletontag="{tag}">'
        f'<property name="viewlabel" action="default">{view.name[0]}</property></view></item>'
        for tag, view in view_tags().items()
    )
    plot = (
        '<item><view class="vtkMRMLPlotViewNode" singletontag="CorticalBonePlot">'
        '<property name="viewlabel" action="default">P</property></view></item>'
    )
    return (
        f'<layout type="vertical" split="true"><item splitSize="600"><layout type="horizontal">{views}'
        f'</layout></item><item splitSize="300"><layout type="horizontal">{plot}</layout></item></layout>'
    )


def look_from(camera: slicer.vtkMRMLCameraNode, view: View, points: np.ndarray) -> None:
    """Set a camera to see all points from one side, in parallel projection.

    Parameters
    ----------
    camera : vtkMRMLCameraNode
        Camera of a 3D view.
    view : View
        The side.
    points : ndarray of shape (n, 3)
        RAS mm.
    """
    centre = 0.5 * (points.min(axis=0) + points.max(axis=0))
    height = np.ptp(view.project(points), axis=0).max()
    _aim(camera, centre, view.towards_viewer, view.up, _MARGIN * height)


def look_at_peak(camera: slicer.vtkMRMLCameraNode, place: np.ndarray, normal: np.ndarray) -> None:
    """Set a camera to look straight at a point on the surface, superior side up.

    Parameters
    ----------
    camera : vtkMRMLCameraNode
        Camera of a 3D view.
    place, normal : ndarray of shape (3,)
        RAS mm, and the surface's outward normal there.
    """
    up = np.array([0.0, 0.0, 1.0]) if abs(normal[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
    _aim(camera, place, normal, up, _NEAR_MM)


def _aim(
    camera: slicer.vtkMRMLCameraNode, centre: np.ndarray, towards: np.ndarray, up: np.ndarray, height: float
) -> None:
    camera.SetParallelProjection(1)
    camera.SetFocalPoint(*map(float, centre))
    camera.SetPosition(*map(float, centre + 3.0 * height * towards))
    camera.SetViewUp(*map(float, up))
    camera.SetParallelScale(float(0.5 * height))
    camera.ResetClippingRange()
