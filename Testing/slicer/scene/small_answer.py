"""The answer of a made-up study on a ball, with every table that a real one has."""

from __future__ import annotations

import numpy as np
from slicer_scene import two_balls

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.study.analysis.answer_files import AnswerFiles
from CorticalBoneMappingLib.study.analysis.answer_tables import (
    ANSWER_COLUMNS,
    ATTRIBUTION_COLUMNS,
    CLUSTER_COLUMNS,
    GROUP_COLUMNS,
)

ARMS, VISITS = ("denosumab", "placebo"), ("0", "12", "36")


def small_answer() -> AnswerFiles:
    """Give an answer whose upper half is significant; the vertex means count up: 100 arm + visit."""
    ball = two_balls().average
    height = (ball.points[:, 2] / 25.0).astype(np.float32)
    groups, arrays = [], {}
    for arm in ARMS:
        for visit in VISITS:
            number = len(groups) + 1
            groups.append(row(GROUP_COLUMNS, group=number, arm=arm, visit=visit, n_rows=8, n_participants=8))
            arrays[f"group_{number}_mean"] = 100.0 * ARMS.index(arm) + float(visit) + height
            arrays[f"group_{number}_se"] = np.full_like(height, 2.0)
    surface = Surface(ball.points, ball.triangles).with_arrays(
        units={"effect_percent": "%", "effect": "mg/cm²", "thickness_percent": "%", "density_percent": "%"},
        effect=20.0 * height,
        effect_percent=10.0 * height,
        thickness_percent=6.0 * height,
        density_percent=4.0 * height,
        t=8.0 * height,
        p_corrected=np.where(height > 0, 0.01, 1.0).astype(np.float32),
        significant=(height > 0).astype(np.uint8),
        **arrays,
    )
    top = int(np.argmax(height))
    cluster = row(
        CLUSTER_COLUMNS, cluster=1, region_of_peak="neck superior", peak_vertex=top, p_corrected=0.01
    )
    region = row(ANSWER_COLUMNS, kind="region", name="neck superior", unit="mg/cm²", effect=12.5)
    region["percent_lower"] = float("nan")
    part = row(ATTRIBUTION_COLUMNS, region="neck superior", thickness_share=0.66)
    record = {"analysis": {"measure": "cortical_mass_surface_density"}, "notes": ["A note."]}
    return AnswerFiles(surface, [cluster], [region], [part], groups, record)


def row(columns, **values):
    """Give a row with a value in every column."""
    return {name: kind(values.get(name, 1)) for name, kind in columns.items()}
