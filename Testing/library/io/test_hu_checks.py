"""Whether values are HU: asked of soft tissue, air, the largest value, and what is in and around a bone."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from CorticalBoneMappingLib.core.errors import VolumeError
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.hu_checks import check_around_bone, check_hu
from CorticalBoneMappingLib.io.volume_checks import check_image, check_memory
from CorticalBoneMappingLib.io.volume_files import read_labelmap, read_volume
from CorticalBoneMappingLib.segmentation import periosteal_surface

DATA = Path(os.environ.get("CBM_TEST_DATA", Path(__file__).parents[3] / "../shared/data"))
needs_data = pytest.mark.skipif(not (DATA / "hips_ct_3mm").is_dir(), reason=f"no real CT at {DATA}")

_MM = 1.5


def cylinder(around=50.0, field="body"):
    """A tube of cortex with marrow in muscle, in water or in air, all with noise of 12 HU."""
    k, j, i = np.indices((24, 60, 60)) * _MM
    from_axis = np.hypot(j - 45.0, i - 45.0)
    hu = np.full(from_axis.shape, {"body": around, "water": 0.0, "air": -1000.0}[field])
    if field == "body":
        hu[from_axis > 38.0] = -100.0
        hu[from_axis > 43.0] = -1000.0
    # From spongiosa to dense cortex: bone has no single value.
    hu[from_axis < 18.0] = 900.0 + 10.0 * (k[from_axis < 18.0] - 18.0)
    hu[from_axis < 14.0] = 350.0 + 15.0 * (k[from_axis < 14.0] - 18.0)
    hu[from_axis < 6.0] = -80.0
    hu += np.random.default_rng(1).normal(0.0, 12.0, hu.shape)
    inside = (from_axis < 18.0) & (k > 3.0) & (k < 32.0)
    matrix = np.diag([_MM, _MM, _MM, 1.0])
    return Volume(np.round(hu).astype(np.float32), matrix, "CT"), Volume(inside.astype(np.uint8), matrix)


def refused(volume, surface):
    """Whether, and by which words, a CT is refused with a bone whose place is known."""
    try:
        check_hu(volume)
        check_around_bone(volume, surface)
    except VolumeError as error:
        return str(error)
    return ""


WRONG = {
    "no intercept": (lambda hu: hu + 1024, "HU"),
    "no intercept, padded": (lambda hu: np.where(hu < -900, -2000, hu + 1024), "HU"),
    "intercept twice": (lambda hu: hu - 1024, "bone"),
    "negated": (lambda hu: -hu, "HU"),
    "turned about the largest": (lambda hu: hu.max() - hu, "HU"),
    "cut off at 1000": (lambda hu: np.minimum(hu, 1000), "cut off at 1000 HU"),
    "cut off at 120": (lambda hu: np.minimum(hu, 120), "nothing above 120"),
    "cut off at 600": (lambda hu: np.minimum(hu, 600), "cut off at 600 HU"),
}


@pytest.fixture(scope="module")
def surface():
    return periosteal_surface(cylinder()[1], 1, 2.5).surface


@pytest.mark.parametrize("modality", [None, "CT"])
@pytest.mark.parametrize("field", ["body", "water", "air"])
def test_a_bone_in_the_body_in_water_and_in_air_is_a_ct(surface, field, modality):
    volume = replace(cylinder(field=field)[0], modality=modality)
    assert refused(volume, surface) == ""
    assert check_image(volume).warnings == ()
    said = check_around_bone(volume, surface)
    assert ["lies in air" in each for each in said] == [True] * (field == "air")


@pytest.mark.parametrize("modality", [None, "CT"])
@pytest.mark.parametrize("field", ["body", "water", "air"])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_hu_is_refused_whatever_the_tag_and_the_surroundings(surface, name, field, modality):
    if (name, field) == ("intercept twice", "air"):
        pytest.skip("the air is then below -1500, padding: every point is outside the scan")
    change, words = WRONG[name]
    volume = cylinder(field=field)[0]
    changed = replace(volume, array=change(volume.array).astype(np.float32), modality=modality)
    assert words in refused(changed, surface)


def test_half_of_each_value_is_refused_by_where_the_air_is(surface):
    volume = cylinder(field="air")[0]
    assert "neither air" in refused(replace(volume, array=0.5 * volume.array), surface)


def test_metal_cut_off_at_the_scanners_range_is_right_and_below_it_is_a_warning(surface):
    volume = cylinder()[0]
    volume.array[:, 3:8, 3:8] = 3071.0
    assert refused(volume, surface) == ""
    assert check_hu(volume) == []
    lower = replace(volume, array=np.minimum(volume.array, 2000.0))
    assert "cut off at 2000 HU" in check_hu(lower)[0]


def test_air_that_is_cut_off_is_a_warning_and_no_border(surface):
    volume = cylinder()[0]
    lower = check_image(replace(volume, array=np.maximum(volume.array, -250.0)))
    assert "cut off below -250 HU" in lower.warnings[0]
    assert lower.array.min() == -250.0


@pytest.mark.parametrize("value", [0.0, 60.0, -500.0])
def test_a_filled_border_is_not_tissue(value):
    volume = cylinder()[0]
    volume.array[:, :, :7] = value
    checked = check_image(volume)
    assert np.all(checked.array[:, :, :7] == -2000.0)
    # Beside it, a voxel of that value by chance is not distinguished from it.
    assert np.mean(checked.array[:, :, 7:] != volume.array[:, :, 7:]) < 1e-3
    assert f"exactly {value:g} HU" in checked.warnings[0]
    assert check_image(checked).warnings == checked.warnings  # asked again, it says it once


def test_a_bath_without_noise_is_not_a_filled_border():
    volume = cylinder(field="water")[0]
    bath = np.abs(volume.array) < 60.0
    checked = check_image(replace(volume, array=np.where(bath, 0.0, volume.array).astype(np.float32)))
    assert checked.warnings == ()
    assert np.all(checked.array[bath] == 0.0)


def test_padding_is_not_measured_and_does_not_ring(surface):
    from CorticalBoneMappingLib.cortex.model.profiles import sample_profiles
    from CorticalBoneMappingLib.cortex.settings import CortexSettings

    volume = cylinder()[0]
    whole = sample_profiles(surface.points, surface.normals, volume, CortexSettings())
    padded = replace(volume, array=volume.array.copy())
    padded.array[:, :, :20] = -2000.0
    part = sample_profiles(surface.points, surface.normals, padded, CortexSettings())
    # Samples are moved along the slice axis only: R is that of the line.
    right = surface.points[:, :1] - part.line * surface.normals[:, :1]
    beside = np.abs(right - 19.5 * _MM) < 2 * _MM
    hidden = right < 19.5 * _MM
    assert not part.valid[hidden].any()
    np.testing.assert_array_equal(part.valid[~hidden], whole.valid[~hidden])
    far = whole.valid & part.valid & ~beside
    np.testing.assert_allclose(part.values[far], whole.values[far], atol=60.0)
    assert part.values[part.valid].min() > -1200.0  # and no trace of -2000


@needs_data
def test_real_scans_pass_and_their_changed_forms_do_not():
    volume = read_volume(DATA / "hips_ct_3mm" / "ct.nrrd")
    for real in (volume, read_volume(DATA / "hip_ct_crop" / "ct.nrrd")):
        assert check_hu(real) == []
    labels = read_labelmap(DATA / "hips_ct_3mm" / "labels.nrrd")
    for label in (1, 2):  # the left one holds a nail
        femur = periosteal_surface(labels, label, 3.0).surface
        assert refused(volume, femur) == ""
        for name, (change, words) in WRONG.items():
            text = refused(replace(volume, array=change(volume.array).astype(np.float32)), femur)
            assert words in text, name


def test_memory_is_asked_for_before_it_is_taken():
    matrix = np.diag([0.4, 0.4, 0.4, 1.0])
    check_memory(Volume(np.broadcast_to(np.float32(0), (50, 60, 70)), matrix))
    huge = Volume(np.broadcast_to(np.float32(0), (20000, 20000, 20000)), matrix, "huge.nrrd")
    with pytest.raises(VolumeError, match=r"huge\.nrrd: .*8000000 million voxels.* GB are free"):
        check_memory(huge)
