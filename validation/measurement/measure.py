"""Run every method on every scan, and keep what it found beside the truth."""

from __future__ import annotations

import ast
import inspect
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.calibration import Calibration, parse_calibration
from CorticalBoneMappingLib.core.errors import MeasurementError
from CorticalBoneMappingLib.core.measures import VertexStatus
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.cortex import METHODS, measure_cortex
from CorticalBoneMappingLib.cortex.model.blur import Blur
from CorticalBoneMappingLib.pipeline.map_femur import without_hardening
from CorticalBoneMappingLib.pipeline.settings import MapSettings

from . import cache
from .plan import Case
from .scans import MadeScan, make_scan
from .start_surface import start_surface
from .truth import bound, truth

_MARGIN_MM = 25.0
_BLUR_FROM = "surface-map"
_FALLBACK_SIGMA_MM = 0.6
_MEASURES = {
    "thickness": "thickness",
    "density": "density",
    "mass": "mass_surface_density",
    "trabecular": "trabecular_density",
}
_DEVIATIONS = {name: f"{name}_sd" for name in ("thickness", "density", "mass")}


@dataclass(frozen=True)
class Measured:
    """One scan with its truth and the result of each method.

    Attributes
    ----------
    case : Case
        Which scan.
    true, bound : dict of str to ndarray of shape (n,)
        From `truth.truth` and `truth.bound`.
    found : dict of str to dict of str to ndarray
        By method: ``thickness``, ``density``, ``mass``, ``trabecular``, ``offset``, ``quality`` and, where
        the method gives them, ``thickness_sd``, ``density_sd``, ``mass_sd`` of shape (n,); ``seconds`` (CPU)
        and ``used`` (JSON).
    as_scanned : dict of str to ndarray, or None
        Result of the default method without the correction of beam hardening, where there was one.
    """

    case: Case
    true: cache.Arrays
    bound: cache.Arrays
    found: dict[str, cache.Arrays]
    as_scanned: cache.Arrays | None = None


def measured(case: Case, folder: Path) -> Measured:
    """Scan, measure by all methods, and compare; what the cache holds is not done again.

    Parameters
    ----------
    case : Case
        Which scan.
    folder : Path
        Of the cache.

    Returns
    -------
    Measured
    """
    made = make_scan(case, folder)
    ready = prepared(made, case, folder)
    surface = ready.surface
    found = {
        method: kept_result(method, surface, ready.volume, ready.calibration, folder) for method in METHODS
    }
    as_scanned = None
    if ready.corrected:
        as_scanned = kept_result(default_method(), surface, made.volume, ready.as_scanned, folder)
    true = truth(made, surface)
    least = bound(made, surface, true, ready.calibration, _estimated_blur(found), folder)
    return Measured(case, true, least, found, as_scanned)


@dataclass(frozen=True)
class Prepared:
    """A scan as ``cbm map`` has it before the cortex is measured.

    Attributes
    ----------
    surface : Surface
        Where the measurement starts.
    volume : Volume
        The CT, beam hardening by bone corrected where the scan shows it.
    calibration : Calibration
        For that CT, by the rods.
    as_scanned : Calibration
        For the CT as the scanner gave it.
    corrected : bool
        Whether beam hardening was corrected.
    """

    surface: Surface
    volume: Volume
    calibration: Calibration
    as_scanned: Calibration
    corrected: bool


def prepared(made: MadeScan, case: Case, folder: Path) -> Prepared:
    """Find the surface, calibrate, and correct beam hardening, as ``cbm map`` does by default."""
    surface = start_surface(made.labelmap, 100 * case.person + case.seed, folder)
    settings = MapSettings(calibration=f"rods:{made.rods}")
    as_scanned = parse_calibration(settings.calibration, made.volume)
    hardening, calibration = without_hardening(made.volume, surface.points, case.side, as_scanned, settings)
    return Prepared(surface, hardening.volume, calibration, as_scanned, hardening.applied)


