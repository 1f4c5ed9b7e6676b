"""CTs whose HU give the place, and checks of what is read from them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hand_dicom import hu_of

from CorticalBoneMappingLib.core.errors import VolumeError
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import read_volume


def ct(shape=(7, 6, 5), **options):
    """Make a small oblique left-handed CT whose HU give the place."""
    matrix = np.eye(4)
    c, s = np.cos(0.3), np.sin(0.3)
    matrix[:3, :3] = np.array([[c, s, 0], [s, -c, 0], [0, 0, 1]]) @ np.diag([0.7, 0.6, 2.0])
    matrix[:3, 3] = [31.0, -17.5, 400.25]
    volume = Volume(np.zeros(shape, np.float32), matrix, **options)
    index = np.moveaxis(np.indices(shape[::-1]), 0, -1)
    return replace(volume, array=hu_of(volume.points_of(index)).T.astype(np.float32) - 2800)


def assert_values_lie_where_they_belong(volume):
    index = np.moveaxis(np.indices(volume.array.shape[::-1]), 0, -1)
    np.testing.assert_allclose(volume.array, hu_of(volume.points_of(index)).T, atol=1.01)


def refuses(path, *words, reader=read_volume, **options):
    with pytest.raises(VolumeError) as caught:
        reader(path, **options)
    text = str(caught.value)
    for word in (Path(path).name, *words):
        assert word in text
    assert "Traceback" not in text
    return text
