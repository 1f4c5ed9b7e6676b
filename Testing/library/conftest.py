"""Lets the tests share phantoms and small studies, and import what measures accuracy (`validation`)."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "helpers"), str(Path(__file__).parents[2])]
