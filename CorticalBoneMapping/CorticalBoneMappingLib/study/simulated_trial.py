"""Write a simulated trial: scans, rods, the tables of a study, and the truth on the average femur."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor, as_completed
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..anatomy.regions import CUT_END
from ..atlas.average import AverageFemur, load_average
from ..core.errors import SettingError
from ..core.progress import Progress
from ..core.surface import Surface
from ..core.volume import Volume
from ..io.files import check_room, write_json, write_text
from ..io.surface_files import write_surface
from ..io.tables import Columns, csv_of_rows, csv_text
from ..io.volume_files import write_volume
from ..pipeline.provenance import plain
from ..pipeline.regions import WHOLE_FEMUR
from ..registration import register
from ..simulation.hip.femur_shape import mean_shape
from ..simulation.hip.tissue import Tissue, cortex
from ..simulation.scanner.scanner import simulate_scan
from ..simulation.trial import (
    PLACEBO,
    TREATED,
    Participant,
    TrialSettings,
    changed,
    hip_before,
    log_change,
    recruit,
    scanner_at,
)

TABLE_FILE, STUDY_FILE, RECORD_FILE = "participants.csv", "study.toml", "trial.json"
SCANS, TRUTH = "scans", "truth"
TRUTH_FILE, TRUTH_TABLE = "true_effect.vtp", "true_effect.csv"

_HEADER = (
    "participant", "visit", "side", "path", "calibration", "arm", "age", "weight", "height", "areal_bmd",
)  # fmt: skip
TRUE_COLUMNS: Columns = {
    "month": int,
    "region": str,
    "mass_percent": float,
    "thickness_percent": float,
    "density_percent": float,
    "thickness_share": float,
}
_BMD_NOISE = 0.01  # relative SD of areal density; chosen by hand; not tuned
_MANY = 40  # participants; with fewer, the study file leaves out covariates and takes TFCE; chosen by hand


def write_trial(
    folder: str | Path,
    settings: TrialSettings | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    spacing_mm: float | None = None,
) -> int:
    """Simulate a trial into a folder.

    Scans that are there already are left as they are, so a simulation that was broken off goes on; each file
    is whole or absent. A folder that holds a trial of other settings, or tables of a user's, is refused.

    Parameters
    ----------
    folder : str or Path
        For ``participants.csv``, ``study.toml``, ``trial.json``, ``scans/`` and ``truth/``.
    settings : TrialSettings, optional
    executor : concurrent.futures.Executor, optional
        Simulates several hips at a time.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.
    spacing_mm : float, optional
        Written into ``study.toml``: vertex spacing of the maps, instead of what `MapSettings` has.

    Returns
    -------
    int
        How many scans were made now.

    Raises
    ------
    SettingError
        If the folder holds a trial of other settings.
    """
    folder, settings, progress = Path(folder), settings or TrialSettings(), progress or Progress()
    people = recruit(settings)
    if not _has_record(folder, settings):
        write_json(folder / RECORD_FILE, plain(asdict(settings)))
    table = csv_text(list(_HEADER), _table(settings, people))
    for name, text in ((TABLE_FILE, table), (STUDY_FILE, _study_file(settings, spacing_mm))):
        if not (folder / name).exists():  # what a person has changed in them stays
            write_text(folder / name, text)
    progress.report(0.0, "Writing the truth on the average femur")
    _write_truth(folder / TRUTH, settings)
    hips = [(person, side) for person in people for side in settings.sides]
    made = 0
    for done, count in enumerate(_each(executor, _scan_hip, [(folder, settings, *hip) for hip in hips]), 1):
        made += count
        progress.report(done / len(hips), f"Scanning: hip {done} of {len(hips)}")
    return made


def scan_name(person: Participant, side: str, month: int) -> str:
    """Return the name of a scan's files without ending: ``P001_month12_left``."""
    return f"{person.name}_month{month:02d}_{side}"


def _each(executor: Executor | None, work: Callable, jobs: list[tuple]):
    """Yield the results of the jobs as they come."""
    if executor is None:
        yield from (work(*job) for job in jobs)
        return
    for future in as_completed([executor.submit(work, *job) for job in jobs]):
        yield future.result()


def _scan_hip(folder: Path, settings: TrialSettings, person: Participant, side: str) -> int:
    """Scan one hip at all visits; return how many scans were made now."""
    paths = {month: folder / SCANS / f"{scan_name(person, side, month)}.nrrd" for month in settings.months}
    wanted = {month: path for month, path in paths.items() if not path.is_file()}
    before = hip_before(settings, person, side) if wanted else None
    for month, path in wanted.items():
        made = simulate_scan(
            changed(settings, person, before, month), scanner_at(settings, person, side, month)
        )
        made.phantom.write_table(path.with_name(f"{path.stem}_rods.csv"))
        ct = made.volume
        # The scan comes last: where it is, its rods are too.
        write_volume(
            path,
            Volume(ct.array.astype(np.int16), ct.ijk_to_ras, ct.source, ct.modality, ct.slice_thickness_mm),
        )
    return len(wanted)


