"""The average femur registered to a subject, and its anatomy, against a known similarity and deformation."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.pipeline.anatomy import (
    DEFORMATION,
    EXPECTED_ERROR,
    registered_average,
    similarity_to_subject,
    subject_anatomy,
)
from CorticalBoneMappingLib.registration import Registration, SurfaceDistances

SCALE, SHIFT = 1.08, np.array([40.0, -100.0, 700.0])


def registration(side: str) -> Registration:
    """The average, scaled, turned, its neck and head moved 5 mm up smoothly, and mirrored for a left one."""
    average = load_average().surface
    matrix = np.eye(4)
    matrix[:3, :3] = SCALE * Rotation.from_euler("xyz", [20, -30, 50], degrees=True).as_matrix()
    matrix[:3, 3] = SHIFT
    points = average.points @ matrix[:3, :3].T + matrix[:3, 3] + moved_by(average)
    right = Surface(points, average.triangles)
    deformed = right.mirrored() if side == "left" else right
    covered = average.arrays["cut_end"] == 0
    others = {
        "distances": SurfaceDistances(0, 0, 0, 0),
        "deformation_misfit_mm": 0.0,
        "folded": 0,
        "warnings": (),
    }
    known = {
        "subject": deformed,
        "average": average,
        "side": side,
        "matrix": matrix,
        "deformed": deformed,
        "covered": covered,
        "expected_error": np.where(covered, 0.75, np.nan),
    }
    # The other attributes of a registration do not matter here.
    more = {field.name: None for field in fields(Registration) if field.name not in known | others}
    return Registration(**known, **others, **more)


def moved_by(average: Surface) -> np.ndarray:
    share = 1.0 / (1.0 + np.exp((average.points[:, 0] - 25.0) / 4.0))
    return np.outer(share, [0.0, 0.0, 5.0])


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_registered_average_has_its_deformation_and_marks_where_it_has_no_counterpart(side):
    found = registration(side)
    registered_template = registered_average(found)
    moved_mm = registered_template.arrays[DEFORMATION]
    expected = np.linalg.norm(moved_by(found.average), axis=1)
    np.testing.assert_allclose(moved_mm[found.covered], expected[found.covered], atol=1e-4)
    assert np.isnan(moved_mm[~found.covered]).all()
    assert registered_template.units[DEFORMATION] == registered_template.units[EXPECTED_ERROR] == "mm"
    np.testing.assert_array_equal(
        registered_template.arrays[EXPECTED_ERROR], found.expected_error.astype(np.float32)
    )
    np.testing.assert_array_equal(registered_template.arrays["region"], found.average.arrays["region"])
    assert registered_template.volume_mm3 > 0


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_similarity_takes_the_average_to_the_subject(side):
    found = registration(side)
    matrix = similarity_to_subject(found)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(SCALE**3 * (-1 if side == "left" else 1))
    far_from_the_neck = found.average.points[:, 0] > 60.0
    moved = found.average.points @ matrix[:3, :3].T + matrix[:3, 3]
    np.testing.assert_allclose(moved[far_from_the_neck], found.points[far_from_the_neck], atol=1e-2)


def test_landmarks_carried_by_the_registration_lead_to_the_anatomy_of_the_subject():
    atlas = load_average()
    records = {}
    for side in ("left", "right"):
        found = registration(side)
        records[side] = subject_anatomy(found.deformed, found, atlas.landmarks)
    measured = records["left"]["measurements"]
    assert measured == records["right"]["measurements"]
    head = np.array(records["left"]["landmarks_ras_mm"]["head_centre"])
    matrix = similarity_to_subject(registration("left"))
    place = matrix[:3, :3] @ atlas.landmarks["head_centre"] + matrix[:3, 3]
    np.testing.assert_allclose(head, place + np.array([0.0, 0.0, 5.0]), atol=0.5)
    assert "anteversion_deg" not in measured
    assert list(records["left"]["landmarks_ras_mm"]) == list(atlas.landmarks)


def test_a_missing_part_is_named_and_nothing_is_raised():
    found = registration("right")
    centre = found.deformed.points.mean(axis=0)
    ball = found.deformed.points - centre
    ball = 40.0 * ball / np.linalg.norm(ball, axis=1, keepdims=True) + centre
    record = subject_anatomy(replace(found.deformed, points=ball), found, load_average().landmarks)
    assert list(record) == ["missing"]
    assert "head" in record["missing"]
