"""The digital socket and pelvis: closed, clear of the femur, of the dimensions that were drawn."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from CorticalBoneMappingLib.core.errors import SettingError
from CorticalBoneMappingLib.mesh.meshing import isosurface
from CorticalBoneMappingLib.mesh.topology import pieces
from CorticalBoneMappingLib.simulation.hip.bone import Bone, Hip
from CorticalBoneMappingLib.simulation.hip.soft_tissue import SoftTissue
from CorticalBoneMappingLib.simulation.hip.surroundings import with_pelvis

EXTREMES = [(19.0, "left", 2.0, 5), (24.0, "right", 3.0, None), (29.0, "right", 4.5, 11)]


def head(radius, side):
    """A hip whose femur is nothing but a round head."""
    axis = 0.8 * np.arange(-40, 41)
    grid = np.meshgrid(axis, axis, axis, indexing="ij")
    matrix = np.diag([0.8, 0.8, 0.8, 1.0])
    matrix[:3, 3] = axis[0]
    surface = isosurface(radius - np.sqrt(sum(x**2 for x in grid)), matrix, 0.0)
    full = np.ones(len(surface.points))
    surface = surface.with_arrays(cortical_thickness=full, cortical_density=full)
    bone = Bone(surface, lambda points, depth: depth)
    return Hip(bone, side, np.zeros(3), radius)


def generator(seed):
    return None if seed is None else np.random.default_rng(seed)


@pytest.fixture(scope="module", params=EXTREMES, ids=lambda p: f"{p[1]} {p[0]:g} mm")
def hip(request):
    radius, side, gap, seed = request.param
    return with_pelvis(head(radius, side), gap, random=generator(seed))


def seen_from_the_head(hip):
    """Distance of the hip bone's vertices from the head's centre, and their directions."""
    points = hip.other_bones[0].surface.points - hip.head_centre
    distance = np.linalg.norm(points, axis=1)
    return distance, points / distance[:, None]


def within(directions, axis, degrees):
    axis = np.asarray(axis, dtype=float)
    return directions @ (axis / np.linalg.norm(axis)) > np.cos(np.radians(degrees))


def test_every_bone_is_one_closed_piece_and_the_hip_bone_has_one_foramen(hip):
    holes = []
    for bone in hip.other_bones:
        surface = bone.surface
        assert surface.is_closed()
        assert pieces(surface.triangles, len(surface.points)).max() == 0
        assert surface.volume_mm3 > 0
        holes.append(1 - (len(surface.points) - len(surface.edges) + len(surface.triangles)) // 2)
    assert holes == [1, 0, 0]  # the obturator foramen


def test_the_hip_bone_keeps_the_joint_space_of_each_direction(hip):
    distance, _ = seen_from_the_head(hip)
    space = hip.socket.space(hip.socket.place(hip.other_bones[0].surface.points))
    assert (distance - hip.head_radius_mm - space).min() == pytest.approx(0.0, abs=0.15)
    clearance = cKDTree(hip.femur.surface.points).query(hip.other_bones[0].surface.points)[0]
    assert clearance.min() > 0.6 * hip.socket.joint_space_mm - 0.1


def test_the_joint_space_is_the_asked_one_on_average_and_wider_laterally(hip):
    surface = hip.other_bones[0].surface
    at = hip.socket.place(surface.points)
    space = at.radius - hip.head_radius_mm
    lunate = (at.angle > hip.socket.rim(at.azimuth) + 0.15) & (hip.socket.in_fossa(at) < -2.0)
    lunate &= space < 1.8 * hip.socket.joint_space_mm
    mean = np.average(space[lunate], weights=surface.point_areas[lunate])
    assert mean == pytest.approx(hip.socket.joint_space_mm, rel=0.08)
    _, directions = seen_from_the_head(hip)
    lateral, medial = (within(directions, [x * hip.lateral[0], 0.0, 0.9], 8.0) & lunate for x in (0.25, -0.4))
    assert space[lateral].mean() > space[medial].mean()


def test_the_rim_has_the_direction_of_the_socket(hip):
    """Inclination and anteversion (anatomical, Murray 1993) of a plane through the rim found on the mesh."""
    distance, directions = seen_from_the_head(hip)
    edge = directions[distance < hip.head_radius_mm + 1.8 * hip.socket.joint_space_mm]
    axis = hip.socket.opening
    up = np.array([0.0, 0.0, 1.0]) - axis[2] * axis
    azimuth = np.arctan2(edge @ np.cross(axis, up), edge @ up)
    sector = np.floor(np.degrees(azimuth) / 10.0).astype(int)
    # The outermost vertex of each sector, except over the notch.
    sectors = [s for s in range(-18, 18) if -14 <= s < 14 and np.any(sector == s)]
    rim = np.array([max(edge[sector == s], key=lambda d: d @ axis) for s in sectors])
    assert len(rim) >= 26
    normal = np.linalg.svd(rim - rim.mean(axis=0))[2][2]
    normal *= np.sign(normal @ axis)
    lateral = normal[0] * hip.lateral[0]
    expected = axis[0] * hip.lateral[0]
    assert np.degrees(np.arccos(-normal[2])) == pytest.approx(np.degrees(np.arccos(-axis[2])), abs=4.0)
    version, asked = (np.degrees(np.arctan2(n[1], x)) for n, x in ((normal, lateral), (axis, expected)))
    assert version == pytest.approx(asked, abs=5.0)
    assert 38.0 < np.degrees(np.arccos(-axis[2])) < 58.0
    assert 8.0 < asked < 32.0


def test_the_bony_rim_is_not_plane_and_keeps_off_the_head(hip):
    azimuth = np.radians(np.arange(360.0))
    rim = np.degrees(hip.socket.rim(azimuth))
    assert 8.0 < np.ptp(rim) < 30.0
    assert 90.0 < rim.mean() < 105.0  # less than a hemisphere: the labrum adds the rest
    distance, _ = seen_from_the_head(hip)
    at = hip.socket.place(hip.other_bones[0].surface.points)
    edge = np.abs(at.angle - hip.socket.rim(at.azimuth)) < np.radians(2.0)
    gap = distance[edge & (distance < hip.head_radius_mm + 8.0)].min() - hip.head_radius_mm
    assert 0.7 * hip.socket.joint_space_mm < gap < hip.socket.joint_space_mm + 2.5


def test_the_fossa_is_deeper_than_the_lunate_surface_and_has_a_floor(hip):
    distance, directions = seen_from_the_head(hip)
    axes, notch = hip.socket.axes, np.radians(hip.socket.notch_deg[0])
    down = np.cos(notch) * axes[1] + np.sin(notch) * axes[2]
    floor = within(directions, -0.9 * axes[0] + 0.35 * down, 6.0)
    roof = within(directions, -0.6 * axes[0] + 0.8 * axes[1], 6.0)
    inner = [distance[part & (distance < hip.head_radius_mm + 15.0)].min() for part in (floor, roof)]
    assert 3.0 < inner[0] - inner[1] < 7.0
    assert distance[floor].max() - inner[0] > 1.5


def test_the_two_sides_are_mirror_images():
    left, right = (with_pelvis(head(23.0, s), random=generator(3)) for s in ("left", "right"))
    for ours, theirs in zip(right.other_bones, left.other_bones, strict=True):
        apart = cKDTree(theirs.surface.points * [-1.0, 1.0, 1.0]).query(ours.surface.points)[0]
        assert np.mean(apart < 1e-3) > 0.999  # rounding may add or drop a vertex
        assert apart.max() < 1.0
    assert left.socket.opening == pytest.approx(right.socket.opening * [-1, 1, 1])


def test_people_differ_and_a_person_stays_the_same():
    first, again, other = (with_pelvis(head(23.0, "right"), random=generator(s)) for s in (1, 1, 2))
    points = [made.other_bones[0].surface.points for made in (first, again, other)]
    assert np.array_equal(points[0], points[1])
    apart = cKDTree(points[0]).query(points[2])[0]
    assert 0.8 < np.median(apart) < 8.0


def test_cartilage_labrum_and_fat_fill_the_joint_and_move_with_it():
    hip = with_pelvis(head(24.0, "left"), 3.0)
    rotation = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    axes = hip.socket.axes
    notch = np.radians(hip.socket.notch_deg[0])
    down = np.cos(notch) * axes[1] + np.sin(notch) * axes[2]
    rim = hip.socket.rim(np.array([0.0]))[0] - 3.0 / 24.0  # 3 mm beyond the bone
    places = [
        25.5 * (-0.6 * axes[0] + 0.8 * axes[1]),  # between roof and head
        27.5 * (np.cos(rim) * axes[0] + np.sin(rim) * axes[1]),  # in the labrum
        29.0 * (-0.97 * axes[0] + 0.24 * down) + 5.0 * np.cross(axes[0], down),  # beside the ligament
    ]
    for made in (hip, hip.moved(rotation, np.array([10.0, -20.0, 30.0]))):
        moved = np.array(places)
        if made is not hip:
            moved = moved @ rotation.T + [10.0, -20.0, 30.0]
        cartilage, labrum, fat = SoftTissue(made).hu(moved)
        assert cartilage == pytest.approx(90.0, abs=3.0)
        assert 60.0 <= labrum <= 100.0
        assert fat < -40.0


@pytest.mark.parametrize(("gap", "plate"), [(0.5, 1.5), (7.0, 1.5), (3.0, 0.1)])
def test_impossible_sockets_are_refused(gap, plate):
    with pytest.raises(SettingError, match="choose a value from"):
        with_pelvis(head(24.0, "right"), gap, plate)
