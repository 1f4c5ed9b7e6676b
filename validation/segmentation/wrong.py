"""Scans that show no hip, or are not CT. None of them may give a femur."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from functools import cache as once
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import write_volume
from CorticalBoneMappingLib.simulation import ScannerSettings, simulate_hip, simulate_scan
from CorticalBoneMappingLib.simulation.scanner.phantom import Phantom
from CorticalBoneMappingLib.simulation.scanner.scanner import SimulatedScan

from ..measurement.cache import code, digest
from . import solids as solids_module
from .scans import CACHE
from .solids import Depth, Solid, ball, bent_rod, bone, cone, draw, ellipsoid, joined, without

_SEED = 890
_MUSCLE_HU, _FAT_HU, _LUNG_HU = 55.0, -105.0, -850.0
_VERTEBRA_MM = 27.0


def wrong_scans() -> dict[str, Path]:
    """Give the files by what they show; they are made where they are not there."""
    own = [code(ast.parse(Path(name).read_bytes())) for name in (__file__, solids_module.__file__)]
    folder = CACHE / "wrong" / digest(*own)
    files = {}
    for number, (name, make) in enumerate(_MAKERS.items()):
        files[name] = folder / f"{number:02d}.nrrd"
        if not files[name].is_file():
            write_volume(files[name], make())
    return files


@once
def _hip() -> SimulatedScan:
    settings = ScannerSettings(
        voxel_mm=0.8, slice_spacing_mm=2.5, noise_hu=20.0, seed=_SEED, margin_mm=30.0, rods=False
    )
    return simulate_scan(simulate_hip(_SEED, "right"), settings)


def _mr() -> Volume:
    """Fat and marrow bright, muscle grey, cortex and air black; the coil is more sensitive in front."""
    made = _hip()
    hu = made.volume.array
    signal = np.interp(
        hu, [-1000, -500, -150, -60, 0, 80, 250, 400], [5, 5, 900, 900, 350, 350, 60, 20]
    ).astype(np.float32)
    signal[(made.labelmap.array > 0) & (hu < 450)] = 700.0
    signal *= np.linspace(1.3, 0.7, hu.shape[1], dtype=np.float32)[:, None]
    noise = np.random.default_rng(_SEED).standard_normal((2, *hu.shape), np.float32) * 15.0
    image = np.round(np.hypot(signal + noise[0], noise[1]))
    return replace(made.volume, array=image, modality=None)


def _mr_below_zero() -> Volume:
    """The same as some programs export it: from −1024 on, so that its range could be that of a CT."""
    image = _mr()
    return replace(image, array=image.array * np.float32(2.0) - 1024.0)


def _knee() -> Volume:
    """A distal femur with two round condyles, patella, tibia and fibula."""

    def wall(points: np.ndarray) -> np.ndarray:
        return np.float32(0.7) + np.float32(3.8) * np.clip((np.abs(points[:, 2]) - 30.0) / 60.0, 0.0, 1.0)

    femur = joined(
        [
            cone((0, 4, 150), (0, 4, 45), 14, 17),
            cone((0, 3, 55), (20, -2, 14), 17, 20),
            cone((0, 3, 55), (-20, -2, 14), 17, 20),
            ball((23, -12, 3), 20.5),
            ball((-23, -12, 3), 21.5),
            ellipsoid((22, 8, 3), (15, 26, 20)),
            ellipsoid((-22, 8, 3), (15, 26, 20)),
        ]
    )
    tibia = joined(
        [ellipsoid((0, -4, -35), (39, 26, 14), 3.0), cone((0, 0, -45), (0, 4, -150), 20, 13)], 12.0
    )
    fibula = joined([ball((37, -22, -48), 10), cone((37, -22, -48), (36, -14, -150), 7, 6)])
    leg = ellipsoid((0, -5, 0), (74, 72, 1e4))
    skin = ellipsoid((0, -5, 0), (64, 62, 1e4))
    parts = [Solid(leg, _FAT_HU), Solid(skin, _MUSCLE_HU)]
    parts += [bone(femur, wall), bone(tibia, wall), bone(fibula, 2.0)]
    parts += [bone(ellipsoid((0, 42, 14), (22, 10, 21)), 1.2)]
    return draw(parts, (-80, -82, -130), (80, 74, 130), (0.8, 0.8, 1.5), 30.0, _SEED)


def _chest(arms: bool) -> Volume:
    """Lungs, heart, spine, ribs, breastbone and collarbones; arms have round heads in sockets."""
    width = 225.0 if arms else 185.0
    body = ellipsoid((0, -5, 0), (172, 118, 1e4), 2.5)
    muscle = ellipsoid((0, -5, 0), (158, 104, 1e4), 2.5)
    parts = [Solid(body, _FAT_HU), Solid(muscle, _MUSCLE_HU)]
    for side in (-1.0, 1.0):
        parts.append(Solid(ellipsoid((72 * side, 2, -30), (56, 74, 130)), _LUNG_HU))
    parts += [
        Solid(ellipsoid((-18, 28, -70), (52, 44, 56)), 40.0),
        Solid(cone((0, 0, -60), (0, 10, 80), 15, 14), 180.0),
    ]
    for level in np.arange(-150.0, 140.0, _VERTEBRA_MM):
        vertebra = joined(
            [ellipsoid((0, -55, level), (18, 15, 11), 4.0), cone((0, -75, level), (0, -96, level - 12), 6, 4)]
        )
        parts.append(bone(vertebra, 0.8, 180.0))
    for level in np.arange(-100.0, 130.0, _VERTEBRA_MM):
        parts += [bone(_rib(side, level), 1.0, 150.0) for side in (-1.0, 1.0)]
    parts.append(bone(ellipsoid((0, 88, 10), (18, 6, 85), 3.0), 1.0, 120.0))
    for side in (-1.0, 1.0):
        parts.append(bone(cone((18 * side, 80, 112), (120 * side, 10, 125), 6, 6), 1.5))
        if arms:
            parts += _shoulder(side)
    return draw(parts, (-width, -130, -150), (width, 125, 150), (1.2, 1.2, 3.0), 30.0, _SEED)


def _rib(side: float, level: float) -> Depth:
    angle = np.linspace(0.12, 0.86, 160) * np.pi  # from the spine around to the breastbone
    line = [side * 138.0 * np.sin(angle), -5.0 - 86.0 * np.cos(angle), level - 45.0 * angle / np.pi]
    return bent_rod(np.stack(line, axis=1), 5.5)


def _shoulder(side: float) -> list[Solid]:
    """A humerus with its head in the shoulder blade's shallow socket."""

    def place(lateral: float, anterior: float, superior: float) -> tuple[float, float, float]:
        return side * (178.0 + lateral), anterior - 14.0, superior + 98.0

    head, shaft_end = ball(place(0, 0, 0), 23.5), place(17, 0, -300)
    arm = joined([head, ball(place(17, 8, 0), 15), cone(place(10, 0, -15), shaft_end, 15, 11)])
    socket = without(ellipsoid(place(-33, -4, 0), (14, 19, 22), 3.0), ball(place(0, 0, 0), 27.0))
    blade = cone(place(-40, 0, 0), place(-70, -40, -60), 6, 5)
    flesh = cone(place(0, 0, 10), place(20, 0, -300), 48, 42)
    return [Solid(flesh, _MUSCLE_HU), bone(joined([socket, blade]), 1.2), bone(arm, 1.5)]


