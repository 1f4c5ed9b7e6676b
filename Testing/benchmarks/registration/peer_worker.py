"""Runs one peer in the peers' own environment: ``python peer_worker.py METHOD IN.npz OUT.npz``.

In: points ``source`` and ``target``, ``source_triangles`` and ``target_triangles``. Out: where the source's
points went, and the seconds of the processor. Every method works on points of unit variance, as its authors
advise, and by its authors' own settings.
"""

from __future__ import annotations

import sys
import time

import numpy as np

_SAMPLES = 2000


def affine_cpd(source, target, **_):
    """pycpd, affine: on 2,000 points of each bone; the matrix is then applied to all."""
    from pycpd import AffineRegistration

    found = AffineRegistration(X=_sample(target), Y=_sample(source))
    found.register()
    return found.transform_point_cloud(source)


def deformable_cpd(source, target, **_):
    """pycpd, deformable: on 2,000 points of each bone; its own kernel then moves all."""
    from pycpd import DeformableRegistration

    sampled = _sample(source)
    found = DeformableRegistration(X=_sample(target), Y=sampled, alpha=2.0, beta=2.0)
    found.register()
    squared = ((source[:, None] - sampled) ** 2).sum(axis=2)
    return source + np.exp(squared / (-2.0 * 2.0**2)) @ found.W


def biocpd_quick_start(source, target, **_):
    """biocpd, deformable, on all points, by the settings of its quick start."""
    return _biocpd(source, target, beta=2.0, num_eig=80, max_iterations=50)


def biocpd_narrow(source, target, **_):
    """biocpd, deformable, on all points, with a kernel narrow enough to reach the subjects."""
    return _biocpd(source, target, beta=0.5, num_eig=300, max_iterations=150)


def _biocpd(source, target, beta, num_eig, max_iterations):
    from biocpd import DeformableRegistration

    found = DeformableRegistration(
        X=target,
        Y=source,
        alpha=2.0,
        beta=beta,
        low_rank=True,
        num_eig=num_eig,
        low_rank_method="pivoted_cholesky",
        use_kdtree=True,
        k=10,
        radius_mode=False,
        w=0.05,
        max_iterations=max_iterations,
    )
    return found.register()[0]


def bcpd_gaussian(source, target, source_triangles, **_):
    """BCPD as written for this benchmark, on 2,000 points of each bone."""
    from bcpd import bcpd

    sampled, fixed = _chosen(source), _chosen(target)
    return bcpd(
        source, target, source_triangles, sampled, fixed, width=2.0, stiffness=20.0, geodesic_share=0.0
    )


def bcpd_geodesic(source, target, source_triangles, **_):
    """BCPD as written for this benchmark, a fifth of its kernel along the surface."""
    from bcpd import bcpd

    sampled, fixed = _chosen(source), _chosen(target)
    return bcpd(
        source, target, source_triangles, sampled, fixed, width=2.0, stiffness=20.0, geodesic_share=0.2
    )


def nricp_amberg(source, target, source_triangles, target_triangles):
    """trimesh, nricp_amberg, on all points, by its default steps."""
    import trimesh

    moving = trimesh.Trimesh(source, source_triangles, process=False)
    fixed = trimesh.Trimesh(target, target_triangles, process=False)
    return trimesh.registration.nricp_amberg(moving, fixed)


METHODS = {
    "pycpd affine": affine_cpd,
    "pycpd deformable": deformable_cpd,
    "biocpd deformable": biocpd_quick_start,
    "biocpd deformable (narrow kernel)": biocpd_narrow,
    "BCPD": bcpd_gaussian,
    "BCPD, geodesic kernel": bcpd_geodesic,
    "trimesh nricp_amberg": nricp_amberg,
}


def _sample(points):
    return points[_chosen(points)]


def _chosen(points):
    return np.random.default_rng(0).permutation(len(points))[:_SAMPLES]


def main(method: str, given: str, result: str) -> None:
    """Run a method on the given arrays."""
    with np.load(given) as arrays:
        whole = dict(arrays)
    middle = whole["target"].mean(axis=0)
    width = (whole["target"] - middle).std()
    source, target = (whole[name] - middle for name in ("source", "target"))
    triangles = {name: whole[name] for name in ("source_triangles", "target_triangles")}
    begun = time.process_time()
    moved = METHODS[method](source / width, target / width, **triangles)
    seconds = time.process_time() - begun
    np.savez(result, points=np.asarray(moved, dtype=np.float64) * width + middle, seconds=seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
