"""Runs one peer in the peers' own environment: ``python peer_worker.py METHOD IN.npz OUT.npz``.

In: points ``source`` and ``target``, ``source_triangles`` and ``target_triangles``, and ``modes`` of shape
where a method uses them. Out: where the source's points went, and the seconds of the processor, without
those for the import of the package. Every method works on points of unit variance, as its authors advise,
and by its authors' own settings.
"""

from __future__ import annotations

import importlib
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
    """biocpd, deformable, on all points, by its quick start: it stops after a few iterations."""
    return _biocpd(source, target, max_iterations=50)


def biocpd_at_rest(source, target, **_):
    """biocpd, deformable, by its quick start but for the tolerance: until it rests."""
    return _biocpd(source, target, max_iterations=500, tolerance=1e-6)


def biocpd_narrow(source, target, **_):
    """biocpd, deformable, until it rests, with a kernel narrow enough to reach the subjects."""
    return _biocpd(source, target, beta=0.5, num_eig=300, max_iterations=500, tolerance=1e-6)


def _biocpd(source, target, beta=2.0, num_eig=80, **rest):
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
        **rest,
    )
    return found.register()[0]


def biocpd_atlas(source, target, modes, **_):
    """biocpd, its registration of a shape model, in the pose that is given; free to move, it drifts away."""
    return _atlas(source, target, modes, optimize_similarity=False).register()[0]


def biocpd_any_pose(source, target, modes, **_):
    """biocpd, its search of the pose and its registration of a shape model."""
    from biocpd import PoseMarginalizedConfig

    found = PoseMarginalizedConfig(seed=0).initialize(source, target, *_principal(modes))
    atlas = _atlas(source, target, modes, optimize_similarity=True)
    begin = (found.coefficients, found.rotation, found.scale, found.translation)
    atlas.set_initial_state(*begin, world_units=True)
    return atlas.register()[0]


def _atlas(source, target, modes, optimize_similarity):
    from biocpd import AtlasRegistration

    vectors, variances = _principal(modes)
    return AtlasRegistration(
        X=target,
        Y=source,
        U=vectors,
        eigenvalues=variances,
        lambda_reg=0.1,
        normalize=True,
        use_kdtree=True,
        k=10,
        radius_mode=False,
        optimize_similarity=optimize_similarity,
        with_scale=True,
        w=0.02,
    )


def _principal(modes):
    """Unit vectors as columns, and variances, of modes of shape (k, n, 3) for one standard deviation each."""
    flat = modes.reshape(len(modes), -1).T
    variances = (flat**2).sum(axis=0)
    return flat / np.sqrt(variances), variances


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
    "biocpd deformable, until it rests": biocpd_at_rest,
    "biocpd deformable, narrow kernel": biocpd_narrow,
    "BCPD": bcpd_gaussian,
    "BCPD, geodesic kernel": bcpd_geodesic,
    "trimesh nricp_amberg": nricp_amberg,
    "biocpd atlas, our shape model": biocpd_atlas,
    "biocpd atlas, our shape model, any pose": biocpd_any_pose,
}
WITH_MODEL = ("biocpd atlas, our shape model", "biocpd atlas, our shape model, any pose")
ANY_POSE = WITH_MODEL[1:]
_PACKAGES = ("biocpd", "pycpd", "trimesh", "bcpd")


def _package(method):
    """Import what a method works with, so that its time is that of the work alone."""
    for name in _PACKAGES:
        if name in method.lower():
            importlib.import_module(name)


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
    rest = {name: whole[name] for name in ("source_triangles", "target_triangles")}
    if "modes" in whole:
        rest["modes"] = whole["modes"] / width
    _package(method)
    begun = time.process_time()
    moved = METHODS[method](source / width, target / width, **rest)
    seconds = time.process_time() - begun
    np.savez(result, points=np.asarray(moved, dtype=np.float64) * width + middle, seconds=seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
