"""An average femur of a cohort's own: what it averages, what it leaves out, and how it is written."""

import json

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.anatomy import LANDMARKS
from CorticalBoneMappingLib.atlas.average import DATA, load_atlas
from CorticalBoneMappingLib.atlas.build import BuildSettings, Subject, build_average, shape_model_of
from CorticalBoneMappingLib.atlas.cohort import (
    build_atlas,
    centred,
    check_place,
    read_cohort,
    with_regions_by_anatomy,
    write_atlas,
)
from CorticalBoneMappingLib.atlas.shaft_end import end_plane, shortened, smoothly_subdivided, with_cut_end
from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import Cancelled, RegistrationError, SettingError
from CorticalBoneMappingLib.core.progress import Progress
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import write_surface
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.mesh.meshing import isosurface, remesh
from CorticalBoneMappingLib.mesh.shape_model import similarity
from CorticalBoneMappingLib.pipeline.map_femur import map_femur
from CorticalBoneMappingLib.pipeline.settings import MapSettings
from CorticalBoneMappingLib.simulation.hip.femur_shape import HEAD_CENTRE, mean_shape
from CorticalBoneMappingLib.simulation.hip.population import draw_dimensions, individual_map

PEOPLE = 3
COARSE = BuildSettings(rounds=2, points=1200, fine_points=2500)


@pytest.fixture(scope="module")
def population() -> list[Surface]:
    """Dense right femurs whose points correspond."""
    random, mean = np.random.default_rng(11), mean_shape()
    maps = [individual_map(draw_dimensions(random), random) for _ in range(PEOPLE)]
    return [Surface(to_person(mean.points), mean.triangles) for to_person in maps]


@pytest.fixture(scope="module")
def subjects(population) -> list[Subject]:
    """The same, each meshed by itself and moved; the second is a left one; one is not a femur."""
    random = np.random.default_rng(12)
    cohort = []
    for number, dense in enumerate(population):
        mesh = remesh(dense, n_points=2500)
        points = mesh.points @ Rotation.random(random_state=number).as_matrix().T
        posed = Surface(points + random.uniform(-200, 200, 3), mesh.triangles)
        left = number == 1
        cohort.append(
            Subject(f"{number}.vtp", posed.mirrored() if left else posed, "left" if left else "right")
        )
    return [*cohort, Subject("ball.vtp", remesh(_ball(), n_points=1000), "right")]


def _ball() -> Surface:
    axis = np.arange(-50.0, 50.1, 2.5)
    radius = np.sqrt(sum(square for square in np.meshgrid(axis**2, axis**2, axis**2)))
    matrix = np.diag([2.5, 2.5, 2.5, 1.0])
    matrix[:3, 3] = -50.0
    return isosurface(40.0 - radius, matrix, 0.0)


@pytest.fixture(scope="module")
def folder(subjects, tmp_path_factory):
    folder = tmp_path_factory.mktemp("atlases") / "own"
    build_atlas(subjects, folder, "own", load_atlas(), COARSE)
    return folder


def test_a_surface_that_is_not_a_femur_is_named_and_left_out(folder):
    record = json.loads((folder / "atlas.json").read_text(encoding="utf-8"))
    assert list(record["left_out"]) == ["ball.vtp"]
    assert "does not look like a proximal femur" in record["left_out"]["ball.vtp"]
    assert record["people"] == load_atlas(folder).people == PEOPLE
    assert set(record["remarks"]) <= {"0.vtp", "1.vtp", "2.vtp"}
    assert [one["people"] for one in record["rounds"]] == [PEOPLE] * len(record["rounds"])


def test_the_average_is_that_of_the_known_correspondence(folder, population):
    shapes = np.array([person.points for person in population])
    true = shape_model_of(shapes, np.ones(shapes.shape[:2], bool), population[0]).surface
    ours = load_atlas(folder).surface
    bone = ours.arrays["cut_end"] == 0
    points = ours.points[bone]
    moved = points + HEAD_CENTRE  # near enough for closest points to begin with
    for _ in range(30):
        place = closest_points(true, moved)
        _, rotation, shift = similarity(points, place.points(true), rigid=True)
        moved = points @ rotation.T + shift
    distance = closest_points(true, moved).distance
    assert distance.mean() < 0.3
    assert np.quantile(distance, 0.95) < 0.8


def test_the_second_round_hardly_moves_it(folder):
    rounds = json.loads((folder / "atlas.json").read_text(encoding="utf-8"))["rounds"]
    assert rounds[-1]["moved_mean_mm"] < 0.15 < rounds[0]["moved_mean_mm"]


