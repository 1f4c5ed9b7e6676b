"""Many maps on one surface: what the models are fitted to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import StatisticsError
from ..core.surface import Surface
from .table import Table


@dataclass(frozen=True)
class Maps:
    """A value per row of a study and vertex of the average femur (or region, or column of a table).

    Attributes
    ----------
    values : ndarray of shape (n, v)
        float32 or float64; not-a-number where nothing was measured, be it a vertex or a whole visit.
    table : Table
        Of n rows: participant, visit, side, arm, covariates.
    measure : str
        Name of what is measured, as in `measures.MEASURES` or a column of the table.
    unit : str
        Its unit.
    surface : Surface, optional
        Of v vertices; none for regions and scalars.
    sd : ndarray of shape (n, v), optional
        The measurement's own standard deviations.
    labels : tuple of str
        Names of the v columns where they are regions or scalars, empty for vertices.
    """

    values: np.ndarray
    table: Table
    measure: str = ""
    unit: str = ""
    surface: Surface | None = None
    sd: np.ndarray | None = None
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) != len(self.table):
            raise StatisticsError(
                f"The values have shape {self.values.shape}, but the table has {len(self.table)} rows."
            )
        if np.any(np.isinf(self.values)):
            rows = np.flatnonzero(np.isinf(self.values).any(axis=1))
            raise StatisticsError(f"Infinite values in {self.table.describe_rows(rows)}; map these again.")
        if self.surface is not None and len(self.surface.points) != self.values.shape[1]:
            raise StatisticsError(
                f"The maps have {self.values.shape[1]} values each, but the surface has "
                f"{len(self.surface.points)} vertices; were they made on another average femur?"
            )

    @property
    def measured(self) -> np.ndarray:
        """Whether there is a value, shape (n, v)."""
        return np.isfinite(self.values)

    def take(self, rows: np.ndarray) -> Maps:
        """Give the maps of some rows, by indices or by a mask."""
        sd = None if self.sd is None else self.sd[rows]
        return replace(self, values=self.values[rows], table=self.table.take(rows), sd=sd)

    def region_means(self, regions: np.ndarray, names: dict[int, str]) -> Maps:
        """Average every map over regions, weighted by area.

        Parameters
        ----------
        regions : ndarray of int, shape (v,)
            Region of each vertex; one that `names` has not belongs to no region.
        names : dict of int to str
            The regions.

        Returns
        -------
        Maps
            A column per region, in the order of its number; vertices without a value do not weigh.
        """
        if self.surface is None:
            raise StatisticsError("Only maps on a surface can be averaged over regions.")
        numbers = sorted(names)
        inside = (regions[:, None] == np.array(numbers)) * self.surface.point_areas[:, None]
        area = self.measured.astype(np.float64) @ inside
        total = np.where(self.measured, self.values, 0.0).astype(np.float64) @ inside
        with np.errstate(invalid="ignore"):
            means = total / area
        labels = tuple(names[number] for number in numbers)
        return Maps(means, self.table, self.measure, self.unit, labels=labels)


def scalars(table: Table, names: list[str]) -> Maps:
    """Take numeric columns of a table as maps of as many values, so that endpoints use the same models.

    Parameters
    ----------
    table : Table
        Rows of the study.
    names : list of str
        Columns, e.g. areal bone density, turnover markers, mobility scores.

    Returns
    -------
    Maps
        Shape (n, number of names).

    Raises
    ------
    StatisticsError
        If a column does not hold numbers.
    """
    for name in names:
        if table.column(name).dtype.kind != "f":
            raise StatisticsError(f"Column '{name}' does not hold numbers only, so it has no mean.")
    return Maps(np.stack([table.column(name) for name in names], axis=1), table, labels=tuple(names))
