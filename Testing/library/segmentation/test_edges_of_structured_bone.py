"""Edges of bone with struts, and a head that bulges with and without other bone beside it."""

import numpy as np
import pytest
from ball_phantom import surface_near_the_ball
from scipy import ndimage

from CorticalBoneMappingLib.core.errors import VolumeError
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_checks import check_ct
from CorticalBoneMappingLib.pipeline.find.find_femur import _beside_bone
from CorticalBoneMappingLib.segmentation.fit.edges import find_edges
from CorticalBoneMappingLib.segmentation.fit.model_fit import _with_neighbours

SPACING, RADIUS = 0.8, 18.0  # mm; the ball of `ball_phantom`
SOFT_HU, BONE_HU = 40.0, 260.0


@pytest.fixture(scope="module")
def ball():
    return surface_near_the_ball(1500, error_mm=0.0)


def image(strut_sd=0.0, plate_mm=None):
    """A ball of cancellous bone whose struts stand out by an SD in HU; a plate of bone beyond its top."""
    axis = np.arange(-30.0, 30.0, SPACING)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    inside = np.clip((RADIUS - np.sqrt(x**2 + y**2 + z**2)) / SPACING + 0.5, 0.0, 1.0)
    struts = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal(inside.shape), 1.0)
    hu = SOFT_HU + inside * (BONE_HU - SOFT_HU + strut_sd * struts / struts.std())
    if plate_mm is not None:
        hu = np.where((z > RADIUS + plate_mm) & (x**2 + y**2 < 10.0**2), 600.0, hu)
    matrix = np.diag([SPACING, SPACING, SPACING, 1.0])
    matrix[:3, 3] = axis[0]
    return Volume(hu.astype(np.float32), matrix)


def confidence(volume, ball, mean=None):
    return find_edges(volume, ball.points, ball.normals, 2.0, 1.0, mean=mean).confidence


def test_an_average_of_neighbours_keeps_what_is_alike(ball):
    mean = _with_neighbours(ball)
    assert np.asarray(mean.sum(axis=1)).ravel() == pytest.approx(1.0, abs=1e-5)
    smooth = image()
    assert confidence(smooth, ball, mean).mean() == pytest.approx(confidence(smooth, ball).mean(), abs=0.03)


def test_struts_make_lines_unsure_and_their_neighbours_make_them_sure_again(ball):
    structured = image(strut_sd=100.0)
    alone, together = (confidence(structured, ball, mean).mean() for mean in (None, _with_neighbours(ball)))
    assert alone < confidence(image(), ball).mean() - 0.15
    assert together > alone + 0.05


def test_without_bone_neighbours_add_no_confidence(ball):
    noise = np.random.default_rng(4).normal(SOFT_HU, 30.0, image().array.shape).astype(np.float32)
    empty = Volume(noise, image().ijk_to_ras)
    assert confidence(empty, ball, _with_neighbours(ball)).mean() <= confidence(empty, ball).mean() + 0.02


def test_only_where_other_bone_lies_beside_it_can_a_head_have_leaked_into_it(ball):
    assert not _beside_bone(ball, image()).any()
    beside = _beside_bone(ball, image(plate_mm=4.0))
    top = ball.points[:, 2] > 0.95 * RADIUS
    assert beside[top].all()
    assert not beside[ball.points[:, 2] < 0].any()


def test_a_bone_alone_in_air_is_a_ct_and_one_without_any_marrow_is_not():
    bone = image().array > 0.5 * (SOFT_HU + BONE_HU)
    hu = np.random.default_rng(5).normal(-1000.0, 15.0, bone.shape)
    shares = np.random.default_rng(6).random(bone.shape)
    for marrow, is_ct in ((0.4, True), (0.1, False)):
        values = np.where(bone, np.where(shares < marrow, 60.0, 500.0), hu).astype(np.float32)
        volume = Volume(values, image().ijk_to_ras)
        if is_ct:
            check_ct(volume)
        else:
            with pytest.raises(VolumeError, match="fat or muscle"):
                check_ct(volume)
