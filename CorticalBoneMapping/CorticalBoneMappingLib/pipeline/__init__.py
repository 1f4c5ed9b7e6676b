"""One femur from files to files: find it, map it, carry its maps to the average femur, write them."""

from .find.find_femur import find_femurs
from .find.found_femur import FoundFemur
from .map_femur import map_femur
from .regions import region_rows
from .result import FemurResult, read_result, write_result
from .settings import MapSettings

__all__ = [
    "FemurResult",
    "FoundFemur",
    "MapSettings",
    "find_femurs",
    "map_femur",
    "read_result",
    "region_rows",
    "write_result",
]
