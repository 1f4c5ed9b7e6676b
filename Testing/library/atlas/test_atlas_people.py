"""A person counts once in an average, however many of their femurs are in the cohort."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.atlas import build
from CorticalBoneMappingLib.atlas.average import load_atlas
from CorticalBoneMappingLib.atlas.build import BuildSettings, Subject, build_average, shape_model_of
from CorticalBoneMappingLib.atlas.cohort import read_cohort
from CorticalBoneMappingLib.atlas.femurs import Outcomes, RegisteredFemur, _each
from CorticalBoneMappingLib.atlas.shaft_end import end_plane, with_cut_end
from CorticalBoneMappingLib.core.errors import Cancelled, RegistrationError, SettingError
from CorticalBoneMappingLib.core.progress import CallbackProgress, Progress
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import write_surface
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.mesh.shape_model import pose_basis


@pytest.fixture(scope="module")
def mean() -> Surface:
    return remesh(load_atlas().surface, n_points=400)


def _departures(mean: Surface, femurs: int, sd_mm: float, length_mm: float = 30.0) -> np.ndarray:
    """Random smooth displacements that neither move, turn nor scale the mean, shape (femurs, n, 3)."""
    random = np.random.default_rng(7)
    wave, phase = random.standard_normal((femurs, 3, 3)) / length_mm, random.uniform(0, 6.28, (femurs, 3))
    smooth = np.sqrt(2.0) * sd_mm * np.sin(np.einsum("nk,fjk->fnj", mean.points, wave) + phase[:, None])
    pose = np.linalg.qr(pose_basis(mean.points).T)[0]
    rows = smooth.reshape(femurs, -1)
    return (rows - (rows @ pose) @ pose.T).reshape(smooth.shape)


def test_a_person_given_twice_leaves_the_model_as_it_is(mean):
    shapes = mean.points + _departures(mean, 5, 2.0)
    covered = np.ones(shapes.shape[:2], dtype=bool)
    covered[1, mean.points[:, 2] < -70.0] = False
    once = shape_model_of(shapes, covered, mean, 0.7, list("abcde"))
    turned = shapes[[1]] @ Rotation.from_rotvec([0.3, 0.2, -1.0]).as_matrix().T + 40.0
    again = np.concatenate([shapes, turned, shapes[[1]]])
    known = covered[[0, 1, 2, 3, 4, 1, 1]]
    twice = shape_model_of(again, known, mean, 0.7, list("abcdebb"))
    assert once.people == twice.people == 5
    assert np.abs(once.mean - twice.mean).max() < 1e-4
    assert np.abs(once.modes - twice.modes).max() < 1e-3
    assert twice.residual_sd_mm == pytest.approx(once.residual_sd_mm, rel=1e-3)
    counted_alone = shape_model_of(again, known, mean)
    assert counted_alone.people == 7
    assert np.abs(once.mean - counted_alone.mean).max() > 0.2


def test_mean_and_modes_are_those_of_femurs_repeated_until_every_person_has_as_many(mean):
    persons = list("aabcc")
    shapes = mean.points + _departures(mean, 5, 0.3)
    model = shape_model_of(shapes, np.ones(shapes.shape[:2], bool), mean, 0.999, persons)
    repeated = shapes[[0, 1, 2, 2, 3, 4]].reshape(6, -1)
    assert np.abs(model.mean.ravel() - repeated.mean(axis=0)).max() < 0.02
    # Two rows are one person; the covariance of three people has three less one degrees of freedom.
    scatter = np.cov(repeated.T, bias=True) * 6 / 2 / (3 - 1)
    variances, vectors = np.linalg.eigh(scatter)
    assert len(model.modes) == 2
    ours = model.modes.reshape(2, -1)
    assert np.allclose((ours**2).sum(axis=1), variances[:-3:-1], rtol=0.02)
    along = np.abs((ours / np.linalg.norm(ours, axis=1, keepdims=True) * vectors[:, :-3:-1].T).sum(axis=1))
    assert along.min() > 0.999
    assert model.explained == pytest.approx(variances[:-3:-1] / variances.sum(), rel=0.02)
    left = np.sqrt(variances[:-2].sum() / len(scatter))
    assert model.residual_sd_mm == pytest.approx(left, rel=0.02)


@pytest.mark.parametrize(("persons", "kept"), [("aaabc", True), ("abcde", False)])
def test_the_shaft_ends_where_half_of_the_people_not_of_the_femurs_reach(monkeypatch, persons, kept):
    average = load_atlas().surface
    end = end_plane(average, average.arrays["cut_end"] == 1)
    start = with_cut_end(remesh(average, n_points=1000), end)
    shapes = np.repeat(start.points[None], 5, axis=0)
    shapes = shapes + 1e-3 * np.random.default_rng(0).standard_normal(shapes.shape)
    covered = np.ones(shapes.shape[:2], dtype=bool)
    covered[:3, end.depth(start.points) < 20.0] = False
    found = [RegisteredFemur(*each, ()) for each in zip(shapes, covered)]
    monkeypatch.setattr(build, "register_femurs", lambda *_: Outcomes(found, {}))
    subjects = [Subject(str(row), start, "right", person) for row, person in enumerate(persons)]
    found = build_average(subjects, start, settings=BuildSettings(rounds=1, points=1000, fine_points=1000))
    assert (found.rounds[0].femurs, found.rounds[0].people) == (5, len(set(persons)))
    assert found.shape_model.people == len(set(persons))
    lost = np.ptp(start.points[:, 2]) - np.ptp(found.surface.points[:, 2])
    assert lost == pytest.approx(0.0 if kept else 20.0, abs=2.5)


def test_femurs_of_two_people_are_no_cohort_and_shapes_need_their_persons(mean):
    subjects = [Subject(name, mean, "right", name[0]) for name in ("a1", "a2", "b1", "b2")]
    with pytest.raises(RegistrationError, match="at least 3 people; 4 of 2 given"):
        build_average(subjects, mean)
    assert Subject("a", mean, "left").person == "a"
    with pytest.raises(SettingError, match="There are 3 shapes, but persons are named for 2"):
        shape_model_of(np.zeros((3, 9, 3)), np.ones((3, 9), bool), mean, persons=["a", "b"])


def test_a_table_may_name_the_person_of_a_femur(mean, tmp_path):
    for name in ("a", "b", "c"):
        write_surface(tmp_path / f"{name}.vtp", mean)
    table = tmp_path / "cohort.csv"
    table.write_text("surface,side,person\na.vtp,left,7\nb.vtp,right,7\nc.vtp,right,\n", encoding="utf-8")
    assert [subject.person for subject in read_cohort([table])] == ["7", "7", "c.vtp"]
    table.write_text("surface,side\na.vtp,left\nb.vtp,right\n", encoding="utf-8")
    assert [subject.person for subject in read_cohort([table])] == ["a.vtp", "b.vtp"]


def test_work_on_many_femurs_is_reported_one_by_one_and_the_same_whoever_does_it(mean):
    femurs = [Subject(str(number), mean, "right") for number in range(5)]
    with ThreadPoolExecutor(3) as pool:
        both = []
        for executor in (None, pool):
            seen: list[tuple[float, str]] = []
            progress = CallbackProgress(lambda *report, seen=seen: seen.append(report))
            both.append(_each(_named, femurs, [one.name for one in femurs], executor, progress, "Round 1"))
            assert {text for _, text in seen} == {f"Round 1: {number}" for number in range(5)}
            assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)
    assert both[0] == both[1] == Outcomes(["0", "1", "2", None, "4"], {"3": "no femur"})


def _named(subject: Subject) -> str:
    if subject.name == "3":
        raise RegistrationError("no femur")
    return subject.name


def test_cancelling_does_not_wait_for_the_femurs_that_are_worked_on(mean):
    stop, asked = Event(), []

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) > 2

    femurs = [Subject(str(number), mean, "right") for number in range(3)]
    progress = CallbackProgress(lambda *_: None, cancelled)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(Cancelled):
            _each(lambda _: stop.wait(20.0), femurs, ["a", "b", "c"], pool, progress, "Round 1")
        assert not stop.is_set()
        stop.set()
    with ThreadPoolExecutor(1) as pool, pytest.raises(RegistrationError, match=r"a: .*--workers"):
        _each(_out_of_memory, femurs[:1], ["a"], pool, Progress(), "Round 1")


def _out_of_memory(_: Subject) -> None:
    raise MemoryError


def test_shafts_of_unequal_length_leave_no_step_in_the_mean():
    mean = remesh(load_atlas().surface, n_points=1200)
    shapes = mean.points + _departures(mean, 12, 2.0, 45.0)
    low = mean.points[:, 2].min()
    ends = low + np.random.default_rng(5).uniform(-10.0, 45.0, len(shapes))
    covered = mean.points[:, 2] > ends[:, None]
    uncut = shape_model_of(shapes, np.ones_like(covered), mean)
    cut = shape_model_of(shapes, covered, mean)
    off = np.einsum("ij,ij->i", cut.mean - uncut.mean, uncut.surface.normals)
    half = (covered.mean(axis=0) >= 0.5) & (mean.points[:, 2] < ends.max())
    assert np.sqrt((off[half] ** 2).mean()) < 0.1
    edges = mean.edges[half[mean.edges].all(axis=1)]
    along = np.abs(np.diff(mean.points[edges, 2], axis=1)[:, 0])
    assert np.quantile(along, 0.9) < 6.0
    assert np.abs(np.diff(off[edges], axis=1)).max() < 0.1
