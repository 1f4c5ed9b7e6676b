"""Name a case: as BIDS does, in words, and as a spreadsheet may have rewritten it.

BIDS allows only letters and digits in a label, and writes sides as ``hemi-L`` and ``hemi-R`` (Brain Imaging
Data Structure, "Entities"): ``sub-P01/ses-12/sub-P01_ses-12_hemi-R_femur``. Any participant and visit can be
written so, and read back.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from ...core.errors import SettingError
from ...io.numbers import number_of

CaseId = tuple[str, str, str]
"""Participant, visit, side, as the study's table writes them."""

# 2-Jan and Jan-02 are what a spreadsheet makes of 1-2 and 2/1, 1.00E+05 of 1E5 or of many digits.
_DATE = re.compile(r"\d{1,2}[-. ]+[^\W\d_]{3,4}\.?|[^\W\d_]{3,4}\.?[- ]\d{1,2}")
_EXPONENT = re.compile(r"\d[.,]\d+E\+\d+")

# Precedes the two hexadecimal digits of a byte that is neither letter nor digit; itself is written so, too.
_ESCAPE = "Z"
_HEMISPHERES = {"left": "L", "right": "R"}
_NAME = re.compile(r"sub-([0-9A-Za-z]+)_ses-([0-9A-Za-z]+)_hemi-([LR])_femur")


def in_words(case_id: CaseId) -> str:
    """Return the name of a case for a sentence."""
    participant, visit, side = case_id
    return f"participant {participant}, visit {visit}, {side}"


def known_case(written: CaseId, *known: Collection[CaseId]) -> CaseId:
    """Find a case as a table from a spreadsheet names it: 001 may have become 1.

    Parameters
    ----------
    written : (participant, visit, side)
        As that table writes it.
    *known : collection of (participant, visit, side)
        Cases as the study writes them; the first collection that contains it counts.

    Returns
    -------
    CaseId
        The case that is written so letter by letter; else the only one with the same numbers and, if UTF-8
        was taken for Windows-1252, the same letters; else what is written.

    Raises
    ------
    SettingError
        If it may be more than one.
    """
    for cases in known:
        if written in cases:
            return written
        rewritten = _as_numbers(written)
        may_be = [case for case in cases if _as_numbers(case) == rewritten]
        if len(may_be) > 1:
            candidates = " or ".join(in_words(case) for case in may_be)
            raise SettingError(
                f"{in_words(written)} may be {candidates}; write it as the study's table does."
            )
        if may_be:
            return may_be[0]
    return written


def alike(texts: Sequence[str]) -> dict[int, str]:
    """Find ids that differ from an earlier one by capitals, zeros, spaces or the form of a number only.

    Returns
    -------
    dict of int to str
        Index of a text, and the earlier text that it looks like; the first of each spelling only.
    """
    first: dict[str, str] = {}
    spelled: dict[str, set[str]] = defaultdict(set)
    found = {}
    for place, text in enumerate(texts):
        if not text:
            continue
        key = _plain(text)
        earlier = first.setdefault(key, text)
        if earlier != text and text not in spelled[key]:
            found[place] = earlier
        spelled[key].add(text)
    return found


def looks_rewritten(text: str) -> bool:
    """Whether an id looks as if a spreadsheet had made a date or a number with an exponent of it."""
    return _DATE.fullmatch(text) is not None or _EXPONENT.fullmatch(text) is not None


def _as_numbers(case_id: CaseId) -> tuple[float | str, ...]:
    numbers = [(number_of(text), text) for text in case_id]
    return tuple(_as_utf8(text) if number is None else number for number, text in numbers)


def _as_utf8(text: str) -> str:
    """Undo what a spreadsheet does that takes UTF-8 for Windows-1252: Müller for the letters of its bytes."""
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text


def _plain(text: str) -> str:
    number = number_of(text)
    if number is not None:
        return repr(number)
    folded = unicodedata.normalize("NFKC", text).casefold().lstrip("'")
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"\s+", "", folded))


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
    """Return the folder of a case's result, relative to the folder of results."""
    name = case_name(participant, visit, side)
    return Path(f"sub-{label_of(participant)}", f"ses-{label_of(visit)}", name)


def result_folders(results: Path) -> dict[tuple[str, str, str], Path]:
    """Find the results in a folder, by participant, visit and side."""
    found = {}
    for folder in results.glob("sub-*/ses-*/sub-*_femur"):
        with contextlib.suppress(SettingError, UnicodeDecodeError):  # not written by this program
            found[case_of(folder.name)] = folder
    return found


def case_of(name: str) -> tuple[str, str, str]:
    """Read participant, visit and side from the name of a case.

    Raises
    ------
    SettingError
        If it is not such a name.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise SettingError(f"'{name}' is not the name of a case, such as sub-P01_ses-12_hemi-R_femur.")
    side = next(side for side, letter in _HEMISPHERES.items() if letter == found[3])
    return text_of(found[1]), text_of(found[2]), side
