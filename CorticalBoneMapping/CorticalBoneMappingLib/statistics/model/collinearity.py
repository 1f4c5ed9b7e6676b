"""Columns of a design that depend on each other, described in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import qr

from ..table import Table

_RANK_TOLERANCE = 1e-9
_INFLATION_LIMIT = 10.0  # variance inflation from which Belsley, Kuh, Welsch 1980 and most texts warn
_COUNTED = 1e-6


def explain_dependence(matrix: np.ndarray, columns: Sequence[str], table: Table) -> str:
    """Say which columns are combinations of others, and what to do; empty if none is.

    Parameters
    ----------
    matrix : ndarray of shape (n, p)
        Of the design.
    columns : sequence of str
        Its columns.
    table : Table
        Its n rows.

    Returns
    -------
    str
    """
    n, p = matrix.shape
    if n <= p:
        return (
            f"The design has {p} columns ({', '.join(columns)}) but only {n} rows, so nothing is left to "
            "estimate the spread from; leave terms out, or add rows."
        )
    length = np.linalg.norm(matrix, axis=0)
    for name, size in zip(columns, length):
        if size == 0:
            return (
                f"No row of the table has '{name}', so its effect is unknown; leave the interaction "
                "out, merge levels, or add such rows."
            )
    scaled = matrix / length
    _, r, order = qr(scaled, mode="economic", pivoting=True)
    rank = int(np.sum(np.abs(np.diag(r)) > _RANK_TOLERANCE * np.abs(r[0, 0])))
    if rank == p:
        return ""
    dependent = max(order[rank:])  # the later term is the one to question
    kept = [column for column in range(p) if column != dependent]
    weights = np.linalg.lstsq(scaled[:, kept], scaled[:, dependent], rcond=None)[0]
    # The shortest solution spreads over copies; those that weigh nothing take no part.
    partners = [columns[column] for column, weight in zip(kept, weights) if abs(weight) > _COUNTED]
    return _sentence(columns[dependent], partners, table)


def near_collinearity(matrix: np.ndarray, columns: Sequence[str]) -> list[str]:
    """Warn of columns whose effects are hardly separable (variance inflation above 10).

    Parameters
    ----------
    matrix : ndarray of shape (n, p)
        Of full rank, the first column constant.
    columns : sequence of str
        Its columns.

    Returns
    -------
    list of str
        A sentence per column. Products of terms are left out: they always resemble their factors.
    """
    if matrix.shape[1] < 3:
        return []
    correlation = np.corrcoef(matrix[:, 1:], rowvar=False)
    inflation = np.diag(np.linalg.inv(correlation))
    warnings = []
    for index, name in enumerate(columns[1:]):
        if inflation[index] > _INFLATION_LIMIT and " × " not in name:
            others = np.abs(correlation[index])
            others[index] = 0.0
            partner = int(np.argmax(others))
            warnings.append(
                f"'{name}' is hardly separable from the other columns, most of all from "
                f"'{columns[1 + partner]}' (correlation {correlation[index, partner]:.2f}): its standard "
                f"error is {np.sqrt(inflation[index]):.1f} times what it would be alone."
            )
    return warnings


def _sentence(name: str, partners: list[str], table: Table) -> str:
    if partners == ["intercept"]:
        return f"'{name}' is the same in all {len(table)} rows, so it has no effect to find; leave it out."
    others = " and ".join([", ".join(f"'{p}'" for p in partners[:-1]), f"'{partners[-1]}'"]).removeprefix(
        " and "
    )
    if len([p for p in partners if p != "intercept"]) == 1:
        partner = next(p for p in partners if p != "intercept")
        return (
            f"'{name}' and '{partner}' are equal in every one of the {len(table)} rows, so their effects "
            "are not separable; leave one of them out, or add rows in which they differ."
        )
    return (
        f"'{name}' follows from {others} in every one of the {len(table)} rows, so their effects are not "
        "separable; leave one of them out, merge levels, or add rows that break the tie."
    )
