"""A real MRML scene without the desktop (slicer-core), and a small result to put into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from CorticalBoneMappingLib.core.measures import MEASURES, VertexStatus
from CorticalBoneMappingLib.core.surface import Surface, from_polydata
from CorticalBoneMappingLib.pipeline.result import FemurResult


class SlicerScene:
    """A scene with the logics that Slicer's modules would bring."""

    def __init__(self, cache: Path) -> None:
        self.scene = slicer.vtkMRMLScene()
        self._application = slicer.vtkMRMLApplicationLogic()
        self._application.SetMRMLScene(self.scene)
        home = cache.with_name(f"{cache.name}-home")
        (home / "share" / "ColorFiles").mkdir(parents=True)  # empty: the wheel brings no colour files
        self._application.SetHomeDirectory(str(home))
        self._application.SetShareDirectory("share")
        self._colours = slicer.vtkSlicerColorLogic()  # registers the colour legend's node class
        self._colours.SetMRMLApplicationLogic(self._application)
        self._colours.SetMRMLScene(self.scene)
        self._segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
        self._segmentations.SetMRMLScene(self.scene)
        self._markups = slicer.vtkSlicerMarkupsLogic()
        self._markups.SetMRMLScene(self.scene)
        self._remote = slicer.vtkMRMLRemoteIOLogic()  # without it no .mrb can be written or read
        self._remote.SetMRMLScene(self.scene)
        self._remote.GetCacheManager().SetRemoteCacheDirectory(str(cache))
        self._remote.AddDataIOToScene()
        self._data = slicer.vtkDataIOManagerLogic()
        self._data.SetMRMLApplicationLogic(self._application)
        self._data.SetAndObserveDataIOManager(self._remote.GetDataIOManager())

    def close(self) -> None:
        """Release the nodes, or VTK reports them as leaks at exit."""
        self._remote.RemoveDataIOFromScene()
        self.scene.Clear(1)


def set_segment(segmentation, segment_id: str, array: np.ndarray, reference) -> None:
    """Draw a segment on the grid of a volume node, as the Segment Editor does."""
    image, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    labels = vtk.vtkImageData()
    labels.DeepCopy(reference.GetImageData())
    labels.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(labels.GetPointData().GetScalars())[:] = array.ravel()
    image.ShallowCopy(labels)
    reference.GetIJKToRASMatrix(matrix)
    image.SetGeometryFromImageToWorldMatrix(matrix)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.SetBinaryLabelmapToSegment(image, segmentation, segment_id, logic.MODE_REPLACE)


def two_balls() -> FemurResult:
    """A ball of 30 mm and one of 25 mm with the arrays of a real result; their caps are not measured."""
    return FemurResult(
        periosteal=_ball_with_maps(30.0, (40.0, -10.0, 100.0)),
        average=_ball_with_maps(25.0, (0.0, 0.0, 0.0)),
        regions=[
            _row("femoral_neck_superior", "cortical_thickness", "mm", 0.9),
            _row("femoral_neck_superior", "cortical_density", "mg/cm³", 812.5),
            _row("subtrochanteric_shaft", "cortical_thickness", "mm", 4.25),
        ],
        provenance={"version": "0.1.0", "settings": {"method": "constant-density"}, "seconds": 1.5},
        side="left",
    )


def _ball_with_maps(radius: float, centre: tuple[float, float, float]) -> Surface:
    source = vtk.vtkSphereSource()
    source.SetRadius(radius)
    source.SetCenter(*centre)
    source.SetThetaResolution(48)
    source.SetPhiResolution(48)
    source.Update()
    ball = from_polydata(source.GetOutput())
    height = (ball.points[:, 2] - centre[2]) / radius
    cap = height < -0.7
    arrays = {}
    for name, measure in MEASURES.items():
        low, high = measure.range
        values = (low + (high - low) * (height + 1) / 2).astype(np.float32)
        arrays[name] = np.where(cap, np.float32(np.nan), values)
    quality = np.where(cap, VertexStatus.NOT_MEASURED, VertexStatus.GOOD).astype(np.uint8)
    units = {name: measure.unit for name, measure in MEASURES.items()}
    return Surface(ball.points, ball.triangles).with_arrays(units, quality=quality, **arrays)


def _row(region: str, measure: str, unit: str, mean: float) -> dict[str, Any]:
    return {
        "region": region,
        "measure": measure,
        "unit": unit,
        "mean": mean,
        "sd": 1.0 / 3.0,
        "calibration_sd": 0.0,
        "coverage": 0.975,
        "n_points": 412,
        "area_mm2": 903.5,
        "n_no_cortex": 3,
        "n_fit_failed": 2,
        "n_metal": 0,
    }