def _phantom_only() -> Volume:
    """Rods on a couch."""
    couch = Solid(ellipsoid((0, -40, 0), (200, 6, 1e4), 4.0), -500.0)
    volume = draw([couch], (-150, -60, -60), (150, 60, 60), (0.8, 0.8, 2.5), 20.0, _SEED)
    phantom = Phantom(np.array([0.0, -22.0, 0.0]), 1.2, 3.0)
    k, j, i = np.indices(volume.array.shape, sparse=True)
    points = volume.points_of(np.stack(np.broadcast_arrays(i, j, k), axis=-1)).reshape(-1, 3)
    hu = phantom.add_to(volume.array.ravel(), points, 0.6).reshape(volume.array.shape)
    return replace(volume, array=np.round(hu).astype(np.float32))


def _air() -> Volume:
    return draw([], (-80, -80, -60), (80, 80, 60), (0.8, 0.8, 2.5), 20.0, _SEED)


def _constant() -> Volume:
    return replace(_air(), array=np.full(_air().array.shape, 40.0, dtype=np.float32))


def _not_a_number() -> Volume:
    array = _hip().volume.array.copy()
    array[20:24, 50:60, 50:60] = np.nan
    return replace(_hip().volume, array=array)


def _one_slice() -> Volume:
    volume = _hip().volume
    middle = len(volume.array) // 2
    return replace(volume, array=volume.array[middle : middle + 1])


def _without_intercept() -> Volume:
    volume = _hip().volume
    return replace(volume, array=volume.array + 1024.0, modality=None)


def _part(lowest_mm: float, highest_mm: float) -> Volume:
    """The slices between two heights above the centre of the head."""
    made = _hip()
    ends = made.hip.head_centre + np.array([[0, 0, lowest_mm], [0, 0, highest_mm]])
    low, high = np.clip(made.volume.index_of(ends)[:, 2].astype(int), 0, len(made.volume.array))
    matrix = made.volume.ijk_to_ras.copy()
    matrix[:3, 3] = made.volume.points_of([0, 0, low])
    return replace(made.volume, array=made.volume.array[low:high], ijk_to_ras=matrix)


_MAKERS: dict[str, Callable[[], Volume]] = {
    "MR of a hip": _mr,
    "MR of a hip, values from −1024 on": _mr_below_zero,
    "CT of a knee": _knee,
    "CT of a chest, arms up": lambda: _chest(arms=False),
    "CT of a chest, arms down: heads of the humerus in their sockets": lambda: _chest(arms=True),
    "phantom on a couch, nobody": _phantom_only,
    "empty: air and noise": _air,
    "constant": _constant,
    "not-a-number in 400 voxels": _not_a_number,
    "1 slice": _one_slice,
    "CT without its rescale intercept": _without_intercept,
    "thigh: the shaft below the trochanters": lambda: _part(-300.0, -70.0),
    "upper half of the pelvis, above the heads": lambda: _part(32.0, 300.0),
}
"""By what they show."""
