"""MRML: results, answers, femurs and scans as nodes of a scene, and nodes as volumes and surfaces."""

from .answers import add_answer, answers_in, show_answer
from .models import surface_from_model
from .registration import add_registration, show_registration
from .results import add_result, results_in, show_result
from .segmentation import add_femurs
from .volumes import labelmap_from_segment, volume_from_node

__all__ = [
    "add_answer",
    "add_femurs",
    "add_registration",
    "add_result",
    "answers_in",
    "labelmap_from_segment",
    "results_in",
    "show_answer",
    "show_registration",
    "show_result",
    "surface_from_model",
    "volume_from_node",
]
