"""Which files an input is read from: a header names others, a slice has a series, an image a JSON file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from .dicom_series import is_dicom
from .files import files_in
from .image_sidecar import sidecar_of

_HEADER_BYTES = 1 << 20
_METAIMAGE, _NRRD = (".mhd", ".mha"), (".nhdr", ".nrrd")
_PATTERN = re.compile(r"([^%]*%0?\d*d[^%]*?)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)(?:\s+\d+)?")


def files_of(path: str | Path) -> list[Path]:
    """List every file that is read when an input is read.

    Parameters
    ----------
    path : str or Path
        A file, a folder of DICOM files, or one DICOM slice, with which the series in its folder is read.

    Returns
    -------
    list of Path
        The file itself first; then the files that its header names (``.mhd``, ``.nhdr``), in their order, and
        the JSON file of the same name beside it, if there is one. Of DICOM every file of the folder
        and its subfolders that is not hidden, in the order of names: which belong to the series is known only
        by reading all. A file that a header names is listed even if it does not exist.
    """
    path = Path(path)
    if path.is_dir():
        return _visible(path)
    if is_dicom(path):
        return _visible(path.parent)
    name, files = path.name.lower(), [path]
    if name.endswith(_METAIMAGE):
        files += _metaimage_data(path)
    if name.endswith(_NRRD):
        files += _nrrd_data(path)
    sidecar = sidecar_of(path)
    return files if sidecar is None else [*files, sidecar]


def hash_of(path: str | Path) -> tuple[str, tuple[str, ...]]:
    """Hash every byte that is read of an input.

    Parameters
    ----------
    path : str or Path
        As `files_of` takes.

    Returns
    -------
    sha256 : str
        That of the file, if it is one; else of the files' names and contents in their order.
    covers : tuple of str
        Which files were hashed, where there are more than one; for DICOM their number.

    Raises
    ------
    OSError
        If a file does not exist or is unreadable.
    """
    path = Path(path)
    files = files_of(path)
    if files == [path]:
        return _hash(path).hexdigest(), ()
    folder = _folder_of(path)
    digest = hashlib.sha256()
    for file in files:
        digest.update(_relative(file, folder).encode())
        digest.update(_hash(file).digest())
    # Folders of DICOM files are often named after people, so that their number has to do.
    is_series = path.is_dir() or is_dicom(path)
    covers = (f"{len(files)} files of the folder",) if is_series else tuple(file.name for file in files)
    return digest.hexdigest(), covers


def stamp_of(path: str | Path) -> str:
    """Give a hash of names, sizes and times of all files that an input is read from.

    While it stays the same, so do their contents.

    Raises
    ------
    OSError
        If a file does not exist.
    """
    path = Path(path)
    folder, digest = _folder_of(path), hashlib.sha256()
    if not path.exists():
        path.stat()
    for file in files_of(path):
        found = file.stat()
        # The time of the last change of the inode stays, while that of the content is settable.
        parts = (_relative(file, folder), found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        digest.update(repr(parts).encode())
    return digest.hexdigest()


def _folder_of(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name


def _visible(folder: Path) -> list[Path]:
    return [file for file in files_in(folder) if not file.name.startswith(".")]


def _hash(path: Path) -> hashlib._Hash:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256")


def _metaimage_data(path: Path) -> Iterator[Path]:
    """Files that ``ElementDataFile`` names: one, a list of one a line, or a pattern with its range."""
    lines = iter(_header_lines(path, b"ElementDataFile"))
    for line in lines:
        key, _, value = line.partition("=")
        if key.strip() != "ElementDataFile":
            continue
        value = value.strip()
        if value.upper().startswith("LIST"):
            yield from (path.parent / name.strip() for name in lines if name.strip())
        elif value.upper() != "LOCAL":
            yield from _named(path.parent, value)
        return


def _nrrd_data(path: Path) -> Iterator[Path]:
    """Files that ``data file`` names: one, a list of one a line, or a pattern with its range."""
    lines = iter(_header_lines(path, b"data"))
    for line in lines:
        if not line.strip():
            return  # the data follow
        key, _, value = line.partition(":")
        if key.strip().lower().replace(" ", "") != "datafile":
            continue
        value = value.strip()
        if value.upper().startswith("LIST"):
            yield from (path.parent / name.strip() for name in lines if name.strip())
        else:
            yield from _named(path.parent, value)
        return


def _named(folder: Path, value: str) -> Iterator[Path]:
    """Files of ``name``, or of ``name%03d.raw first last step``."""
    found = _PATTERN.fullmatch(value)
    first, last, step = (int(number) for number in found.groups()[1:]) if found else (0, 0, 0)
    if step == 0:
        yield folder / value
        return
    stop = last + (1 if step > 0 else -1)
    yield from (folder / (found[1] % number) for number in range(first, stop, step))


def _header_lines(path: Path, key: bytes) -> list[str]:
    """The lines of a text header; none if the file lacks `key` in its beginning or is unreadable."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
    except OSError:
        return []
    if key not in head:
        return []
    return head.decode("utf-8", errors="replace").splitlines()
