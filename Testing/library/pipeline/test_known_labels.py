"""Label maps of other tools: which label is which femur, and when that is refused."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from CorticalBoneMappingLib.core.errors import SettingError
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import read_labelmap
from CorticalBoneMappingLib.pipeline.find.known_labels import SCHEMES, label_of_femur, recognise

SPACING_MM = 3.0


def label_map(balls):
    """Balls of 15 mm about RAS points, by their labels; x runs to the patient's left, as in most files."""
    matrix = np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0])
    matrix[:3, 3] = [150.0, 60.0, -150.0]
    array = np.zeros((100, 40, 100), np.uint8)
    volume = Volume(array, matrix, "map.nii.gz")
    k, j, i = np.indices(array.shape)
    points = volume.points_of(np.stack([i, j, k], axis=-1))
    for label, centre in balls.items():
        array[np.linalg.norm(points - np.array(centre), axis=-1) < 15.0] = label
    return volume


def hips(scheme, more=()):
    """Femurs with their hip bones 3 mm apart from them, and other labels."""
    balls = {}
    for side, x in (("left", -90.0), ("right", 90.0)):
        balls[scheme.femur[side]] = (x, 0.0, 0.0)
        balls[scheme.hip_bone[side]] = (x * 0.63, 0.0, 3.0)
    return label_map(balls | dict(more))


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_the_side_chooses_the_label_in_the_map_of_a_known_tool(scheme):
    for side in ("left", "right"):
        label, notes = label_of_femur(hips(scheme), side)
        assert label == scheme.femur[side]
        assert notes == [f"Label {label} was taken, the {side} femur by the numbers of {scheme.name}."]


def test_a_whole_body_map_is_recognised_by_the_femur_in_its_socket():
    # To the first TotalSegmentator 75 to 78 are ribs 6 to 9 of the right side, 60 mm above one another here.
    first = SCHEMES[1]
    ribs = {label: (60.0, 0.0, 120.0 - 40.0 * n) for n, label in enumerate((77, 75))}
    balls = {88: (-90.0, 0.0, -100.0), 90: (-57.0, 0.0, -97.0), 89: (90.0, 0.0, -100.0)} | ribs
    assert recognise(label_map(balls)) is first
    assert label_of_femur(label_map(balls), "left")[0] == 88


def test_muscles_under_the_numbers_of_another_tool_s_femurs_are_not_femurs():
    # TotalSegmentator 2: 88, 89 are the iliopsoas and 90 the brain.
    assert recognise(hips(SCHEMES[0], {88: (-40.0, 0.0, 60.0), 90: (0.0, 0.0, 130.0)})) is SCHEMES[0]
    alone = label_map({88: (-90.0, 0.0, 0.0), 89: (90.0, 0.0, 0.0)})
    assert recognise(alone) is None
    with pytest.raises(SettingError, match="say which label is the femur; there are: 88, 89"):
        label_of_femur(alone, "left")


def test_femurs_alone_are_those_of_this_program_and_of_the_tool_whose_numbers_it_uses():
    both = label_map({75: (-90.0, 0.0, 0.0), 76: (90.0, 0.0, 0.0)})
    assert label_of_femur(both, "right")[0] == 76
    left_only = label_map({75: (-90.0, 0.0, 0.0)})
    assert label_of_femur(left_only, "left")[0] == 75
    with pytest.raises(SettingError, match="holds only the left femur, not the right one"):
        label_of_femur(left_only, "right")


def test_a_single_label_of_any_other_number_is_the_femur():
    assert label_of_femur(label_map({3: (0.0, 0.0, 0.0)}), "left") == (3, [])


def test_a_mirrored_map_is_refused_instead_of_measured_on_the_wrong_side():
    mirrored = label_map({75: (90.0, 0.0, 0.0), 76: (-90.0, 0.0, 0.0)})
    with pytest.raises(SettingError, match="left femur lies on the patient's right"):
        label_of_femur(mirrored, "left")


def test_segments_saved_by_slicer_are_chosen_by_their_terms_whatever_their_numbers(tmp_path):
    image = sitk.GetImageFromArray(label_map({1: (-90.0, 0.0, 0.0), 2: (90.0, 0.0, 0.0), 5: (0, 0, 0)}).array)
    terms = {"71341001^Femur~SCT^24028007^Right": 2, "71341001^Femur~SCT^7771000^Left": 1, "1^Skin~^^": 5}
    for number, (term, label) in enumerate(terms.items()):
        tags = f"TerminologyEntry:any context~SCT^123037004^Anatomical Structure~SCT^{term}~regions~^^~^^|"
        image.SetMetaData(f"Segment{number}_Tags", f"Segmentation.Status:notstarted|{tags}")
        image.SetMetaData(f"Segment{number}_LabelValue", str(label))
    sitk.WriteImage(image, str(tmp_path / "bones.seg.nrrd"))
    labels = read_labelmap(tmp_path / "bones.seg.nrrd")
    assert label_of_femur(labels, "right")[0] == 2
    label, (note,) = label_of_femur(labels, "left")
    assert (label, note) == (1, "Label 1 was taken, the left femur by the segment's own terms.")
