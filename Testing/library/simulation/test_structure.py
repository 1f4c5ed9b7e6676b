"""Bone with microstructure: its mean is the smooth bone, and its truth is what brute force finds in it."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import SettingError
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.mesh.meshing import isosurface
from CorticalBoneMappingLib.simulation.hip.bone import Bone, Hip
from CorticalBoneMappingLib.simulation.hip.soft_tissue import FAT_HU, SoftTissue
from CorticalBoneMappingLib.simulation.hip.structure_truth import structure_truth
from CorticalBoneMappingLib.simulation.hip.structured import draw_structure, structured
from CorticalBoneMappingLib.simulation.scanner.field import rotation
from CorticalBoneMappingLib.simulation.scanner.voxelise import FineGrid, voxelise
from CorticalBoneMappingLib.simulation.structure.microstructure import Microstructure, Structure
from CorticalBoneMappingLib.simulation.structure.network import Network
from CorticalBoneMappingLib.simulation.structure.waves import Waves

UP = np.array([0.0, 0.0, 1.0])
CORTICAL, TRABECULAR, THICKNESS = 1050.0, 160.0, 1.6
PLATE_MM = np.array([6.5, 6.5, 4.5])  # half sizes
EVEN = Structure(bundle_variation=0.0)  # without bundles a small piece has the mean of the whole


@pytest.fixture(scope="module")
def plate():
    """A block whose upper face is flat; its edges are left out of comparisons."""
    step = 0.5
    axes = [np.arange(-half - 2 * step, half + 2.01 * step, step) for half in PLATE_MM]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    level = np.min(PLATE_MM - np.abs(np.stack([x, y, z], axis=-1)), axis=-1).transpose(2, 1, 0)
    matrix = np.diag([step, step, step, 1.0])
    matrix[:3, 3] = [axis[0] for axis in axes]
    surface = isosurface(level, matrix, 0.0)
    full = np.ones(len(surface.points))
    surface = surface.with_arrays(cortical_thickness=THICKNESS * full, cortical_density=CORTICAL * full)
    return Bone(surface, lambda points, depth: np.full(len(points), TRABECULAR))


def with_structure(bone, structure=None, seed=1):
    return replace(bone, microstructure=Microstructure.of(structure or EVEN, UP, seed))


def cells(bone, cell=0.1):
    """Density of the bone's cells within 5 mm of the axis, above z = 0, and the grid's z, (z, y, x)."""
    shape = (100, 100, 60)
    grid = FineGrid(np.array([-5.0, -5.0, 0.0]), np.eye(3), np.full(3, cell), shape)
    sampled = voxelise(bone, grid, lambda points: np.zeros(len(points)))
    found = np.zeros(shape[::-1])
    for layer in range(grid.blocks[2]):
        made, here = sampled.layer(layer), slice(layer * grid.block[2], (layer + 1) * grid.block[2])
        if made is not None:
            found[here, made.y, made.x] = made.contrast[: len(found[here])]
    return found, (np.arange(shape[2]) + 0.5) * cell


def test_the_mean_bone_fraction_is_the_one_that_was_asked_for():
    random = np.random.default_rng(0)
    network = Network.of_spacing(0.85, random, UP, 1.5)
    centres = random.uniform(-60.0, 60.0, (1500, 3))
    steps = 0.1 * (np.arange(6) + 0.5)
    offsets = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    for fraction in (0.05, 0.13, 0.27, 0.6, 0.86):
        wanted = np.full((len(centres), len(offsets)), fraction)
        filled = network.on_blocks(centres, offsets, wanted, 0.1)
        assert filled.mean() == pytest.approx(fraction, abs=0.01)
        assert network.at(centres, wanted[:, 0]).mean() == pytest.approx(fraction, abs=0.03)
    assert network.on_blocks(centres, offsets, np.zeros_like(wanted), 0.1).max() == 0.0
    assert network.on_blocks(centres, offsets, np.ones_like(wanted), 0.1).min() == 1.0


def test_plates_are_as_far_apart_as_was_asked_for():
    # A line crosses surfaces of the area S per volume S / 2 times per length; planes d apart have S = 1 / d.
    network = Network.of_spacing(0.85, np.random.default_rng(3), UP, 1.0)
    starts = np.random.default_rng(4).uniform(-50.0, 50.0, (40, 3))
    along = np.arange(0.0, 20.0, 0.05)[:, None] * np.array([0.6, 0.0, 0.8])
    signs = np.sign(network.first.on_blocks(starts, along))
    per_mm = (signs[:, 1:] != signs[:, :-1]).sum() / (40 * 20.0)
    assert 2.0 * per_mm == pytest.approx(1.0 / 0.85, rel=0.06)


def test_a_field_on_blocks_is_the_field_at_points_and_moves_with_the_bone():
    random = np.random.default_rng(1)
    waves = Waves.of_correlation(0.8, random)
    points = random.uniform(-80.0, 80.0, (50, 3))
    offsets = random.uniform(0.0, 1.0, (7, 3))
    every = (points[:, None] + offsets).reshape(-1, 3)
    assert waves.on_blocks(points, offsets).ravel() == pytest.approx(waves.at(every), abs=1e-4)
    turn, centre, shift = rotation((10.0, 20.0, 30.0)), np.array([3.0, 4.0, 5.0]), np.array([40.0, -7.0, 2.0])
    moved = (every - centre) @ turn.T + centre + shift
    assert waves.moved(turn, centre, shift).at(moved) == pytest.approx(waves.at(every), abs=1e-4)


def test_the_mean_of_structured_bone_is_the_smooth_bone(plate):
    found = [cells(with_structure(plate, seed=seed)) for seed in range(6)]
    z = found[0][1]
    mean = np.mean([one[:, 16:84, 16:84].mean(axis=(1, 2)) for one, _ in found], axis=0)
    # In 65 mm³ the density of one network has an SD of 24 mg/cm³.
    assert mean[z < PLATE_MM[2] - THICKNESS - 1.5].mean() == pytest.approx(TRABECULAR, abs=20.0)
    assert mean[np.abs(PLATE_MM[2] - 0.4 - z) < 0.15].mean() == pytest.approx(CORTICAL, rel=0.03)


def test_without_pores_zone_and_roughness_the_cortex_is_the_smooth_one(plate):
    none = Structure(
        porosity_outside=0.0, porosity_inside=0.0, zone_least_mm=0.0, zone_most_mm=0.0, roughness_mm=0.0
    )
    (rough, z), (smooth, _) = cells(with_structure(plate, none)), cells(plate)
    cortex = (z < PLATE_MM[2] + 0.5) & (z > PLATE_MM[2] - THICKNESS + 0.1)
    assert np.abs(rough - smooth)[cortex].max() < 1.0


def test_truth_is_what_brute_force_finds_in_the_cells_of_a_flat_plate(plate):
    bone = with_structure(plate, seed=5)
    truth = structure_truth(bone, 0.0)
    points = bone.surface.points
    middle = (np.abs(points[:, :2]).max(axis=1) < 4.9) & (points[:, 2] > 4.4)
    found, z = cells(bone)
    # Beneath the zone the mean excess is 0, so all that lies above some depth counts, on average.
    deep = z > PLATE_MM[2] - 3.5
    level = found[~deep].mean()
    within = (z < PLATE_MM[2])[:, None, None] * np.ones_like(found)
    above = ((found - level * within)[deep].sum(axis=0) * 0.1 / 10.0).mean()
    assert truth.mass_above_trabecular[middle].mean() == pytest.approx(above, rel=0.04)
    # The mean density falls through the middle of compact bone and marrow where the fraction is one half.
    network = bone.microstructure
    x, y = np.meshgrid(np.arange(-4.5, 4.6, 0.25), np.arange(-4.5, 4.6, 0.25))
    depth = np.arange(0.0, 3.0, 0.02)
    made = [np.empty(0)] * len(depth)
    for row, below in enumerate(depth):
        place = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, PLATE_MM[2] - below)])
        full = np.ones(len(place))
        zone = network.zone_mm(place + np.array([0.0, 0.0, below]))
        parts = network.expected(below * full, THICKNESS * full, zone, CORTICAL * full, TRABECULAR * full)
        share = network.network.at(place, parts.network)
        made[row] = network.fraction(parts, share, network.pores.at(place)).mean()
    half = depth[np.flatnonzero(np.array(made) > 0.5)[-1]]
    whole = structure_truth(bone, 6.0).thickness[middle].mean()
    assert half == pytest.approx(THICKNESS, abs=0.06)
    assert whole == pytest.approx(half, abs=0.06)
    assert whole == pytest.approx(THICKNESS, abs=0.06)


def test_smooth_bone_is_its_own_truth(plate):
    truth = structure_truth(plate)
    assert truth.thickness == pytest.approx(THICKNESS)
    assert truth.mass_above_trabecular == pytest.approx(THICKNESS * (CORTICAL - TRABECULAR) / 10.0)
    assert truth.cortical_density == pytest.approx(CORTICAL)


def test_the_structure_is_the_persons_and_stays_with_the_bone(plate):
    hip = Hip(plate, "right", np.zeros(3), 10.0)
    one, same, other = structured(hip, 4), structured(hip, 4), structured(hip, 5)
    assert np.array_equal(cells(one.femur)[0], cells(same.femur)[0])
    assert np.abs(cells(one.femur)[0] - cells(other.femur)[0]).mean() > 30.0
    moved = one.moved(rotation((3.0, -8.0, 20.0)), np.array([12.0, 30.0, -4.0]))
    before, after = structure_truth(one.femur), structure_truth(moved.femur)
    assert after.thickness == pytest.approx(before.thickness, abs=2e-3)
    assert draw_structure(4) == draw_structure(4) != draw_structure(5)


def test_streaks_of_fat_lie_in_the_muscle_of_a_structured_hip_only(plate):
    hip = Hip(plate, "left", np.zeros(3), 10.0)
    points = np.random.default_rng(2).uniform([-40.0, -40.0, -30.0], [40.0, 40.0, 30.0], (20_000, 3))
    smooth, streaked = SoftTissue(hip).hu(points), SoftTissue(structured(hip, 3)).hu(points)
    changed = smooth - streaked > 20.0
    assert 0.02 < changed.mean() < 0.15
    assert (smooth - streaked).min() > -1e-3
    assert streaked[changed].min() > FAT_HU


def test_cbm_simulate_writes_a_structured_hip_with_its_local_truth(plate, tmp_path, monkeypatch):
    hip = Hip(plate, "right", np.zeros(3), 10.0)
    monkeypatch.setattr("CorticalBoneMappingLib.simulation.simulate_hip", lambda *given, **more: hip)
    options = ["--structure", "measured", "--profile", "gaussian", "--voxel", "1.5", "--quiet"]
    assert main(["simulate", "hip", "--out", str(tmp_path / "hip"), *options]) == 0
    record = json.loads((tmp_path / "hip" / "simulation.json").read_text(encoding="utf-8"))
    assert record["structure"] == asdict(draw_structure(0))
    assert record["scanner"]["slice_profile"] == "gaussian"
    truth = read_surface(tmp_path / "hip" / "truth.vtp")
    local = structure_truth(structured(hip, 0).femur)
    assert truth.arrays["local_thickness"] == pytest.approx(local.thickness, abs=2e-3)
    assert truth.arrays["cortical_thickness"] == pytest.approx(THICKNESS)


def test_a_value_out_of_bounds_is_refused_by_name():
    with pytest.raises(SettingError, match=r"strut spacing mm of the bone is 0\.1"):
        Structure(strut_spacing_mm=0.1)
