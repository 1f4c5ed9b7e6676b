"""Find edges, peak and backgrounds of the cortex on each profile, before any fit."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from .profiles import Profiles


@dataclass(frozen=True)
class FeatureSettings:
    """Numbers of the first look at a profile; chosen by hand, not tuned."""

    surface_error_mm: float = 2.5  # a segmented surface is within this of the outer edge
    rise_window_mm: float = 0.75  # the outer edge is the greatest rise over twice this
    # Prefers the edge nearer to the surface: the back of a thin acetabulum often rises more than the femur.
    surface_sd_mm: float = 1.5
    drop: float = 0.25  # past the peak, this fraction of its height down is the inner flank, not noise
    rise_again: float = 0.2  # outside, a rise by this fraction of the peak's height is another bone
    outer_band_mm: tuple[float, float] = (1.5, 5.0)  # outside the edge: soft tissue
    inner_band_mm: tuple[float, float] = (1.0, 5.0)  # inside the flank: trabecular bone


FEATURES = FeatureSettings()


@dataclass(frozen=True)
class ProfileFeatures:
    """Features of the cortex on n profiles, in mm of depth and the unit of the profile.

    Attributes
    ----------
    outer_edge, inner_edge : ndarray of shape (n,)
        Half-maximum crossings; not-a-number where there is none.
    peak_depth, peak : ndarray of shape (n,)
        The peak between them.
    outside, inside : ndarray of shape (n,)
        Background outside and inside.
    outer_limit : ndarray of shape (n,)
        Where the tissue outside ends: beyond it the profile rises again, to another bone.
    """

    outer_edge: np.ndarray
    inner_edge: np.ndarray
    peak_depth: np.ndarray
    peak: np.ndarray
    outside: np.ndarray
    inside: np.ndarray
    outer_limit: np.ndarray

    def take(self, which: np.ndarray) -> ProfileFeatures:
        """Return the features of some points only."""
        return ProfileFeatures(*(getattr(self, item.name)[which] for item in fields(self)))

    def replaced(self, which: np.ndarray, others: ProfileFeatures) -> ProfileFeatures:
        """Return all features with those of some points (indices) replaced by `others`."""
        made = {item.name: getattr(self, item.name).copy() for item in fields(self)}
        for name, values in made.items():
            values[which] = getattr(others, name)
        return ProfileFeatures(**made)


def find_features(profiles: Profiles) -> ProfileFeatures:
    """Find edges, peak and backgrounds of every profile.

    Parameters
    ----------
    profiles : Profiles
        Of n points.

    Returns
    -------
    ProfileFeatures
    """
    depth, values = profiles.depth, profiles.values
    rows = np.arange(len(depth))
    rise = _steepest_rise(profiles)
    limit = _first_minimum_outward(profiles, rise)
    outside = _median_between(
        profiles,
        np.maximum(limit, rise - FEATURES.outer_band_mm[1]),
        np.minimum(rise - FEATURES.outer_band_mm[0], limit + 1.5),
    )
    outside = np.where(np.isfinite(outside), outside, _value_at(depth, values, limit))
    column, flank = _peak_and_flank(profiles, rise, outside)
    peak, peak_depth = values[rows, column], depth[rows, column]
    inside = _median_between(profiles, flank + FEATURES.inner_band_mm[0], flank + FEATURES.inner_band_mm[1])
    outer = _crossing(depth, values, column, 0.5 * (peak + outside), inward=False)
    inner = _crossing(depth, values, column, 0.5 * (peak + inside), inward=True)
    return ProfileFeatures(outer, inner, peak_depth, peak, outside, inside, limit)


def _steepest_rise(profiles: Profiles) -> np.ndarray:
    """Depth (n,) near the surface where the values rise most over a short window, nearer rises first."""
    depth, values = profiles.depth, profiles.values
    middle = np.linspace(-FEATURES.surface_error_mm, FEATURES.surface_error_mm, 21)
    rise = np.empty((len(middle), len(depth)))
    for row, offset in zip(rise, middle, strict=True):
        at = np.full(len(depth), offset)
        row[:] = _value_at(depth, values, at + FEATURES.rise_window_mm)
        row -= _value_at(depth, values, at - FEATURES.rise_window_mm)
    # Only the tops compete, so that nearness chooses between edges and moves none.
    beside = np.pad(rise, ((1, 1), (0, 0)), constant_values=-np.inf)
    top = (rise >= beside[:-2]) & (rise >= beside[2:])
    likely = np.exp(-0.5 * (middle / FEATURES.surface_sd_mm) ** 2)[:, None]
    return middle[np.argmax(np.where(top, rise * likely, -np.inf), axis=0)]


def _first_minimum_outward(profiles: Profiles, start: np.ndarray) -> np.ndarray:
    """Depth (n,) of the lowest value on the way out from `start`, before the profile rises again."""
    depth, values = profiles.depth[:, ::-1], profiles.values[:, ::-1]
    beyond = (depth < start[:, None]) & profiles.valid[:, ::-1]
    seen = np.where(beyond, values, np.inf)
    lowest = np.minimum.accumulate(seen, axis=1)
    top = np.max(np.where(np.abs(profiles.depth - start[:, None]) < 3.0, profiles.values, -np.inf), axis=1)
    with np.errstate(invalid="ignore"):
        risen = beyond & (values - lowest > FEATURES.rise_again * (top[:, None] - lowest))
    stopped = np.maximum.accumulate(risen, axis=1)
    column = np.argmin(np.where(stopped, np.inf, seen), axis=1)
    last = depth[:, -1]
    found = np.where(stopped.any(axis=1), depth[np.arange(len(depth)), column], last)
    return np.minimum(found, start - 0.5)


def _peak_and_flank(
    profiles: Profiles, start: np.ndarray, outside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Column (n,) of the first peak inward of `start`, and the depth (n,) where its inner flank is clear."""
    depth, values = profiles.depth, profiles.values
    inward = (depth >= start[:, None]) & profiles.valid
    seen = np.where(inward, values, -np.inf)
    highest = np.maximum.accumulate(seen, axis=1)
    with np.errstate(invalid="ignore"):
        dropped = inward & (highest - values > FEATURES.drop * (highest - outside[:, None]))
    stop = np.where(dropped.any(axis=1), np.argmax(dropped, axis=1), depth.shape[1] - 1)
    before = np.arange(depth.shape[1])[None, :] <= stop[:, None]
    column = np.argmax(np.where(before, seen, -np.inf), axis=1)
    return column, depth[np.arange(len(depth)), stop]


