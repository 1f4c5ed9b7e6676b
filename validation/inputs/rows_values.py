"""What voxels hold: values that are not HU, that were cut off, or that are not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from CorticalBoneMappingLib.calibration.tissues import find_tissues
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import read_volume, write_volume

from .hip import as_plain, cbm, mapped, plain
from .judged import REFUSED, WARNED, Answer, Input
from .stored import femur, plain_ct, with_values, write_image

Change = Callable[[np.ndarray], np.ndarray]


def _noise() -> np.ndarray:
    return np.random.default_rng(3).normal(0.0, 14.0, plain_ct().array.shape)


@lru_cache(maxsize=1)
def _bone() -> np.ndarray:
    return ndimage.binary_dilation(femur())


def _in_water(hu: np.ndarray) -> np.ndarray:
    """The femur alone, in a bath of saline."""
    return np.where(_bone(), hu, 5.0 + _noise())


def _in_air(hu: np.ndarray) -> np.ndarray:
    """The femur alone, in air, with a millimetre of soft tissue about it."""
    return np.where(_bone(), hu, -1000.0 + _noise())


def _without_intercept(hu: np.ndarray) -> np.ndarray:
    return hu + 1024.0


def _without_intercept_but_padded(hu: np.ndarray) -> np.ndarray:
    return np.where(_corners(), -2000.0, hu + 1024.0)


def _with_metal(hu: np.ndarray) -> np.ndarray:
    """A pin beside the femur, cut off at the end of twelve bits."""
    metal = np.zeros(hu.shape, bool)
    metal[:, 5:9, 5:9] = True
    return np.where(metal, 3071.0, hu)


@lru_cache(maxsize=1)
def _corners() -> np.ndarray:
    """What lies outside a round field of view."""
    _, rows, columns = plain_ct().array.shape
    j, i = np.indices((rows, columns))
    radius = 0.5 * max(rows, columns)
    outside = np.hypot(j - 0.5 * (rows - 1), i - 0.5 * (columns - 1)) > radius
    return np.broadcast_to(outside, plain_ct().array.shape)


def _as_in_mr(hu: np.ndarray) -> np.ndarray:
    """Grey as in MR, from -1024 on: fat and marrow bright, muscle grey, cortex and air dark."""
    return np.interp(hu, [-500.0, -200.0, -100.0, 50.0, 700.0], [-1024.0, -24.0, -24.0, -700.0, -1000.0])


def _border(hu: np.ndarray, value: float) -> np.ndarray:
    """Corners and the first 15 columns filled with a value."""
    filled = _corners().copy()
    filled[:, :, :15] = True
    return np.where(filled, value, hu)


def _read(change: Change, modality: str | None, folder: Path) -> Answer:
    """Read a CT with changed values; they should come as they are written."""
    volume = read_volume(with_values(change, folder / "ct.nrrd", modality))
    same = np.array_equal(volume.array, np.round(change(plain_ct().array)))
    return Answer(f"read: {volume.array.min():g} to {volume.array.max():g} HU", same, volume.warnings)


def _map(change: Change, folder: Path) -> Answer:
    """Map with the label map: the search for hips, which asks more, has no say."""
    return as_plain(with_values(change, folder / "ct.nrrd"), folder)


def _map_alone(change: Change, folder: Path) -> Answer:
    """Map the femur alone: what is around it moves thickness a little, not more."""
    thickness, density, notes = mapped(with_values(change, folder / "ct.nrrd"), folder)
    true_thickness, true_density = plain()
    near = abs(thickness - true_thickness) < 0.15 and abs(density / true_density - 1) < 0.05
    return Answer(
        f"{thickness:.2f} mm, {density:.0f} HU (in the body {true_thickness:.2f}, {true_density:.0f})",
        near,
        notes,
    )


def _segment(change: Change, folder: Path) -> Answer:
    return Answer(
        cbm("segment", with_values(change, folder / "ct.nrrd"), "--out", folder / "x", "--quiet"), False
    )


def _not_a_number(name: str, folder: Path) -> Answer:
    values = np.where(_corners(), np.nan, plain_ct().array)
    volume = read_volume(write_image(folder / name, replace(plain_ct(), array=values), np.float32))
    return Answer(f"read, corners {volume.array[0, 0, 0]:g} HU", False, volume.warnings)


def _internal(value: float, folder: Path) -> Answer:
    """Muscle as the internal calibration finds it, the border filled."""
    write_volume(folder / "ct.nrrd", replace(plain_ct(), array=_border(plain_ct().array, value)))
    read = read_volume(folder / "ct.nrrd")
    found, true = (find_tissues(volume)["muscle"].hu for volume in (read, plain_ct()))
    return Answer(f"muscle at {found:.0f} HU (without: {true:.0f})", abs(found - true) < 2.0, read.warnings)


def _beside_a_filled_border(folder: Path) -> Answer:
    """Cut the femur lengthwise: points there carry no values instead of those of an edge to 0 HU."""
    edge = int(np.nonzero(femur().any(axis=(0, 1)))[0][0]) + 12
    change: Change = lambda hu: np.where(np.arange(hu.shape[2]) < edge, 0.0, hu)  # noqa: E731
    thickness, density, notes = mapped(with_values(change, folder / "ct.nrrd"), folder)
    return Answer(f"{thickness:.2f} mm, {density:.0f} HU", False, notes)


def _constant(folder: Path) -> Path:
    return write_image(folder / "ct.nrrd", Volume(np.full((5, 6, 7), 40, np.int16), np.eye(4)))


_WRONG: dict[tuple[str, ...], Change] = {
    ("values + 1024 (no rescale intercept)", "rescale intercept"): _without_intercept,
    ("values + 1024, padding -2000", "rescale intercept"): _without_intercept_but_padded,
    ("values + 1024, the femur in air", "values", "CT"): lambda hu: _in_air(hu) + 1024.0,
    ("values + 1024, the femur in water", "values", "CT"): lambda hu: _in_water(hu) + 1024.0,
    ("values - 1024 (intercept twice)", "inside the bone"): lambda hu: hu - 1024.0,
    ("inverted grey: values negated", "inverted"): np.negative,
    ("inverted grey: largest value less each", "are not the HU"): lambda hu: hu.max() - hu,
    ("MR with values from -1024 on", "are not the HU"): _as_in_mr,
    ("half of each value (slope lost)", "slope"): lambda hu: 0.5 * hu,
    ("values cut off at 1000 HU", "cut off at 1000 HU"): lambda hu: np.minimum(hu, 1000.0),
    ("values cut off at 600 HU", "cut off at 600 HU"): lambda hu: np.minimum(hu, 600.0),
    ("a soft-tissue window of -160 to 240 HU", "cut off at 240 HU"): lambda hu: np.clip(hu, -160.0, 240.0),
    ("eight bits, 0 to 255", "are not the HU"): lambda hu: np.clip((hu + 1024.0) / 10.0, 0.0, 255.0),
}

_RIGHT: dict[str, Change] = {
    "twelve bits of an old scanner, -1024 to 3071": lambda hu: np.clip(hu, -1024.0, 3071.0),
    "metal cut off at 3071 HU": _with_metal,
    "padding of -2000 outside a round field of view": lambda hu: np.where(_corners(), -2000.0, hu),
    "padding of -1024 outside a round field of view": lambda hu: np.where(_corners(), -1024.0, hu),
    "a femur alone in water": _in_water,
    "a femur alone in air": _in_air,
}

INPUTS = [
    *(
        Input(
            "A2",
            f"{what}, mapped with a label map",
            "these are not HU",
            partial(_map, change),
            REFUSED,
            tuple(said),
        )
        for (what, *said), change in _WRONG.items()
    ),
    Input(
        "A2",
        "values + 1024, no modality in the file",
        "these are not HU",
        partial(_read, _without_intercept, None),
        REFUSED,
        ("intercept",),
    ),
    Input(
        "A2",
        "values + 1024, cbm segment",
        "these are not HU",
        partial(_segment, _without_intercept),
        REFUSED,
        ("intercept",),
    ),
    Input(
        "A2",
        "inverted grey, cbm segment",
        "these are not HU",
        partial(_segment, np.negative),
        REFUSED,
        ("inverted",),
    ),
    Input(
        "A2",
        "metal cut off at 2000 HU",
        "density of bone above is not known",
        partial(_read, lambda hu: np.minimum(_with_metal(hu), 2000.0), "CT"),
        WARNED,
        ("cut off at 2000 HU",),
    ),
    Input(
        "A2",
        "values cut off below -200 HU",
        "air is lost, bone is right",
        partial(_read, lambda hu: np.maximum(hu, -200.0), "CT"),
        WARNED,
        ("cut off below -200 HU",),
    ),
    *(
        Input("kept", f"reading {what}", "HU", partial(_read, change, None))
        for what, change in _RIGHT.items()
    ),
    Input(
        "kept",
        "mapping with metal cut off at 3071 HU beside the bone",
        "the plain scan",
        partial(_map, _with_metal),
        is_long=True,
    ),
    Input(
        "kept",
        "mapping a femur alone in water",
        "nearly the plain scan",
        partial(_map_alone, _in_water),
        is_long=True,
    ),
    Input(
        "kept",
        "mapping a femur alone in air, with a film of tissue",
        "the film is not cortex",
        partial(_map_alone, _in_air),
        WARNED,
        ("lies in air",),
        is_long=True,
    ),
    Input(
        "A5",
        "NIfTI with NaN outside the field of view",
        "no values there",
        partial(_not_a_number, "ct.nii.gz"),
        REFUSED,
        ("not finite",),
    ),
    Input(
        "A5",
        "NRRD with NaN outside the field of view",
        "no values there",
        partial(_not_a_number, "ct.nrrd"),
        REFUSED,
        ("not finite",),
    ),
    Input(
        "A5",
        "a border filled with 0, internal calibration",
        "no tissue",
        partial(_internal, 0.0),
        WARNED,
        ("exactly 0 HU", "outside the field of view"),
    ),
    Input(
        "A5",
        "a border filled with 50, internal calibration",
        "no tissue",
        partial(_internal, 50.0),
        WARNED,
        ("exactly 50 HU",),
    ),
    Input(
        "A5",
        "the femur cut by a border filled with 0, mapped",
        "no values there",
        _beside_a_filled_border,
        WARNED,
        ("exactly 0 HU",),
        is_long=True,
    ),
    Input(
        "kept",
        "an image of one value",
        "empty",
        lambda folder: Answer(str(read_volume(_constant(folder)).source), False),
        REFUSED,
        ("same value (40)",),
    ),
]
