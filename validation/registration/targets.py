"""What was asked of the registration, and whether this run met it."""

from __future__ import annotations

import numpy as np

from .errors import MIDDLE
from .pairs import pooled
from .peer_worker import ANY_POSE
from .real import TOGETHER
from .run import Results
from .tables import table

_UNTOLD = "–"


def targets(results: Results) -> str:
    """One row a target: what is asked, what was found, and whether it is met."""
    rows = [*_simulated(results), *_peers(results), *_times(results), *_real(results), *_spots(results)]
    return table(["asked", "found", "met"], [[asked, found, _word(met)] for asked, found, met in rows])


def _word(met: bool | None) -> str:
    return _UNTOLD if met is None else ("yes" if met else "**no**")


def _simulated(results: Results) -> list[tuple[str, str, bool]]:
    rows = []
    averaged = pooled([errors for errors, _ in results.averaged])
    for name, errors in (("average on subject", averaged), ("subject to subject", pooled(results.crossed))):
        mean, high, middle = errors.mean(), errors.high(), errors.mean(MIDDLE)
        rows += [
            (f"{name}: mean error ≤ 1.0 mm", f"{mean:.2f} mm", mean <= 1.0),
            (f"{name}: 95th percentile ≤ 3.0 mm", f"{high:.2f} mm", high <= 3.0),
            (f"{name}: neck, trochanters, metaphysis ≤ 0.7 mm", f"{middle:.2f} mm", middle <= 0.7),
        ]
    off = float(averaged.off_surface[averaged.counted].mean())
    from_bone = float(
        np.mean([registered_template.off_template_mm for _, registered_template in results.averaged])
    )
    return [
        *rows,
        ("no folded triangles", str(averaged.folded), averaged.folded == 0),
        ("surface distance ≤ 0.1 mm", f"{off:.3f} mm to, {from_bone:.3f} from", max(off, from_bone) <= 0.1),
    ]


def _peers(results: Results) -> list[tuple[str, str, bool | None]]:
    if not results.peers:
        return [("lower error than each peer", _UNTOLD, None), ("in less time than each", _UNTOLD, None)]
    count = len(results.direct)
    same_pose = {name: found for name, found in results.peers.items() if name not in ANY_POSE}
    any_pose = {name: found for name, found in results.peers.items() if name in ANY_POSE}
    rows = []
    for job, ours, peers in (
        ("from the same pose", results.started, same_pose),
        ("from any pose", results.averaged[:count], any_pose),
    ):
        error = pooled([errors for errors, _ in ours]).mean()
        best = {name: min(_peer_means(found)) for name, found in peers.items()}
        nearest = min(best, key=best.get)
        found = f"{error:.2f} mm; best peer {nearest}, {best[nearest]:.2f} mm"
        rows.append((f"lower error than each peer, {job}", found, error < best[nearest]))
        rows.append(
            _time_row(
                job,
                float(np.mean([registered_template.seconds for _, registered_template in ours])),
                peers,
                best,
            )
        )
    return rows


def _time_row(
    job: str, time: float, peers: dict[str, list], best: dict[str, float]
) -> tuple[str, str, bool | None]:
    seconds = {name: float(np.mean([each[2] for each in found])) for name, found in peers.items()}
    quicker = [
        f"{name} ({seconds[name]:.2f} s, {best[name]:.2f} mm)" for name in peers if seconds[name] <= time
    ]
    rivals = (
        f"; quicker: {', '.join(quicker)}" if quicker else f"; quickest peer {min(seconds.values()):.2f} s"
    )
    return (f"in less time than each, {job}", f"{time:.2f} s{rivals}", not quicker)


def _peer_means(found: list) -> list[float]:
    return [pooled([each[way] for each in found]).mean() for way in (0, 1)]


def _times(results: Results) -> list[tuple[str, str, bool]]:
    usual = max(registered_template.seconds for _, registered_template in results.averaged)
    dense = max(results.dense_seconds)
    return [
        ("8,000 vertices ≤ 5 s on one core", f"at most {usual:.2f} s", usual <= 5.0),
        ("20,000 vertices ≤ 10 s on one core", f"at most {dense:.2f} s", dense <= 10.0),
    ]


def _real(results: Results) -> list[tuple[str, str, bool | None]]:
    if not results.fits:
        return [("real femurs", "not here", None)]
    fits = results.fits.values()
    similarity, model = max(fit.similarity for fit in fits), max(fit.shape_model for fit in fits)
    reached = max(max(fit.to_bone, fit.from_bone) for fit in fits)
    together = min(found[TOGETHER] for found in results.dices.values())
    each = [
        (value, f"{person}, {region}")
        for person, found in results.dices.items()
        for region, value in found.items()
        if region != TOGETHER
    ]
    strangers = [one for one in results.deformed.values() if not one.among_people]
    deformed = []
    if strangers:
        errors, parts = (
            np.concatenate([getattr(one, name) for one in strangers]) for name in ("distance", "part")
        )
        mean, middle = errors.mean(), errors[parts == MIDDLE].mean()
        text = "real femurs not in the average, deformed by known maps"
        deformed = [
            (f"{text}: mean error ≤ 0.6 mm", f"{mean:.2f} mm", mean <= 0.6),
            ("the same: neck, trochanters, metaphysis ≤ 0.5 mm", f"{middle:.2f} mm", middle <= 0.5),
        ]
    angles = [
        abs(
            results.fits[f"{person}, left"].neck_shaft_angle_deg
            - results.fits[f"{person}, right"].neck_shaft_angle_deg
        )
        for person in results.dices
    ]
    return [
        ("real femurs, any pose: surface distance ≤ 0.3 mm", f"at most {reached:.3f} mm", reached <= 0.3),
        *deformed,
        ("average after similarity ≤ 2.5 mm", f"at most {similarity:.2f} mm", similarity <= 2.5),
        ("shape model ≤ 1.5 mm", f"at most {model:.2f} mm", model <= 1.5),
        (
            "left and right: Dice of the regions' labels ≥ 0.9, all regions together",
            f"at least {together:.2f}",
            together >= 0.9,
        ),
        (
            "the same, region by region",
            f"mean {np.mean([value for value, _ in each]):.2f}, lowest {min(each)[0]:.2f} ({min(each)[1]})",
            min(each)[0] >= 0.9,
        ),
        ("left and right: neck–shaft angle within 3°", f"at most {max(angles):.1f}°", max(angles) <= 3.0),
    ]


def _spots(results: Results) -> list[tuple[str, str, bool]]:
    place, (depth, _) = min(results.spots.items(), key=lambda item: item[1][0])
    return [("a 10 mm spot loses < 10 % of its depth", f"at most {1 - depth:.1%} ({place})", depth > 0.9)]
