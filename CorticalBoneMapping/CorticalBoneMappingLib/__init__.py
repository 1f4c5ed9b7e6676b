"""Cortical bone mapping from clinical CT; `__all__` lists what a user of Python needs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_PLACES = {
    "Correction": "statistics.inference.correction",
    "MapSettings": "pipeline.settings",
    "Maps": "statistics.maps",
    "carry_to_average": "pipeline.carry",
    "collect_maps": "study.analysis.collect",
    "find_femurs": "pipeline.find.find_femur",
    "fit": "statistics.study_fit",
    "load_average": "atlas.average",
    "map_femur": "pipeline.map_femur",
    "read_labelmap": "io.volume_files",
    "read_result": "pipeline.result",
    "read_surface": "io.surface_files",
    "read_table": "statistics.table",
    "read_volume": "io.volume_files",
    "register": "registration.registering",
    "render_effect": "report.pictures.render",
    "render_views": "report.pictures.render",
    "write_result": "pipeline.result",
}

if TYPE_CHECKING:
    from .atlas.average import load_average
    from .io.surface_files import read_surface
    from .io.volume_files import read_labelmap, read_volume
    from .pipeline.carry import carry_to_average
    from .pipeline.find.find_femur import find_femurs
    from .pipeline.map_femur import map_femur
    from .pipeline.result import read_result, write_result
    from .pipeline.settings import MapSettings
    from .registration.registering import register
    from .report.pictures.render import render_effect, render_views
    from .statistics.inference.correction import Correction
    from .statistics.maps import Maps
    from .statistics.study_fit import fit
    from .statistics.table import read_table
    from .study.analysis.collect import collect_maps

__all__ = [
    "Correction",
    "MapSettings",
    "Maps",
    "__version__",
    "carry_to_average",
    "collect_maps",
    "find_femurs",
    "fit",
    "load_average",
    "map_femur",
    "read_labelmap",
    "read_result",
    "read_surface",
    "read_table",
    "read_volume",
    "register",
    "render_effect",
    "render_views",
    "write_result",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, so that ``cbm --help`` starts without VTK."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PLACES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the names of `__all__` too, which are imported later."""
    return sorted({*globals(), *__all__})