def all_measured(cases: list[Case], folder: Path) -> list[Measured]:
    """Measure all scans, with progress on the terminal."""
    begun, done = time.perf_counter(), []
    for number, case in enumerate(cases, start=1):
        done.append(measured(case, folder))
        minutes = (time.perf_counter() - begun) / 60.0
        print(f"{number}/{len(cases)} {minutes:5.1f} min  {case.text}", file=sys.stderr, flush=True)
    return done


def default_method() -> str:
    """The method that `measure_cortex` takes when none is named."""
    return inspect.signature(measure_cortex).parameters["method"].default


def kept_result(
    method: str, surface: Surface, volume: Volume, calibration: Calibration, folder: Path
) -> cache.Arrays:
    """Measure by one method, or take the result from the cache.

    Parameters
    ----------
    method : str
        Name in `METHODS`.
    surface, volume, calibration
        As of `Prepared`.
    folder : Path
        Of the cache.

    Returns
    -------
    dict of str to ndarray
        As in `Measured.found`.
    """
    scanned = cache.digest(volume.array, volume.ijk_to_ras, surface.points, surface.triangles)
    key = cache.digest(method, _SOURCES[method], [scanned, calibration.slope, calibration.intercept])
    return cache.kept(folder / "results", key, lambda: _run(method, surface, volume, calibration))


def _run(method: str, surface: Surface, volume: Volume, calibration: Calibration) -> cache.Arrays:
    volume = volume.crop(surface.points, _MARGIN_MM)
    cut = surface.arrays["cut_end"] > 0
    begun = time.process_time()
    try:
        result = measure_cortex(surface, volume, calibration, method=method, excluded=cut)
    except MeasurementError as error:
        return _nothing(len(cut), str(error), time.process_time() - begun)
    arrays = {name: getattr(result, attribute) for name, attribute in _MEASURES.items()}
    arrays |= {"offset": result.periosteal_offset, "quality": result.quality}
    for name in _DEVIATIONS.values():
        values = getattr(result, name, None)
        if values is not None:
            arrays[name] = values
    used = json.dumps(result.used, default=float)
    return arrays | {"seconds": np.array(time.process_time() - begun), "used": np.array(used)}


def _nothing(count: int, why: str, seconds: float) -> cache.Arrays:
    arrays = {name: np.full(count, np.nan) for name in (*_MEASURES, "offset")}
    arrays["quality"] = np.full(count, VertexStatus.FIT_FAILED, dtype=np.int8)
    return arrays | {"seconds": np.array(seconds), "used": np.array(json.dumps({"error": why}))}


def _estimated_blur(found: dict[str, cache.Arrays]) -> Blur:
    used = json.loads(str(found[_BLUR_FROM]["used"]))
    return Blur(used.get("in_plane_sigma_mm") or _FALLBACK_SIGMA_MM, used.get("edge_enhancement") or 0.0)


def _sources(method: str) -> bytes:
    """What a method's result depends on: its own modules, and those around all methods."""
    start, methods = (
        Path(inspect.getfile(measure_cortex)),
        {Path(inspect.getfile(run)) for run in METHODS.values()},
    )
    around = sorted(set(cache.neighbours(start)) - methods)
    # Not the package's imports and table: one more method changes no other's result.
    body = ast.parse(start.read_bytes()).body
    frame = [node for node in body if not isinstance(node, ast.Import | ast.ImportFrom | ast.AnnAssign)]
    text = b"".join(cache.code(node) for node in frame)
    own = Path(inspect.getfile(METHODS[method]))
    volume = cache.code(ast.parse(inspect.getsource(Volume)))
    return text + volume + b"".join(cache.sources(path) for path in (own, *around))


# Read when the modules are imported: an edit during a long run is not what was run.
_SOURCES = {method: _sources(method) for method in METHODS}
