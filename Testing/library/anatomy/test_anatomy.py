"""Landmarks, lengths and angles of a femur against what it was made from, in any pose, cut, both sides."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import vtk
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.anatomy import (
    CONDYLES,
    LANDMARKS,
    Anatomy,
    anatomy_from_landmarks,
    measure_anatomy,
)
from CorticalBoneMappingLib.anatomy.frame import Axis, Frame
from CorticalBoneMappingLib.anatomy.head import find_head
from CorticalBoneMappingLib.anatomy.regions import REGION_NAMES, regions_of
from CorticalBoneMappingLib.anatomy.sections import sections
from CorticalBoneMappingLib.anatomy.shaft import find_shaft
from CorticalBoneMappingLib.anatomy.trochanters import greater_trochanter_tip, greater_trochanter_top
from CorticalBoneMappingLib.core.errors import SettingError, SurfaceError
from CorticalBoneMappingLib.core.surface import Surface, from_polydata, to_polydata
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.simulation.hip.femur_shape import (
    GREATER_TROCHANTER_TOP,
    HEAD_CENTRE,
    HEAD_RADIUS_MM,
    LESSER_TROCHANTER_TIP,
    NECK_BASE,
    SHAFT_AXIS,
    mean_shape,
)
from CorticalBoneMappingLib.simulation.hip.population import (
    FemurDimensions,
    dimensions_of_mean_shape,
    individual_map,
)

sys.path.insert(0, str(Path(__file__).parents[3]))

from validation.whole_femur import whole_femur

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("CBM_TEST_DATA", ROOT.parent / "shared" / "data"))
REAL = Path(os.environ.get("CBM_TEST_DATA", ROOT.parent / "shared" / "data")) / "femur_surfaces"


@pytest.fixture(scope="module")
def femur() -> Surface:
    """The mean shape of the simulation, a right femur, 107 mm of shaft below the lesser trochanter."""
    return remesh(mean_shape(), spacing_mm=2.2)


@pytest.fixture(scope="module")
def anatomy(femur):
    return measure_anatomy(femur, "right")


def ball(radius: float) -> Surface:
    source = vtk.vtkSphereSource()
    source.SetRadius(radius)
    source.SetThetaResolution(80)
    source.SetPhiResolution(80)
    source.Update()
    return from_polydata(source.GetOutput())


def cut(surface: Surface, point: np.ndarray, normal: np.ndarray) -> Surface:
    """What lies where the normal points to, closed by a flat cap."""
    plane, planes = vtk.vtkPlane(), vtk.vtkPlaneCollection()
    plane.SetOrigin(*point)
    plane.SetNormal(*normal)
    planes.AddItem(plane)
    clip = vtk.vtkClipClosedSurface()
    clip.SetInputData(to_polydata(Surface(surface.points, surface.triangles)))
    clip.SetClippingPlanes(planes)
    clean = vtk.vtkCleanPolyData()
    clean.SetInputConnection(clip.GetOutputPort())
    clean.Update()
    return from_polydata(clean.GetOutput())


def turned(surface: Surface, seed: int) -> tuple[Surface, Rotation, np.ndarray]:
    rotation = Rotation.random(random_state=seed)
    shift = np.array([-120.0, 40.0, 900.0])
    return replace(surface, points=rotation.apply(surface.points) + shift), rotation, shift


def test_sections_of_a_ball_have_the_area_and_centre_of_circles():
    heights = np.array([-20.0, 0.0, 15.0, 24.0, 26.0])
    normal = np.array([0.6, 0.0, 0.8])
    cuts = sections(ball(25.0), heights[:, None] * normal, normal)
    assert cuts[-1] is None
    for height, found in zip(heights, cuts[:-1]):
        assert found.area_mm2 == pytest.approx(np.pi * (625 - height**2), rel=0.01, abs=0.5)
        np.testing.assert_allclose(found.centre, height * normal, atol=0.05)
    radii = cuts[1].radii(np.zeros(3), np.array([0.8, 0.0, -0.6]), np.array([0.0, 1.0, 0.0]), 12)
    np.testing.assert_allclose(radii, 25.0, atol=0.05)


def test_landmarks_of_the_mean_shape_lie_where_it_was_built(anatomy):
    marks = anatomy.landmarks
    assert tuple(marks) == LANDMARKS
    np.testing.assert_allclose(marks["head_centre"], HEAD_CENTRE, atol=0.4)
    assert anatomy.head_radius_mm == pytest.approx(HEAD_RADIUS_MM, abs=0.2)
    assert np.linalg.norm(marks["lesser_trochanter"] - LESSER_TROCHANTER_TIP) < 2.0
    # The place it was built with is the middle of the top; the tip is the posterior end, little lower.
    rise = (GREATER_TROCHANTER_TOP - marks["head_centre"]) @ anatomy.shaft_axis.direction
    assert anatomy.greater_height_mm == pytest.approx(rise, abs=0.2)
    lateral, anterior, superior = anatomy.frame.coordinates(marks["greater_trochanter"])
    top = anatomy.frame.coordinates(GREATER_TROCHANTER_TOP)
    assert -6.0 < lateral - top[0] < 0.0
    assert -14.0 < anterior - top[1] < -6.0
    assert -2.5 < superior - rise < 0.0
    assert np.linalg.norm(marks["neck_base"] - NECK_BASE) < 5.0
    axis = SHAFT_AXIS[0] - SHAFT_AXIS[1]
    assert np.degrees(np.arccos(anatomy.shaft_axis.direction @ axis / np.linalg.norm(axis))) < 2.0
    built = dimensions_of_mean_shape()
    assert anatomy.neck_shaft_angle_deg == pytest.approx(built.neck_shaft_angle_deg, abs=2.5)
    assert anatomy.offset_mm == pytest.approx(built.offset_mm, abs=3.0)
    assert anatomy.neck_depth_mm == pytest.approx(built.neck_depth_mm, abs=0.5)
    assert anatomy.neck_width_mm == pytest.approx(built.neck_height_mm, abs=0.5)
    assert anatomy.warnings == ()


@pytest.mark.parametrize(
    ("changed", "attribute", "change"),
    [
        ({"head_diameter_mm": 52.0}, "head_radius_mm", 3.3),
        ({"offset_mm": 56.0}, "offset_mm", 12.8),
        ({"neck_shaft_angle_deg": 132.0}, "neck_shaft_angle_deg", 7.8),
    ],
)
def test_a_dimension_that_is_changed_is_measured_as_changed(femur, anatomy, changed, attribute, change):
    plain = replace(dimensions_of_mean_shape(), anteversion_deg=0.0)
    standard = FemurDimensions(head_diameter_mm=plain.head_diameter_mm)
    before, after = (
        measure_anatomy(replace(femur, points=individual_map(dims)(femur.points)), "right")
        for dims in (standard, replace(standard, **changed))
    )
    found = getattr(after, attribute) - getattr(before, attribute)
    assert found == pytest.approx(change, rel=0.2, abs=0.3)


def test_a_femur_measures_the_same_in_any_pose(femur, anatomy):
    for seed in range(3):
        moved, rotation, shift = turned(femur, seed)
        again = measure_anatomy(moved, "right")
        for name, place in anatomy.landmarks.items():
            assert np.linalg.norm(again.landmarks[name] - rotation.apply(place) - shift) < 0.05, name
        assert again.neck_shaft_angle_deg == pytest.approx(anatomy.neck_shaft_angle_deg, abs=0.05)
        assert np.mean(regions_of(moved, again) == regions_of(femur, anatomy)) > 0.998


def test_left_and_right_are_mirror_images_to_the_last_bit(femur, anatomy):
    left = measure_anatomy(femur.mirrored(), "left")
    for name, place in anatomy.landmarks.items():
        assert np.array_equal(left.landmarks[name], place * [-1.0, 1.0, 1.0]), name
    assert left.side == "left"
    assert left.mirrored().landmarks.keys() == anatomy.landmarks.keys()
    assert np.array_equal(regions_of(femur.mirrored(), left), regions_of(femur, anatomy))
    # The angles are computed from mirrored numbers, in another order.
    assert left.neck_shaft_angle_deg == pytest.approx(anatomy.neck_shaft_angle_deg, abs=1e-9)
    assert left.neck_trochanter_angle_deg == pytest.approx(anatomy.neck_trochanter_angle_deg, abs=1e-9)


@pytest.mark.parametrize(("below_mm", "tilt_deg", "degrees"), [(60, 0, 1.0), (35, 12, 2.5), (18, 0, 4.0)])
def test_a_shaft_cut_anywhere_below_the_lesser_trochanter_gives_the_same_axes(
    femur, anatomy, below_mm, tilt_deg, degrees
):
    tilt = np.radians(tilt_deg)
    plane = np.array([np.sin(tilt), 0.0, np.cos(tilt)])
    point = anatomy.landmarks["shaft_proximal"] - [0.0, 0.0, below_mm]
    short = measure_anatomy(cut(femur, point, plane), "right")
    assert short.neck_shaft_angle_deg == pytest.approx(anatomy.neck_shaft_angle_deg, abs=degrees)
    assert np.linalg.norm(short.landmarks["lesser_trochanter"] - anatomy.landmarks["lesser_trochanter"]) < 1.5
    assert (
        np.linalg.norm(short.landmarks["greater_trochanter"] - anatomy.landmarks["greater_trochanter"]) < 1.5
    )
    assert np.linalg.norm(short.landmarks["head_centre"] - anatomy.landmarks["head_centre"]) < 0.1
    assert short.neck_shaft_angle_sd_deg >= anatomy.neck_shaft_angle_sd_deg
    assert bool(short.warnings) == (below_mm < 30)


def test_the_tip_of_the_greater_trochanter_hardly_moves_when_the_frame_is_tilted(femur, anatomy):
    head, marks, frame = find_head(femur), anatomy.landmarks, anatomy.frame
    for axis in (frame.lateral, frame.anterior):
        for angle in np.radians([-5.0, 5.0]):
            turned = Rotation.from_rotvec(angle * axis).apply(frame.superior)
            tilted = Frame.of(head.centre, Axis(marks["shaft_proximal"], turned), "right")
            tip = greater_trochanter_tip(femur, head, tilted, greater_trochanter_top(femur, head, tilted))
            assert np.linalg.norm(tip - marks["greater_trochanter"]) < 1.2


def test_the_tip_of_the_greater_trochanter_is_not_on_a_head_that_is_near_and_higher(femur, anatomy):
    short = FemurDimensions(head_diameter_mm=48.0, offset_mm=36.0, neck_shaft_angle_deg=130.0, greater_mm=4.0)
    to_person = individual_map(short)
    found = measure_anatomy(replace(femur, points=to_person(femur.points)), "right").landmarks
    carried = to_person(anatomy.landmarks["greater_trochanter"][None])[0]
    assert np.linalg.norm(found["greater_trochanter"] - found["head_centre"]) < 2.3 * 24.0
    assert np.linalg.norm(found["greater_trochanter"] - carried) < 2.5


def test_a_flattened_head_keeps_its_sphere(femur, anatomy):
    centre, radius = anatomy.landmarks["head_centre"], anatomy.head_radius_mm
    points = femur.points.copy()
    height = (points - centre)[:, 2]
    on_top = (np.linalg.norm(points - centre, axis=1) < 1.2 * radius) & (height > 0.75 * radius)
    points[on_top, 2] = centre[2] + 0.75 * radius
    head = find_head(replace(femur, points=points))
    assert np.linalg.norm(head.centre - centre) < 0.8
    assert head.radius_mm == pytest.approx(radius, abs=0.6)


def test_noise_of_the_surface_hardly_moves_the_landmarks(femur, anatomy):
    random = np.random.default_rng(0)
    noisy = replace(femur, points=femur.points + 0.4 * random.standard_normal(femur.points.shape))
    again = measure_anatomy(noisy, "right")
    assert again.neck_shaft_angle_deg == pytest.approx(anatomy.neck_shaft_angle_deg, abs=0.7)
    for name in ("head_centre", "neck_centre", "lesser_trochanter", "greater_trochanter"):
        assert np.linalg.norm(again.landmarks[name] - anatomy.landmarks[name]) < 2.0, name


def test_rough_landmarks_lead_to_the_same_anatomy(femur, anatomy):
    rough = {name: place + np.array([4.0, -5.0, 4.0]) for name, place in anatomy.landmarks.items()}
    again = anatomy_from_landmarks(femur, "right", rough)
    for name, place in anatomy.landmarks.items():
        assert np.linalg.norm(again.landmarks[name] - place) < 0.2, name
    with pytest.raises(SettingError, match="shaft_distal"):
        anatomy_from_landmarks(femur, "right", {"head_centre": rough["head_centre"]})


def test_anteversion_is_the_angle_by_which_the_condyles_are_turned(anatomy):
    frame = anatomy.frame
    neck = -anatomy.neck_axis.direction
    medial = neck - neck @ frame.superior * frame.superior
    medial /= np.linalg.norm(medial)
    forward = np.cross(frame.superior, -medial)
    for version in (-12.0, 0.0, 25.0):
        angle = np.radians(version)
        # A neck that points forward of the condyles: these are turned backward from it on the medial side.
        line = np.cos(angle) * medial - np.sin(angle) * forward
        centre = np.array([10.0, -30.0, -400.0])
        assert anatomy.anteversion_deg(centre + 25 * line, centre - 25 * line) == pytest.approx(version)
    left = anatomy.mirrored()
    flip = np.array([-1.0, 1.0, 1.0])
    assert left.anteversion_deg(flip * (centre + 25 * line), flip * (centre - 25 * line)) == pytest.approx(
        25.0
    )


def test_the_head_of_a_whole_femur_is_not_a_condyle_and_its_anteversion_follows_the_condyles():
    found = measure_anatomy(whole_femur(), "right")
    assert tuple(found.landmarks) == LANDMARKS + CONDYLES
    np.testing.assert_allclose(found.landmarks["head_centre"], HEAD_CENTRE, atol=0.5)
    assert np.linalg.norm(found.landmarks["lesser_trochanter"] - LESSER_TROCHANTER_TIP) < 3.0
    medial, lateral = found.condyles
    assert medial[0] < -15 < 25 < lateral[0]
    turned_in = measure_anatomy(whole_femur(turned_deg=20.0).mirrored(), "left")
    more = turned_in.anteversion_deg(*turned_in.condyles) - found.anteversion_deg(medial, lateral)
    assert more == pytest.approx(20.0, abs=0.5)


def test_a_proximal_femur_has_no_condyles(anatomy):
    assert anatomy.condyles is None


def test_what_differs_by_rounding_measures_the_same(femur, anatomy):
    shifts = 1e-9 * np.random.default_rng(1).standard_normal(femur.points.shape)
    again = measure_anatomy(replace(femur, points=femur.points + shifts), "right")
    for name, place in anatomy.landmarks.items():
        assert np.linalg.norm(again.landmarks[name] - place) < 1e-5, name
    assert again.warnings == anatomy.warnings


def test_the_shaft_is_found_on_any_coarse_mesh():
    # On such a mesh the normals at the rim of the cut lie between those of wall and cut.
    dense = mean_shape()
    for n_points in (950, 1000, 1050):
        mesh = remesh(dense, n_points=n_points)
        down = find_shaft(mesh, find_head(mesh)).direction
        axis = SHAFT_AXIS[0] - SHAFT_AXIS[1]
        assert np.degrees(np.arccos(down @ axis / np.linalg.norm(axis))) < 6.0


@pytest.mark.parametrize(
    ("damage", "warning"),
    [
        (lambda femur: replace(femur, triangles=femur.triangles[:, ::-1]), "oriented inward"),
        (
            lambda femur: replace(
                femur,
                triangles=np.where(
                    np.arange(len(femur.triangles))[:, None] % 5, femur.triangles, femur.triangles[:, ::-1]
                ),
            ),
            "oriented the other way",
        ),
        (lambda femur: replace(femur, triangles=femur.triangles[12:]), "filled"),
    ],
    ids=["inside out", "some triangles turned", "holes"],
)
def test_a_surface_that_can_be_repaired_measures_as_the_whole_one_does(femur, anatomy, damage, warning):
    found = measure_anatomy(damage(femur), "right")
    for name, place in anatomy.landmarks.items():
        assert np.linalg.norm(found.landmarks[name] - place) < 0.1, name
    assert warning in found.warnings[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda femur: ball(25.0), "neck|shaft"),
        (lambda femur: ball(60.0), "No femoral head"),
        (lambda femur: replace(femur, points=femur.points / 10), "No femoral head"),
        (
            lambda femur: cut(femur, np.array([0.0, 0.0, -38.0]), np.array([0.0, 0.0, 1.0])),
            "shaft|trochanter",
        ),
        (lambda femur: cut(femur, np.array([-20.0, 0.0, 0.0]), np.array([1.0, 0.0, 0.0])), "No femoral head"),
        (lambda femur: femur.mirrored(), "lesser trochanter was not found .* Give the side as 'left'"),
        (lambda femur: replace(femur, triangles=femur.triangles[::2]), "is open"),
    ],
    ids=["ball", "large ball", "cm", "cut above the lesser trochanter", "no head", "wrong side", "open"],
)
def test_the_error_names_what_is_missing(femur, make, message):
    with pytest.raises(SurfaceError, match=message):
        measure_anatomy(make(femur), "right")


def test_the_side_has_to_be_one(femur):
    with pytest.raises(SettingError, match="'up'"):
        measure_anatomy(femur, "up")


def test_every_region_is_there_in_one_piece_and_where_its_name_says(femur, anatomy):
    region = regions_of(femur, anatomy)
    assert set(np.unique(region)) == set(REGION_NAMES)
    for number, name in REGION_NAMES.items():
        edges = femur.edges[(region[femur.edges] == number).all(axis=1)]
        reached = {int(np.flatnonzero(region == number)[0])}
        size = 0
        while len(reached) > size:
            size = len(reached)
            reached |= set(edges[np.isin(edges, list(reached)).any(axis=1)].ravel().tolist())
        assert len(reached) == np.sum(region == number), name
    centre = {name: femur.points[region == number].mean(axis=0) for number, name in REGION_NAMES.items()}
    x, y, z = range(3)
    assert centre["neck superior"][z] > centre["neck inferior"][z] + 15
    assert centre["neck anterior"][y] > centre["neck posterior"][y] + 15
    assert centre["femoral head"][x] < centre["neck anterior"][x] < centre["greater trochanter"][x]
    assert centre["lateral trochanter"][x] > centre["greater trochanter"][x] + 5
    assert (
        centre["greater trochanter"][z] > centre["intertrochanteric"][z] > centre["subtrochanteric shaft"][z]
    )
    for landmark, name in (
        ("lesser_trochanter", "lesser trochanter"),
        ("greater_trochanter", "greater trochanter"),
    ):
        nearest = np.linalg.norm(femur.points - anatomy.landmarks[landmark], axis=1).argmin()
        assert REGION_NAMES[region[nearest]] == name
    # The head is a sphere as far as its region goes.
    off = np.linalg.norm(femur.points[region == 1] - HEAD_CENTRE, axis=1) - HEAD_RADIUS_MM
    assert np.percentile(np.abs(off), 95) < 2.0
    assert femur.points[region == 0, 2].max() < femur.points[:, 2].min() + 1.0


def test_left_and_right_of_real_people_agree_in_the_neck_shaft_angle():
    if not REAL.is_dir():
        pytest.skip(f"{REAL} is not there")
    for person in ("m3", "m4"):
        left, right = (
            measure_anatomy(read_surface(REAL / f"{person}_{letter}femur_mm.stl"), side)
            for letter, side in (("l", "left"), ("r", "right"))
        )
        assert abs(left.neck_shaft_angle_deg - right.neck_shaft_angle_deg) < 3.0
        assert abs(left.offset_mm - right.offset_mm) < 2.0
        assert abs(left.head_radius_mm - right.head_radius_mm) < 0.8
        assert left.warnings == right.warnings == ()


def _real(folder: str, name: str) -> Surface:
    path = DATA / folder / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return read_surface(path)


@lru_cache
def _measured(folder: str, name: str, side: str) -> Anatomy:
    return measure_anatomy(_real(folder, name), side)


@pytest.mark.parametrize(
    ("folder", "name", "side"),
    [
        ("femur_surfaces", "vhf_rfemur_whole_mm.ply", "right"),
        *(("femur_surfaces_mpl", f"vifm_{number:02d}.ply", "left") for number in range(10)),
    ],
)
def test_whole_femurs_of_real_people_are_measured_with_their_anteversion(folder, name, side):
    found = _measured(folder, name, side)
    assert 20.0 < found.head_radius_mm < 28.0
    assert 112.0 < found.neck_shaft_angle_deg < 136.0
    assert 0.0 < found.anteversion_deg(*found.condyles) < 40.0
    assert found.shaft_length_mm > 50.0
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("landmark", "spread_mm", "farthest_mm"),
    [("greater_trochanter", 2.4, 4.5), ("lesser_trochanter", 3.0, 5.0)],
)
def test_the_trochanters_of_ten_people_lie_in_places_that_correspond(landmark, spread_mm, farthest_mm):
    # Their meshes correspond vertex by vertex: each landmark has a place on the first person's mesh.
    names = [f"vifm_{number:02d}.ply" for number in range(10)]
    first = _real("femur_surfaces_mpl", names[0])
    places = []
    for name in names:
        bone = _real("femur_surfaces_mpl", name)
        place = closest_points(bone, _measured("femur_surfaces_mpl", name, "left").landmarks[landmark][None])
        places.append(interpolate(first, first.points, place.triangle, place.weights)[0])
    apart = np.linalg.norm(places - np.mean(places, axis=0), axis=1)
    assert np.sqrt(np.mean(apart**2)) < spread_mm  # 3.0 for the middle of the greater trochanter's top
    assert apart.max() < farthest_mm


@pytest.mark.parametrize("number", [1, 2, 3, 5, 7, 9, 11, 13, 15, 17])
def test_short_shafts_and_open_edges_of_real_people_are_read_and_never_as_the_other_side(number):
    surface = _real("femur_surfaces_measuring_only", f"narra_{number:02d}.ply")
    side, other = ("left", "right") if number in (11, 15) else ("right", "left")
    found = measure_anatomy(surface, side)
    assert 19.0 < found.head_radius_mm < 23.0
    assert 115.0 < found.neck_shaft_angle_deg < 140.0
    assert any("of shaft are there" in warning for warning in found.warnings)
    with pytest.raises(SurfaceError, match=f"Give the side as '{side}'"):
        measure_anatomy(surface, other)