def test_regions_lie_around_their_landmarks(folder):
    for density in ("standard", "fine"):
        atlas = load_atlas(folder, density)
        assert set(atlas.landmarks) == set(LANDMARKS)
        assert set(np.unique(atlas.region)) == set(atlas.region_names)
        assert np.linalg.norm(atlas.landmarks["head_centre"]) < 0.01
        for landmark, names in (
            ("greater_trochanter", {"greater trochanter"}),
            ("lesser_trochanter", {"lesser trochanter"}),
            ("shaft_distal", {"subtrochanteric shaft"}),
            ("head_centre", {"femoral head"}),
        ):
            # The end of the shaft's axis lies nearer to the flat end than to the bone around it.
            distance = np.linalg.norm(atlas.surface.points - atlas.landmarks[landmark], axis=1)
            nearest = np.where(atlas.measured, distance, np.inf).argmin()
            assert atlas.region_names[int(atlas.region[nearest])] in names


def test_the_end_is_flat_and_the_meshes_are_closed(folder):
    for density in ("standard", "fine"):
        surface = load_atlas(folder, density).surface
        at_end = surface.arrays["cut_end"] == 1
        assert surface.is_closed()
        assert np.abs(end_plane(surface, at_end).depth(surface.points[at_end])).max() < 0.5
        assert 0.01 < surface.point_areas[at_end].sum() / surface.point_areas.sum() < 0.06


def test_the_same_femurs_give_the_same_bytes_and_an_atlas_may_be_replaced(subjects, tmp_path):
    one_round = BuildSettings(rounds=1, points=1000, fine_points=1000)
    origin, written = load_atlas(), []
    end = end_plane(origin.surface, origin.surface.arrays["cut_end"] == 1)
    start = with_cut_end(remesh(origin.surface, n_points=1000), end)
    for _ in range(2):
        average = build_average(subjects[:PEOPLE], start, settings=one_round)
        average, anatomy = centred(average)
        average = with_regions_by_anatomy(average, anatomy)
        write_atlas(tmp_path / "again", average, anatomy, origin.region_names, "again", one_round)
        written.append({path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()})
    assert written[0] == written[1]
    assert len(written[0]) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_an_interrupted_build_leaves_nothing(subjects, tmp_path):
    class Impatient(Progress):
        def show(self, fraction, text):
            self.stop = fraction > 0.05

        def cancelled(self):
            return getattr(self, "stop", False)

    with pytest.raises(Cancelled):
        build_atlas(subjects, tmp_path / "own", "own", load_atlas(), COARSE, Impatient())
    assert not list(tmp_path.iterdir())


def test_register_uses_the_atlas_and_records_it(folder, subjects, tmp_path):
    write_surface(tmp_path / "femur.vtp", subjects[1].surface)
    out = tmp_path / "out"
    arguments = ["register", str(tmp_path / "femur.vtp"), "--side", "left", "--out", str(out), "--quiet"]
    assert main([*arguments, "--atlas", str(folder)]) == 0
    record = json.loads((out / "registration.json").read_text(encoding="utf-8"))
    atlas = load_atlas(folder)
    assert record["atlas"] == {"name": "own", "people": PEOPLE, "sha256": atlas.sha256}
    assert len(record["shape"]["coordinates"]) == len(atlas.shape_model.modes)
    assert str(tmp_path) not in json.dumps(record)


def test_an_atlas_shows_what_may_be_covariates_and_what_they_mean(folder, capsys):
    assert main(["atlas", "show", "--atlas", str(folder)]) == 0
    shown = capsys.readouterr().out
    model = load_atlas(folder).shape_model
    assert model.left_out is None  # too few people
    record = json.loads((folder / "atlas.json").read_text(encoding="utf-8"))["shape_covariates"]
    assert list(record) == [f"femur shape {number}" for number in range(1, model.n_covariates + 1)]
    assert list(record.values()) == pytest.approx(model.shares[: model.n_covariates], abs=1e-4)
    for name, share in record.items():
        assert name in shown
        assert f"{share:.1%}" in shown
    assert f"femur shape {len(record) + 1}" not in shown
    assert "one SD changes offset (mm)" in shown


def test_a_folder_that_is_not_an_atlas_is_refused_in_a_sentence(tmp_path, capsys):
    femur = str(DATA / "average_femur.vtp")
    out = str(tmp_path / "out")
    assert main(["register", femur, "--side", "right", "--out", out, "--atlas", str(tmp_path)]) == 1
    assert "this is not an atlas" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(SettingError, match="this is not an atlas"):  # before anything is measured
        map_femur(None, None, "right", MapSettings(atlas=tmp_path))


