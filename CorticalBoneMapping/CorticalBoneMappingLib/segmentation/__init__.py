"""Find a femur in a CT: detect the hip, fit a shape, refine it to the edge; or read a label map."""

from .detect.hips import HeadDetection, find_heads
from .fit.model_fit import ModelFit, fit_model
from .mask.bone_mask import repair
from .mask.periosteal import PeriostealSurface, periosteal_surface
from .mask.voxelised import labelled
from .refine.exact_surface import ExactSurface, exact_surface

__all__ = [
    "ExactSurface",
    "HeadDetection",
    "ModelFit",
    "PeriostealSurface",
    "exact_surface",
    "find_heads",
    "fit_model",
    "labelled",
    "periosteal_surface",
    "repair",
]
