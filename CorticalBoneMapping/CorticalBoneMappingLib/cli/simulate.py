"""``cbm simulate``: the CT of a digital hip, or the scans of a whole trial, whose truth is known."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.side import SIDES
from .common import add_command, add_output_options, progress_of, say, without_machine_paths

if TYPE_CHECKING:
    from ..core.progress import Progress
    from ..core.volume import Volume


CT_FILE, LABELS_FILE, TRUTH_FILE, RODS_FILE = "ct.nrrd", "labels.nrrd", "truth.vtp", "rods.csv"
SIMULATION_FILE, NIFTI_FILE, DICOM_FOLDER = "simulation.json", "ct.nii.gz", "dicom"
_CT_FILES = {"nrrd": CT_FILE, "nifti": NIFTI_FILE, "dicom": DICOM_FOLDER}

_EPILOG = """\
examples:
  cbm simulate hip --out hip
  cbm simulate hip --out hip --seed 7 --side left --voxel 0.7 --slice 3 --noise 24
  cbm simulate hip --out hip --structure measured --profile trapezoid
  cbm map hip/ct.nrrd --mask hip/labels.nrrd --label 1 --side left --out result \\
          --calibration rods:hip/rods.csv

writes to DIR:
  ct.nrrd          the CT in HU (ct.nii.gz with --format nifti; a folder dicom/ with --format dicom)
  labels.nrrd      1 the femur, 2 other bone
  truth.vtp        the true surface with the true cortical_thickness (mm) and cortical_density (mg/cm³);
                   with --structure also the local truth, struts and all: local_thickness (mm), local_mass
                   (mg/cm² above the trabecular level), local_density (mg/cm³)
  rods.csv         the calibration rods under the patient, for --calibration rods:
  simulation.json  every setting

The same settings give the same voxels."""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    simulate = add_command(commands, "simulate", "make scans whose truth is known", "")
    kinds = simulate.add_subparsers(title="what to simulate", metavar="hip | trial", required=True)
    add_trial(kinds)
    parser = add_command(kinds, "hip", "make a CT of one hip whose truth is known", _EPILOG)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the scan")
    parser.add_argument("--seed", type=int, default=0, help="which person, and which noise (default: 0)")
    parser.add_argument("--side", choices=SIDES, default="right", help="default: right")
    # What is not given is left out, so that the defaults are in one place: ScannerSettings.
    given: dict[str, Any] = {"type": float, "default": argparse.SUPPRESS}
    for option, name, unit, text in (
        ("--voxel", "voxel_mm", "MM", "pixel size in the plane of the slices (default: 0.6)"),
        ("--slice", "slice_spacing_mm", "MM", "slice spacing (default: 1.0)"),
        ("--thickness", "slice_thickness_mm", "MM", "width of the slice profile (default: the spacing)"),
        ("--blur", "psf_sigma_mm", "MM", "standard deviation of the blur in the plane (default: 0.47)"),
        ("--noise", "noise_hu", "HU", "standard deviation of the noise (default: 14)"),
        ("--hardening", "bone_hardening", "SHARE", "beam hardening of bone, 0 to 0.5 (default: 0)"),
    ):
        parser.add_argument(option, dest=name, metavar=unit, help=text, **given)
    add_structure(parser)
    parser.add_argument(
        "--profile",
        dest="slice_profile",
        choices=("rectangle", "trapezoid", "gaussian"),
        help="shape of the slice profile (default: rectangle)",
        default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "--density-variation",
        type=float,
        default=1.0,
        metavar="TIMES",
        help="how much the cortical density varies over the bone; 0: not at all (default: 1)",
    )
    for option, name, text in (
        ("--patient-rotation", "patient_rotation_deg", "degrees about R, A and S that the patient is turned"),
        ("--slice-rotation", "grid_rotation_deg", "degrees about R, A and S that the slices are turned"),
    ):
        parser.add_argument(option, dest=name, nargs=3, metavar=("R", "A", "S"), help=text, **given)
    parser.add_argument(
        "--format", choices=("nrrd", "nifti", "dicom"), default="nrrd", help="of the CT (default: nrrd)"
    )
    add_output_options(parser)
    parser.set_defaults(run=run)


def add_structure(parser: argparse.ArgumentParser) -> None:
    """Add the option of the bone's microstructure."""
    parser.add_argument(
        "--structure",
        choices=("none", "measured"),
        default="none",
        help="smooth bone, or struts, pores, a trabecularised zone and a rough surface with numbers of real "
        "bone; a scan then takes three times as long (default: none)",
    )


def run(chosen: argparse.Namespace) -> None:
    """Make the hip, scan it, write the scan and the truth, and print a summary."""
    simulate_to(chosen, progress_of(chosen))


