"""What an average femur is told apart by: its origin, its landmarks, and its regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from ..anatomy import Anatomy, measure_anatomy
from ..registration import RegistrationSettings, register
from ..shape_model import ShapeModel
from ..surface import Surface
from .average import AverageFemur
from .build import Average
from .regions import CUT_END, regions_of


def centred(average: Average) -> tuple[Average, Anatomy]:
    """Put the origin at the head's centre, and measure the anatomy there.

    Raises
    ------
    SurfaceError
        If a landmark cannot be found on the average.
    """
    shift = -measure_anatomy(average.fine, "right").landmarks["head_centre"]
    model = average.shape_model

    def moved(surface: Surface) -> Surface:
        return replace(surface, points=surface.points + shift)

    moved_model = ShapeModel(
        moved(model.surface), model.modes, model.residual_sd_mm, model.people, model.explained
    )
    average = replace(
        average, surface=moved(average.surface), fine=moved(average.fine), shape_model=moved_model
    )
    return average, measure_anatomy(average.fine, "right")


def with_regions_by_anatomy(average: Average, anatomy: Anatomy) -> Average:
    """Give the meshes the array ``region`` (int8) by the definitions of `regions`."""
    return _labelled(average, lambda surface: regions_of(surface, anatomy))


def with_regions_of(average: Average, atlas: AverageFemur) -> Average:
    """Carry the regions of an atlas to an average femur by registration.

    Parameters
    ----------
    average : Average
        Without regions.
    atlas : AverageFemur
        Whose regions are taken over; its fine mesh draws their borders best.

    Returns
    -------
    Average
        Its meshes with the array ``region`` (int8). Places that the atlas does not reach take the region of
        the closest place that it does.
    """
    settings = RegistrationSettings(check_side=False)
    laid = register(average.fine, atlas.surface, "right", shape_model=atlas.shape_model, settings=settings)
    carried = laid.to_subject(atlas.region.astype(np.int64))
    known = (carried >= 0) & (carried != CUT_END)
    tree = cKDTree(average.fine.points[known])
    return _labelled(average, lambda surface: carried[known][tree.query(surface.points)[1]])


def _labelled(average: Average, region_of: Callable[[Surface], np.ndarray]) -> Average:
    """Label both meshes; what lies on the flat end is no region."""

    def labelled(surface: Surface) -> Surface:
        at_end = surface.arrays["cut_end"] == 1
        return surface.with_arrays(region=np.where(at_end, CUT_END, region_of(surface)).astype(np.int8))

    return replace(average, surface=labelled(average.surface), fine=labelled(average.fine))