def test_a_changed_file_is_refused(folder, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    write_surface(copy / "average_femur.vtp", load_atlas(folder, "fine").surface)
    with pytest.raises(SettingError, match=r"average_femur\.vtp was changed"):
        load_atlas(copy)
    (copy / "shape_model.vtp").unlink()
    (copy / "average_femur.vtp").write_bytes((folder / "average_femur.vtp").read_bytes())
    with pytest.raises(SettingError, match=r"shape_model\.vtp is missing"):
        load_atlas(copy)


def test_a_folder_with_other_things_is_not_written_to(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(SettingError, match="something else"):
        check_place(tmp_path)
    assert main(["atlas", "build", "none.vtp", "--out", str(tmp_path)]) == 1
    assert "something else" in capsys.readouterr().err


def test_too_many_failures_stop_the_build(subjects):
    balls = [Subject(f"ball {number}", subjects[-1].surface, "right") for number in range(3)]
    start = load_atlas().surface
    with pytest.raises(RegistrationError, match=r"3 of 3 femurs .* ball 0: "):
        build_average(balls, start, settings=COARSE)
    with pytest.raises(RegistrationError, match="at least 3"):
        build_average(balls[:2], start, settings=COARSE)


def test_a_cohort_is_read_by_side_from_files_and_tables(subjects, tmp_path):
    for name in ("a", "b", "c"):
        write_surface(tmp_path / f"{name}.vtp", subjects[-1].surface)
    (tmp_path / "rest.csv").write_text("surface,side\nb.vtp,left\nc.vtp,right\n", encoding="utf-8")
    cohort = read_cohort([tmp_path / "a.vtp", tmp_path / "rest.csv"])
    assert [(subject.name, subject.side) for subject in cohort] == [
        ("a.vtp", "right"),
        ("b.vtp", "left"),
        ("c.vtp", "right"),
    ]
    assert read_cohort([], [tmp_path / "a.vtp"])[0].side == "left"
    with pytest.raises(SettingError, match="listed twice"):
        read_cohort([tmp_path / "b.vtp", tmp_path / "rest.csv"])
    (tmp_path / "rest.csv").write_text("surface,side\nb.vtp,links\n", encoding="utf-8")
    with pytest.raises(SettingError, match="row 2: the side is 'links'"):
        read_cohort([tmp_path / "rest.csv"])
    with pytest.raises(SettingError, match="No femur is given"):
        read_cohort([])


def test_the_shaft_ends_where_half_of_the_people_reach():
    surface = load_atlas().surface
    end = end_plane(surface, surface.arrays["cut_end"] == 1)
    share = np.where(end.depth(surface.points) > 20.5, 0.9, 0.4)
    cut, cut_end = shortened(Surface(surface.points, surface.triangles), end, share)
    assert cut.is_closed()
    assert end.depth(cut_end.point[None])[0] == pytest.approx(20.0, abs=2.01)
    assert cut_end.depth(cut.points).min() == pytest.approx(0.0, abs=1e-3)
    lost = surface.volume_mm3 - cut.volume_mm3
    # The shaft is nearly a cylinder there, its section nearly convex.
    length = end.depth(cut_end.point[None])[0]
    middle = surface.points[np.abs(end.depth(surface.points) - length / 2) < 1.5]
    across = np.linalg.svd(end.normal[None])[2][1:]
    assert lost == pytest.approx(length * ConvexHull(middle @ across.T).volume, rel=0.06)
    same, _ = shortened(surface, end, np.full(len(surface.points), 0.5))
    assert same is surface


def test_dividing_smoothly_keeps_a_flat_end_and_lies_nearer_to_the_round_head_than_facets():
    surface = load_atlas().surface
    coarse = remesh(surface, n_points=1400)
    end = end_plane(surface, surface.arrays["cut_end"] == 1)
    dense = smoothly_subdivided(with_cut_end(coarse, end), end)
    assert dense.is_closed()
    assert len(dense.triangles) == 16 * len(coarse.triangles)
    at_end = end.depth(dense.points) < 0.5
    assert np.abs(end.depth(dense.points[at_end])).max() < 1e-9
    head = surface.points[surface.arrays["region"] == 1]
    smooth, facets = (closest_points(mesh, head).distance.mean() for mesh in (dense, coarse))
    assert smooth < 0.5 * facets