def simulate_to(chosen: argparse.Namespace, progress: Progress) -> None:
    """Do the work of the command with a progress of the caller's."""
    from dataclasses import asdict, fields

    import numpy as np

    from ..io.files import write_json
    from ..io.folders import ready_folder, whole_folder
    from ..io.surface_files import write_surface
    from ..io.volume_files import write_volume
    from ..pipeline.provenance import plain, program
    from ..simulation import ScannerSettings, simulate_hip, simulate_scan
    from ..simulation.hip.structure_truth import with_local_truth
    from ..simulation.hip.structured import structured

    written = (_CT_FILES[chosen.format], LABELS_FILE, TRUTH_FILE, RODS_FILE)
    ready_folder(chosen.out, "simulated hip", SIMULATION_FILE, written)
    names = {field.name for field in fields(ScannerSettings)}
    given = {name: value for name, value in vars(chosen).items() if name in names}
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    settings = ScannerSettings(**given)
    progress.report(0.0, "Making the hip")
    hip = simulate_hip(chosen.seed, chosen.side, density_variation=chosen.density_variation)
    hip = hip if chosen.structure == "none" else structured(hip, chosen.seed)
    made = simulate_scan(hip, settings, progress.part(0.15, 0.85))
    truth = made.hip.femur.surface if chosen.structure == "none" else with_local_truth(made.hip.femur)
    progress.report(0.85, "Writing")
    thickness = truth.arrays["cortical_thickness"]
    # Mass over volume of the whole cortex: the one density that a bone of varying density has.
    density = float(np.average(truth.arrays["cortical_density"], weights=truth.point_areas * thickness))
    record = {
        "program": program(),
        "side": chosen.side,
        "seed": chosen.seed,
        "structure": None if hip.femur.microstructure is None else asdict(hip.femur.microstructure.structure),
        "scanner": asdict(settings),
        "true_cortical_density": round(density, 3),
        "command": without_machine_paths(chosen.command_line),
    }
    with whole_folder(chosen.out, "simulated hip", SIMULATION_FILE) as temporary:
        _write_ct(made.volume, temporary, chosen, progress.part(0.85, 0.95))
        write_volume(temporary / LABELS_FILE, made.labelmap)
        write_surface(temporary / TRUTH_FILE, truth)
        if made.phantom is not None:
            made.phantom.write_table(temporary / RODS_FILE)
        write_json(temporary / SIMULATION_FILE, plain(record))
    progress.report(1.0, "Done")
    size = " × ".join(str(n) for n in made.volume.array.shape[::-1])
    say(
        chosen,
        f"{chosen.side.capitalize()} hip {chosen.seed}: {size} voxels of "
        f"{settings.voxel_mm:g} × {settings.voxel_mm:g} × {settings.slice_spacing_mm:g} mm\n"
        f"True cortex: {thickness.min():.2f} to {thickness.max():.2f} mm, mean density {density:.0f} mg/cm³",
    )


def _write_ct(volume: Volume, folder: Path, chosen: argparse.Namespace, progress: Progress) -> None:
    from ..io.volume_files import write_volume
    from ..simulation.scanner.dicom_writer import write_dicom_series

    place = folder / _CT_FILES[chosen.format]
    if chosen.format == "dicom":
        write_dicom_series(place, volume, chosen.seed, progress)
    else:
        write_volume(place, volume)


_TRIAL_EPILOG = """\
examples:
  cbm simulate trial --out trial --people 12 --months 0 36
  cbm simulate trial --out trial --workers 2          the whole one: 80 people, 4 visits, 640 scans, 3 GB
  cbm simulate trial --out null --effect 0            a trial in which nothing happens

writes to DIR, and goes on where it was broken off:
  participants.csv   participant, visit (month), side, scan, calibration, arm, age, weight, height, areal_bmd
  study.toml         the difference of the arms at every visit, for cbm study and cbm stats
  scans/             a CT (NRRD) and its calibration rods for each visit and hip
  truth/             the true effect on the average femur (true_effect.vtp) and by region (true_effect.csv)
  trial.json         every setting

The treated gain cortical mass against placebo as in a published trial of denosumab: 5.4 % over the whole
proximal femur after 36 months, two thirds of it thickness, 12 % at the lateral trochanter, little at the
head.
Everybody loses thickness slowly. People differ in shape, bone, answer and loss; every visit has its own
position, noise and scanner drift."""


def add_trial(kinds: Any) -> None:
    """Add the command to the parser of ``cbm simulate``."""
    parser = add_command(kinds, "trial", "make the CTs of a trial whose effect is known", _TRIAL_EPILOG)
    given: dict[str, Any] = {"default": argparse.SUPPRESS}
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the trial")
    parser.add_argument("--people", type=int, metavar="N", help="in both arms (default: 80)", **given)
    parser.add_argument(
        "--months", type=int, nargs="+", metavar="M", help="of the visits (default: 0 12 24 36)", **given
    )
    parser.add_argument(
        "--effect", type=float, metavar="PERCENT", help="on mass after 36 months (default: 5.4)", **given
    )
    parser.add_argument("--seed", type=int, help="of everything (default: 0)", **given)
    add_structure(parser)
    parser.add_argument(
        "--spacing", type=float, metavar="MM", help="between the points of the maps, written to study.toml"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="hips at a time (default: 1)")
    add_output_options(parser)
    parser.set_defaults(run=run_trial)


def run_trial(chosen: argparse.Namespace) -> None:
    """Simulate and print how many scans there are."""
    from contextlib import nullcontext

    from ..simulation.trial import Treatment, TrialSettings
    from ..study.mapping.executors import open_executor
    from ..study.simulated_trial import write_trial

    given = {name: getattr(chosen, name) for name in ("people", "seed", "structure") if name in chosen}
    if "months" in chosen:
        given["months"] = tuple(chosen.months)
    if "effect" in chosen:
        given["treatment"] = Treatment(chosen.effect)
    settings = TrialSettings(**given)
    pool = nullcontext() if chosen.workers == 1 else open_executor(chosen.workers)
    with pool as executor:
        made = write_trial(chosen.out, settings, executor, progress_of(chosen), chosen.spacing)
    count = settings.people * len(settings.months) * len(settings.sides)
    say(chosen, f"{chosen.out}: {count} scans of {settings.people} people, {made} of them made now.")