def _median_between(profiles: Profiles, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Median value (n,) of the samples with depth in [low, high]; not-a-number where there is none."""
    within = (profiles.depth >= low[:, None]) & (profiles.depth <= high[:, None]) & profiles.valid
    ordered = np.sort(np.where(within, profiles.values, np.inf), axis=1)
    count = within.sum(axis=1)
    rows = np.arange(len(ordered))
    lower, upper = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, ordered.shape[1] - 1)
    empty = count == 0
    median = np.full(len(ordered), np.nan)
    median[~empty] = 0.5 * (ordered[rows, lower][~empty] + ordered[rows, upper][~empty])
    return median


def _value_at(depth: np.ndarray, values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Linear interpolation of each row at its own depth `where` (n,)."""
    column = np.clip((depth < where[:, None]).sum(axis=1), 1, depth.shape[1] - 1)
    rows = np.arange(len(depth))
    low, high = depth[rows, column - 1], depth[rows, column]
    span = high - low
    fraction = np.where(span > 0, np.clip((where - low) / np.where(span > 0, span, 1.0), 0.0, 1.0), 0.0)
    return values[rows, column - 1] * (1.0 - fraction) + values[rows, column] * fraction


def _crossing(
    depth: np.ndarray, values: np.ndarray, peak: np.ndarray, level: np.ndarray, *, inward: bool
) -> np.ndarray:
    """Depth (n,) where the values fall through `level` on the way from the peak; not-a-number if never."""
    columns = np.arange(depth.shape[1])[None, :]
    beyond = columns > peak[:, None] if inward else columns < peak[:, None]
    below = beyond & (values < level[:, None])
    rows = np.arange(len(depth))
    if inward:
        after = np.argmax(below, axis=1)
        before = np.maximum(after - 1, 0)
    else:
        after = depth.shape[1] - 1 - np.argmax(below[:, ::-1], axis=1)
        before = np.minimum(after + 1, depth.shape[1] - 1)
    drop = values[rows, before] - values[rows, after]
    with np.errstate(invalid="ignore", divide="ignore"):
        fraction = np.where(drop > 0, (values[rows, before] - level) / np.where(drop > 0, drop, 1.0), 0.5)
    crossing = depth[rows, before] + np.clip(fraction, 0, 1) * (depth[rows, after] - depth[rows, before])
    return np.where(below.any(axis=1), crossing, np.nan)
