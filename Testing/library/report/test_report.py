"""Pictures: what is seen from where, in which colour, and on what scale."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from CorticalBoneMappingLib.anatomy.views import anatomical_views
from CorticalBoneMappingLib.core.colours import (
    NO_CORTEX_COLOUR,
    NOT_MEASURED_COLOUR,
    diverging,
    sequential,
)
from CorticalBoneMappingLib.core.errors import SettingError
from CorticalBoneMappingLib.core.measures import Measure, VertexStatus
from CorticalBoneMappingLib.core.surface import Surface, from_polydata
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.report import render_slices, render_views
from CorticalBoneMappingLib.report.pages.markup import element, join, picture, table, write_document

DATA = Path(os.environ.get("CBM_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))

# Machado, Oliveira, Fernandes 2009, severity 1.0: what dichromats see, in linear sRGB.
_COLOUR_BLINDNESS = {
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


def lab(srgb: np.ndarray) -> np.ndarray:
    """CIELAB (1976, D65) of sRGB: another space than the one the ramps are made in."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return lab_of_linear(linear)


def lab_of_linear(linear: np.ndarray) -> np.ndarray:
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = linear @ to_xyz.T / to_xyz.sum(axis=1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def as_seen_with(kind: str, srgb: np.ndarray) -> np.ndarray:
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return lab_of_linear(np.clip(linear @ np.array(_COLOUR_BLINDNESS[kind]).T, 0, 1))


def sphere(radius: float = 20.0, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Surface:
    source = vtk.vtkSphereSource()
    source.SetRadius(radius)
    source.SetCenter(*centre)
    source.SetThetaResolution(60)
    source.SetPhiResolution(60)
    source.Update()
    return from_polydata(source.GetOutput())


def pixels(path: Path) -> np.ndarray:
    """Colours of a PNG, shape (n_rows, n_columns, 3), first row at the bottom."""
    reader = vtk.vtkPNGReader()
    reader.SetFileName(str(path))
    reader.Update()
    image = reader.GetOutput()
    width, height, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[..., :3].astype(float)


def hues(rgb: np.ndarray) -> np.ndarray:
    """Colour without brightness, which shading changes."""
    return rgb / np.maximum(np.linalg.norm(rgb, axis=-1, keepdims=True), 1e-9)


def count_near(image: np.ndarray, colour: tuple[float, float, float]) -> int:
    """Pixels that have a colour under any shade, brighter than the ink of letters."""
    alike = (hues(image) * hues(np.array(colour))).sum(axis=-1) > 0.9985
    return int(np.sum(alike & (image.max(axis=-1) > 50) & (image.min(axis=-1) < 250)))


def test_the_sequential_ramp_is_even_to_the_eye_and_its_lightness_only_rises():
    seen = lab(sequential(33))
    steps = np.linalg.norm(np.diff(seen, axis=0), axis=1)
    assert np.all(np.diff(seen[:, 0]) > 0.5)
    assert steps.max() / steps.min() < 2.5  # CIELAB itself is uneven by about that in saturated colours


@pytest.mark.parametrize("kind", sorted(_COLOUR_BLINDNESS))
def test_the_ramps_stay_readable_in_colour_blind_vision(kind):
    assert np.all(np.diff(as_seen_with(kind, sequential(33))[:, 0]) > 0.3)
    loss, gain = as_seen_with(kind, diverging(33))[[4, -5]]
    assert np.linalg.norm(loss - gain) > 40


def test_the_diverging_ramp_is_neutral_in_the_middle_and_equally_dark_at_both_ends():
    middle = lab(diverging(33)[16:17])[0]
    ends = lab(diverging(33)[[0, -1]])
    assert np.hypot(*middle[1:]) < 1.0
    assert middle[0] > 90
    assert abs(ends[0, 0] - ends[1, 0]) < 8


def test_grey_and_the_colour_of_missing_cortex_are_unlike_every_colour_of_the_ramp():
    ramp = lab(sequential(256))
    for colour in (NOT_MEASURED_COLOUR, NO_CORTEX_COLOUR):
        assert np.linalg.norm(ramp - lab(np.array([colour])), axis=1).min() > 25


@pytest.mark.parametrize(("side", "medial_sign"), [("right", -1.0), ("left", 1.0)])
def test_medial_is_towards_the_midline_on_either_side(side, medial_sign):
    views = {view.name: view for view in anatomical_views(side, superior=True)}
    assert views["Medial"].towards_viewer == pytest.approx([medial_sign, 0, 0])
    assert views["Lateral"].towards_viewer == pytest.approx([-medial_sign, 0, 0])
    medial_point = np.array([[medial_sign * 30.0, 0.0, 0.0]])
    for name in ("Anterior", "Posterior", "Superior"):
        on_page = views[name].project(medial_point)[0, 0]
        assert (views[name].right_end == "medial") == (on_page > 0)
        assert (views[name].left_end == "medial") == (on_page < 0)
    anterior_point = np.array([[0.0, 30.0, 0.0]])
    for name in ("Medial", "Lateral"):
        assert (views[name].right_end == "anterior") == (views[name].project(anterior_point)[0, 0] > 0)


def test_seen_from_in_front_the_patients_right_is_on_the_left_of_the_page():
    anterior = anatomical_views("right")[0]
    assert anterior.project(np.array([[10.0, 0.0, 0.0]]))[0] == pytest.approx([-10.0, 0.0])


def test_each_view_shows_the_side_of_the_bone_that_faces_the_viewer(tmp_path):
    ball = sphere()
    # Anterior half thin, posterior half thick: the first view is all dark violet, the second all yellow.
    values = np.where(ball.points[:, 1] > 0, 0.0, 6.0)
    path = tmp_path / "halves.png"
    render_views(ball.with_arrays(cortical_thickness=values), "cortical_thickness", path, side="right")
    image = pixels(path)
    width = image.shape[1]
    low, high = sequential(256)[[0, -1]]
    first, second = image[:, : width // 5], image[:, width // 4 : int(0.38 * width)]
    assert count_near(first, low) > 50 * max(count_near(first, high), 1)
    assert count_near(second, high) > 50 * max(count_near(second, low), 1)


def test_points_without_a_value_are_grey_and_those_without_cortex_have_their_own_colour(tmp_path):
    ball = sphere()
    quality = np.full(len(ball.points), VertexStatus.GOOD)
    quality[ball.points[:, 2] > 12] = VertexStatus.NO_CORTEX
    quality[ball.points[:, 2] < -12] = VertexStatus.NOT_MEASURED
    values = np.where(quality == VertexStatus.GOOD, 3.0, np.nan)
    marked, plain = tmp_path / "marked.png", tmp_path / "plain.png"
    render_views(ball.with_arrays(cortical_thickness=values, quality=quality), "cortical_thickness", marked)
    render_views(ball.with_arrays(cortical_thickness=np.full(len(values), 3.0)), "cortical_thickness", plain)
    assert count_near(pixels(marked), NO_CORTEX_COLOUR) > 10_000
    assert count_near(pixels(plain), NO_CORTEX_COLOUR) == 0
    assert (
        count_near(pixels(marked), NOT_MEASURED_COLOUR)
        > count_near(pixels(plain), NOT_MEASURED_COLOUR) + 10_000
    )


def test_a_density_that_the_scan_does_not_show_is_grey(tmp_path):
    ball = sphere()
    upper = ball.points[:, 2] > 0
    density = np.full(len(ball.points), 1000.0)
    sd = np.where(upper, 20.0, 80.0)  # 2 and 8 %
    known = ball.with_arrays(cortical_density=density, cortical_density_sd=np.full(len(density), 20.0))
    partly = ball.with_arrays(cortical_density=density, cortical_density_sd=sd)
    for name, surface in (("known", known), ("partly", partly)):
        render_views(surface, "cortical_density", tmp_path / f"{name}.png", side="right", width_px=900)
    grey = [count_near(pixels(tmp_path / f"{name}.png"), NOT_MEASURED_COLOUR) for name in ("known", "partly")]
    assert grey[1] > grey[0] + 5_000


def runs(line: np.ndarray) -> np.ndarray:
    """Lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
    return edges[1::2] - edges[::2]


def test_all_views_and_the_scale_bar_share_one_scale(tmp_path):
    ball = sphere(radius=25.0)
    path = tmp_path / "scale.png"
    render_views(
        ball.with_arrays(cortical_thickness=np.full(len(ball.points), 6.0)), "cortical_thickness", path
    )
    image = pixels(path)
    coloured = image.max(axis=-1) - image.min(axis=-1) > 60
    # Only the balls are as tall as a ball: rows through their middle, in four runs of equal width.
    row = coloured[:, : int(0.8 * image.shape[1])]
    diameters = runs(row[np.argmax(row.sum(axis=1))])
    assert len(diameters) == 4
    assert np.ptp(diameters) <= 2
    ink = image[: image.shape[0] // 10].max(axis=-1) < 60
    bar = max(runs(line).max(initial=0) for line in ink)
    # The bar has a round length in mm at the balls' scale (50 mm across).
    length_mm = bar / diameters.mean() * 50.0
    assert min(abs(length_mm - n) / n for n in (5, 10, 20, 50)) < 0.03


def test_the_scale_is_fixed_so_that_equal_values_have_equal_colours_in_two_pictures(tmp_path):
    ball = sphere()
    colours = []
    for name, rest in (("thin", 0.5), ("thick", 5.5)):
        values = np.where(ball.points[:, 1] > 0, 2.0, rest)
        render_views(
            ball.with_arrays(cortical_thickness=values), "cortical_thickness", tmp_path / f"{name}.png"
        )
        image = pixels(tmp_path / f"{name}.png")
        colours.append(image[image.shape[0] // 2, image.shape[1] // 8])
    assert np.abs(colours[0] - colours[1]).max() <= 1


def test_an_array_that_is_not_there_is_named_with_those_that_are(tmp_path):
    with pytest.raises(SettingError, match=r"no array 'thickness'\. It has: .*cortical_thickness"):
        render_views(sphere().with_arrays(cortical_thickness=np.zeros(1)), "thickness", tmp_path / "none.png")
    assert not list(tmp_path.iterdir())


def test_an_unknown_array_needs_a_range(tmp_path):
    ball = sphere()
    ball = ball.with_arrays(change=ball.points[:, 2])
    with pytest.raises(SettingError, match="no fixed range"):
        render_views(ball, "change", tmp_path / "none.png")
    measure = Measure("change", "Change", "%", "%", (-10.0, 10.0))
    render_views(ball, "change", tmp_path / "change.png", measure=measure, is_difference=True)
    blue, orange = diverging(256)[[30, -30]]
    image = pixels(tmp_path / "change.png")
    top, bottom = image[image.shape[0] // 2 :], image[: image.shape[0] // 2]
    assert count_near(top, orange) > 1000 > count_near(top, blue)
    assert count_near(bottom, blue) > 1000 > count_near(bottom, orange)


def bent_femur() -> Surface:
    """A shaft and a head to its side: enough to find the planes."""
    around, height = np.meshgrid(np.arange(48), np.linspace(-55, 55, 56), indexing="ij")
    angle = np.radians(around * 7.5)
    shaft = np.stack([14 * np.cos(angle), 14 * np.sin(angle), height], axis=-1).reshape(-1, 3)
    place = np.arange(48 * 56).reshape(48, 56)
    a, b = place[:, :-1], np.roll(place, -1, axis=0)[:, :-1]
    c, d = np.roll(place, -1, axis=0)[:, 1:], place[:, 1:]
    wall = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    head = sphere(23.0, (-38.0, 6.0, 50.0))
    return Surface(np.concatenate([shaft, head.points]), np.concatenate([wall, head.triangles + len(shaft)]))


def test_the_contour_is_drawn_where_the_edge_of_the_bone_is(tmp_path):
    bone = bent_femur()
    spacing = 1.0
    low = bone.points.min(axis=0) - 20
    shape = np.ceil((np.ptp(bone.points, axis=0) + 40) / spacing).astype(int)
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = low
    volume = Volume(np.full(shape[::-1], -1000.0, dtype=np.float32), matrix)
    k, j, i = np.indices(volume.array.shape)
    points = volume.points_of(np.stack([i, j, k], axis=-1))
    in_shaft = (np.hypot(points[..., 0], points[..., 1]) < 14) & (np.abs(points[..., 2]) < 55)
    in_head = np.linalg.norm(points - np.array([-38.0, 6.0, 50.0]), axis=-1) < 23
    volume.array[in_shaft | in_head] = 3000.0
    render_slices(volume, bone, tmp_path / "slices.png")
    image = pixels(tmp_path / "slices.png")
    orange = (image[..., 0] > 180) & (image[..., 2] < 90) & (image[..., 1] > 80) & (image[..., 1] < 160)
    rows, columns = np.nonzero(orange[int(0.1 * image.shape[0]) :])
    rows += int(0.1 * image.shape[0])
    assert len(rows) > 2000
    # Every contour pixel has black on one side and white on the other within a voxel (about 14 pixels).
    sample = np.arange(0, len(rows), 37)
    reach = 24
    for row, column in zip(rows[sample], columns[sample]):
        patch = image[max(row - reach, 0) : row + reach, max(column - reach, 0) : column + reach]
        assert patch.max() > 250
        assert patch.min(axis=-1).max() > 200
        assert patch.max(axis=-1).min() < 40


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real femurs in {DATA.name} (set CBM_TEST_DATA)")
@pytest.mark.parametrize(("file", "side"), [("m3_lfemur_mm.stl", "left"), ("m4_rfemur_mm.stl", "right")])
def test_the_medial_view_of_a_real_femur_shows_the_head_in_front(file, side):
    femur = read_surface(DATA / "femur_surfaces" / file)
    views = {view.name: view for view in anatomical_views(side)}
    upper = femur.points[femur.points[:, 2] > femur.points[:, 2].max() - 40]
    # The head reaches farther from the shaft than the greater trochanter, on the medial side.
    shaft = femur.points[femur.points[:, 2] < femur.points[:, 2].min() + 20].mean(axis=0)
    reach = (upper - shaft) @ views["Medial"].towards_viewer
    assert reach.max() > 1.5 * -reach.min()


def test_a_page_escapes_what_it_is_given_and_has_numbers_in_its_table(tmp_path):
    path = tmp_path / "page.html"
    parts = [
        element("p", "a < b & c"),
        picture(b"png", 'the "map"'),
        table(["x", "y", "z"], [["1", "<2", "3"]], "t"),
    ]
    write_document(path, "Title <script>", join(parts), style="")
    text = path.read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "a &lt; b &amp; c" in text
    assert 'alt="the &quot;map&quot;"' in text
    assert "<td>&lt;2</td><td>3</td>" in text
