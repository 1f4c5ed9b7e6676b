"""Names of cases as BIDS writes them: ``sub-P01/ses-12/sub-P01_ses-12_hemi-R_femur``.

BIDS allows letters and digits in a label, nothing else, and tells sides by ``hemi-L`` and ``hemi-R`` (Brain
Imaging Data Structure, "Entities"). Any participant and visit can be written so, and read back.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from ...errors import SettingError

# Stands before the two hexadecimal digits of a byte that is no letter and no digit; itself is written so too.
_ESCAPE = "Z"
_HEMISPHERES = {"left": "L", "right": "R"}
_NAME = re.compile(r"sub-([0-9A-Za-z]+)_ses-([0-9A-Za-z]+)_hemi-([LR])_femur")


def label_of(text: str) -> str:
    """Write any text with letters and digits alone; `text_of` reads it back.

    Letters and digits of ASCII stay, all but ``Z``; every other byte of the text in UTF-8, and ``Z``, becomes
    ``Z`` and two hexadecimal digits: ``P-01`` is ``PZ2d01``.
    """
    return "".join(
        chr(byte) if chr(byte).isascii() and chr(byte).isalnum() and chr(byte) != _ESCAPE else f"Z{byte:02x}"
        for byte in text.encode()
    )


def text_of(label: str) -> str:
    """Read what `label_of` wrote."""
    pieces = re.split(f"{_ESCAPE}([0-9a-f]{{2}})", label)
    return b"".join(
        bytes([int(piece, 16)]) if place % 2 else piece.encode() for place, piece in enumerate(pieces)
    ).decode()


def case_name(participant: str, visit: str, side: str) -> str:
    """Name a case: one femur of one participant at one visit."""
    return f"sub-{label_of(participant)}_ses-{label_of(visit)}_hemi-{_HEMISPHERES[side]}_femur"


def case_folder(participant: str, visit: str, side: str) -> Path:
    """Give the folder of a case's result, relative to the folder of results."""
    name = case_name(participant, visit, side)
    return Path(f"sub-{label_of(participant)}", f"ses-{label_of(visit)}", name)


def result_folders(results: Path) -> dict[tuple[str, str, str], Path]:
    """Find the results in a folder, by participant, visit and side."""
    found = {}
    for folder in results.glob("sub-*/ses-*/sub-*_femur"):
        with contextlib.suppress(SettingError, UnicodeDecodeError):  # no work of ours
            found[case_of(folder.name)] = folder
    return found


def case_of(name: str) -> tuple[str, str, str]:
    """Read participant, visit and side from the name of a case.

    Raises
    ------
    SettingError
        If it is no such name.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise SettingError(f"'{name}' is not the name of a case, such as sub-P01_ses-12_hemi-R_femur.")
    side = next(side for side, letter in _HEMISPHERES.items() if letter == found[3])
    return text_of(found[1]), text_of(found[2]), side
