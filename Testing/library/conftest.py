"""Lets the tests share phantoms, and draw only where that is possible."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def drawing():
    """Skip a test that draws in this process where VTK would need a screen and there is none."""
    from CorticalBoneMappingLib.errors import DrawingError
    from CorticalBoneMappingLib.report.canvas import Canvas

    try:
        Canvas(600, 400)
    except DrawingError as error:
        pytest.skip(str(error))