def _has_record(folder: Path, settings: TrialSettings) -> bool:
    """Return whether the trial was begun here; refuse a folder that holds other tables."""
    path = folder / RECORD_FILE
    check_room(folder.absolute())
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        if before != json.loads(json.dumps(plain(asdict(settings)))):
            raise SettingError(
                f"{path}: the folder holds a simulated trial of other settings; choose another folder."
            )
        return True
    for name in (TABLE_FILE, STUDY_FILE):
        if (folder / name).exists():
            raise SettingError(
                f"{folder / name}: this file is not of a simulated trial and would be replaced; choose "
                "another folder."
            )
    return False


def _table(settings: TrialSettings, people: list[Participant]) -> list[tuple]:
    rows = []
    for person in people:
        for month in settings.months:
            bmd = _areal_bmd(settings, person, month)
            for side in settings.sides:
                name = scan_name(person, side, month)
                who = (person.name, month, side, f"{SCANS}/{name}.nrrd", f"rods:{SCANS}/{name}_rods.csv")
                rows.append((*who, person.arm, person.age_years, person.weight_kg, person.height_cm, bmd))
    return rows


def _areal_bmd(settings: TrialSettings, person: Participant, month: int) -> float:
    """Return a hip's areal density (g/cm²) as another machine measures it, with its own noise."""
    random = np.random.default_rng([settings.seed, 15, person.number, month])
    points = mean_shape().points[::50]
    thickness, density = log_change(settings, person, points, month)
    before = 0.72 * person.tissue.thickness_factor**0.7 * person.tissue.cortical_density / 1080.0
    noise = 1.0 + _BMD_NOISE * random.standard_normal()
    return round(float(before * np.exp(0.8 * np.mean(thickness + density)) * noise), 4)


def true_effects(settings: TrialSettings) -> tuple[Surface, list[dict]]:
    """Return the true effect of a trial on the average femur.

    Parameters
    ----------
    settings : TrialSettings

    Returns
    -------
    surface : Surface
        The average femur with ``true_mass_percent_month_36`` and so on, treated against placebo.
    rows : list of dict
        The same by region and overall, weighed by the cortical mass of a mean hip as `cbm stats` does.
    """
    average = load_average()
    places = register(mean_shape(), average.surface, "right", shape_model=average.shape_model).deformed.points
    arrays, rows = {}, []
    for month in settings.months[1:]:
        thickness, density = settings.treatment.log_effect(places, month)
        for name, change in (("mass", thickness + density), ("thickness", thickness), ("density", density)):
            arrays[f"true_{name}_percent_month_{month}"] = 100.0 * np.expm1(change)
        rows += _true_rows(month, average, places, thickness, density)
    bare = Surface(average.surface.points, average.surface.triangles)
    return bare.with_arrays(units=dict.fromkeys(arrays, "%"), **arrays), rows


def _write_truth(folder: Path, settings: TrialSettings) -> None:
    if (folder / TRUTH_TABLE).is_file():
        return
    surface, rows = true_effects(settings)
    write_surface(folder / TRUTH_FILE, surface)
    write_text(folder / TRUTH_TABLE, csv_of_rows(TRUE_COLUMNS, rows))


def _true_rows(
    month: int, average: AverageFemur, places: np.ndarray, thickness: np.ndarray, density: np.ndarray
) -> list[dict]:
    thick, dense = cortex(places, Tissue(local_variation=0.0), np.random.default_rng(0))
    weight = average.surface.point_areas * thick * dense
    regions = {
        name: average.region == number for number, name in average.region_names.items() if number != CUT_END
    }
    rows = []
    for name, inside in {WHOLE_FEMUR: average.measured, **regions}.items():
        share = weight[inside] / weight[inside].sum()
        t, d = float(share @ thickness[inside]), float(share @ density[inside])
        rows.append(
            {
                "month": month,
                "region": name,
                "mass_percent": 100.0 * np.expm1(t + d),
                "thickness_percent": 100.0 * np.expm1(t),
                "density_percent": 100.0 * np.expm1(d),
                "thickness_share": t / (t + d) if t + d else float("nan"),
            }
        )
    return rows


def _study_file(settings: TrialSettings, spacing_mm: float | None) -> str:
    """Return a study file that asks for the difference of the arms at every visit."""
    mapped = "" if spacing_mm is None else f"[map]\nspacing_mm = {spacing_mm:g}\n\n"
    text = (
        '[study]\nname = "Simulated trial"\n'
        f'table = "{TABLE_FILE}"\nresults = "maps"\n\n[scans]\n\n{mapped}'
        f'[columns]\nreference = {{ arm = "{PLACEBO}" }}\n'
    )
    terms = ["visit", "arm", "visit × arm"]
    terms += ["side"] if len(settings.sides) > 1 else []
    terms += ["age", "weight"] if settings.people >= _MANY else []
    few = "" if settings.people >= _MANY else 'correction = "TFCE"\n'
    listed = ", ".join(f'"{term}"' for term in terms)
    for month in settings.months[1:]:
        text += (
            f'\n[[analysis]]\nname = "month {month}"\nmeasure = "cortical_mass_surface_density"\n'
            f"terms = [{listed}]\n"
            f'contrast = "{TREATED} − {PLACEBO} in the change from visit 0 to visit {month}"\n'
            f'{few}endpoints = ["areal_bmd"]\n'
        )
    return text
