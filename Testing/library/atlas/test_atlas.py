"""The average femur is the population's average, evenly meshed, its regions where anatomy has them."""

import json
import shutil

import numpy as np
import pytest

from CorticalBoneMappingLib.anatomy.regions import REGION_NAMES, region_names_of
from CorticalBoneMappingLib.atlas.average import DATA, DENSITIES, RECORD, load_atlas, load_average
from CorticalBoneMappingLib.core.errors import SettingError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import read_surface, write_surface


@pytest.mark.parametrize(("density", "vertices"), [("standard", 5600), ("fine", 20000)])
def test_average_femur_is_closed_even_and_of_the_promised_size(density, vertices):
    surface = load_average(density).surface
    assert surface.is_closed()
    assert len(surface.points) == pytest.approx(vertices, rel=0.03)
    ends = surface.points[surface.edges]
    length = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    assert length.std() / length.mean() < 0.16
    assert surface.volume_mm3 > 0


def test_head_is_about_a_sphere_of_the_published_size_around_the_origin():
    average = load_average("fine")
    head = average.surface.points[average.region == 1]
    radius = np.linalg.norm(head, axis=1)
    # Noble 1988: 46.1 mm. A real head is not a perfect sphere: it has a fovea, and flattens towards the neck.
    assert np.median(radius) == pytest.approx(46.1 / 2, abs=0.5)
    assert 0.2 < np.percentile(np.abs(radius - np.median(radius)), 90) < 1.5


def test_shaft_reaches_40_mm_below_the_lesser_trochanter():
    average = load_average()
    z = average.surface.points[:, 2]
    lesser = average.region == 8
    assert z[lesser].min() - z.min() > 40.0


def test_regions_lie_where_anatomy_has_them():
    average = load_average()
    centre = {
        name: average.surface.points[average.region == code].mean(axis=0)
        for code, name in average.region_names.items()
    }
    lateral, anterior, up = range(3)
    assert centre["femoral head"][lateral] < centre["neck superior"][lateral]
    assert centre["neck superior"][lateral] < centre["greater trochanter"][lateral]
    assert centre["greater trochanter"][lateral] < centre["lateral trochanter"][lateral]
    assert centre["neck superior"][up] > centre["neck inferior"][up] + 15
    assert centre["neck anterior"][anterior] > centre["neck posterior"][anterior] + 15
    assert centre["lesser trochanter"][anterior] < centre["intertrochanteric"][anterior] - 10
    assert centre["lesser trochanter"][lateral] < centre["intertrochanteric"][lateral]
    assert centre["subtrochanteric shaft"][up] < centre["lesser trochanter"][up]


def test_every_region_is_one_piece():
    average = load_average()
    edges = average.surface.edges
    for code, name in average.region_names.items():
        members = np.flatnonzero(average.region == code)
        within = edges[np.all(average.region[edges] == code, axis=1)]
        reached = {int(members[0])}
        size = 0
        while len(reached) > size:
            size = len(reached)
            touching = np.isin(within, list(reached)).any(axis=1)
            reached |= set(within[touching].ravel().tolist())
        assert len(reached) >= 0.99 * len(members), name


def test_unknown_density_is_refused_with_the_known_ones():
    with pytest.raises(SettingError, match=", ".join(DENSITIES)):
        load_average("huge")


def test_the_region_names_of_a_users_own_atlas_stay_with_its_maps(tmp_path):
    shutil.copytree(DATA, tmp_path / "own")
    record = json.loads((tmp_path / "own" / RECORD).read_text(encoding="utf-8"))
    record["region_names"] |= {"1": "caput femoris"}
    (tmp_path / "own" / RECORD).write_text(json.dumps(record), encoding="utf-8")
    surface = load_atlas(tmp_path / "own").surface
    write_surface(tmp_path / "map.vtp", surface.with_arrays(value=np.zeros(len(surface.points))))
    own = region_names_of(read_surface(tmp_path / "map.vtp"))
    assert own == REGION_NAMES | {1: "caput femoris"}
    assert region_names_of(Surface(surface.points, surface.triangles)) == REGION_NAMES
