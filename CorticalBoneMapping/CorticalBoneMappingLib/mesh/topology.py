"""How triangles hang together: closedness, pieces, handles; refinement and edge flips that keep them."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components


def edges_of(triangles: np.ndarray) -> np.ndarray:
    """Give each edge once.

    Parameters
    ----------
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices.

    Returns
    -------
    ndarray of shape (n_edges, 2)
        Sorted pairs of vertices, in order.
    """
    return _ends(np.unique(_edge_keys(triangles)))


def adjacency(edges: np.ndarray, n_points: int) -> csr_array:
    """Give the neighbours of each vertex, one edge away.

    Parameters
    ----------
    edges : ndarray of shape (n_edges, 2)
        Each once; see `edges_of`.
    n_points : int
        Number of vertices.

    Returns
    -------
    sparse array of shape (n_points, n_points)
        Symmetric, of ones; its diagonal is empty.
    """
    ends = np.concatenate([edges, edges[:, ::-1]])
    return csr_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n_points, n_points))


def euler_characteristic(triangles: np.ndarray) -> int:
    """Vertices − edges + triangles of a closed mesh: 2 for a ball, 2 less for each handle.

    Parameters
    ----------
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices; vertices without a triangle do not count.

    Returns
    -------
    int

    Examples
    --------
    >>> euler_characteristic(np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
    2
    """
    n_edges = len(np.unique(_edge_keys(triangles)))
    return len(np.unique(triangles)) - n_edges + len(triangles)


def pieces(triangles: np.ndarray, n_points: int) -> np.ndarray:
    """Number the connected pieces of a mesh.

    Parameters
    ----------
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices.
    n_points : int
        Number of vertices.

    Returns
    -------
    ndarray of shape (n_points,)
        Piece of each vertex, from 0; a vertex without a triangle is a piece of its own.
    """
    ends = triangles[:, [0, 1, 1, 2]].reshape(-1, 2)
    return connected(ends[:, 0], ends[:, 1], n_points)


def connected(one: np.ndarray, other: np.ndarray, n: int) -> np.ndarray:
    """Number the connected pieces of a graph.

    Parameters
    ----------
    one, other : ndarray of int, shape (n_links,)
        Ends of each link.
    n : int
        Number of nodes.

    Returns
    -------
    ndarray of int, shape (n,)
        Piece of each node, from 0.
    """
    # Before SciPy 1.15 the graph routines fail with 64-bit indices, in some versions without an exception.
    ends = np.asarray(one, dtype=np.int32), np.asarray(other, dtype=np.int32)
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), (n, n)).tocsr()
    return connected_components(graph, directed=False)[1]


def defects(triangles: np.ndarray, n_points: int) -> np.ndarray:
    """Find the vertices at which a mesh is not a closed, consistently turned 2-manifold.

    Parameters
    ----------
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices.
    n_points : int
        Number of vertices.

    Returns
    -------
    ndarray of shape (n_defects,)
        Indices of vertices with no triangle, at an edge that does not have one triangle on each side,
        or around which the triangles form more than one fan. Empty for a closed manifold.
    """
    start, stop = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    forward, backward = start * n_points + stop, stop * n_points + start
    if not len(start):
        return np.arange(n_points)
    known, first, which, count = np.unique(
        forward, return_index=True, return_inverse=True, return_counts=True
    )
    place = np.minimum(np.searchsorted(known, backward), len(known) - 1)
    partner = first[place]
    bad_edge = (known[place] != backward) | (count[place] > 1) | (count[which] > 1)
    # Corners of one vertex are joined where their triangles share an edge: half-edge h starts at corner
    # h, and its partner's following corner is the same vertex.
    following = 3 * (partner // 3) + (partner + 1) % 3
    joined = np.flatnonzero(~bad_edge)
    fan = connected(joined, following[joined], len(start))
    fan_vertex = start[np.unique(fan, return_index=True)[1]]
    fans = np.bincount(fan_vertex, minlength=n_points)
    at_bad_edge = np.concatenate([start[bad_edge], stop[bad_edge]])
    return np.union1d(np.flatnonzero(fans != 1), at_bad_edge)


def refine(points: np.ndarray, triangles: np.ndarray, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """Halve edges until none is longer than a limit; the shape stays exactly the same.

    Parameters
    ----------
    points : ndarray of shape (n_points, 3)
        Positions.
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices.
    longest : float
        Limit of the edge length, in the unit of the points.

    Returns
    -------
    points : ndarray of shape (n_new_points, 3)
        The old points come first.
    triangles : ndarray of shape (n_new_triangles, 3)
    """
    while True:
        keys, edge_of = np.unique(_edge_keys(triangles), return_inverse=True)
        first, second = _ends(keys).T
        is_long = np.linalg.norm(points[first] - points[second], axis=1) > longest
        if not is_long.any():
            return points, triangles
        middle = np.where(is_long, len(points) + np.cumsum(is_long) - 1, -1)
        points = np.concatenate([points, 0.5 * (points[first[is_long]] + points[second[is_long]])])
        triangles = _split(points, triangles, middle[edge_of.reshape(-1, 3)])


def _edge_keys(triangles: np.ndarray) -> np.ndarray:
    """One integer for each side (0–1, 1–2, 2–0) of each triangle, the same from both triangles."""
    start, stop = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    return (np.minimum(start, stop) << 32) | np.maximum(start, stop)


def _ends(keys: np.ndarray) -> np.ndarray:
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1)


def _split(points: np.ndarray, triangles: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Cut each triangle at the middles of its sides (−1: none), in two, three or four."""
    count = (middle >= 0).sum(axis=1)
    # Turn each triangle so that the one cut side, or the one uncut side after two cut ones, is known.
    turn = np.where(count == 2, np.argmin(middle, axis=1) + 1, np.argmax(middle, axis=1)) % 3
    columns = (turn[:, None] + np.arange(3)) % 3
    a, b, c = np.take_along_axis(triangles, columns, axis=1).T
    ab, bc, ca = np.take_along_axis(middle, columns, axis=1).T
    one, two, three = count == 1, count == 2, count == 3
    across = np.linalg.norm(points[a] - points[bc], axis=1) < np.linalg.norm(points[ab] - points[c], axis=1)
    parts = [
        (count == 0, (a, b, c)),
        (one, (a, ab, c)),
        (one, (ab, b, c)),
        (two | three, (ab, b, bc)),
        (two & across, (a, ab, bc)),
        (two & across, (a, bc, c)),
        (two & ~across, (a, ab, c)),
        (two & ~across, (ab, bc, c)),
        (three, (a, ab, ca)),
        (three, (ca, bc, c)),
        (three, (ab, bc, ca)),
    ]
    return np.concatenate([np.stack(corners, axis=1)[chosen] for chosen, corners in parts])


def flip_to_delaunay(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, int]:
    """Flip, once over the mesh, edges whose two opposite angles sum to more than 180°.

    Only flips that do not touch each other are made, and none that would make an edge that is there
    already, a vertex with fewer than three triangles, or a fold; so a closed manifold stays one.

    Parameters
    ----------
    points : ndarray of shape (n_points, 3)
        Positions.
    triangles : ndarray of shape (n_triangles, 3)
        A closed manifold.

    Returns
    -------
    triangles : ndarray of shape (n_triangles, 3)
    n_flips : int
        Number of edges flipped.
    """
    keys = _edge_keys(triangles)
    order = np.argsort(keys, kind="stable").reshape(-1, 2)
    left, right = order.T
    a, c = triangles.ravel()[left], _opposite(triangles, left)
    b, d = triangles.ravel()[right], _opposite(triangles, right)
    excess = _angle(points, c, a, b) + _angle(points, d, b, a) - np.pi
    valence = np.bincount(triangles.ravel())
    new_key = (np.minimum(c, d) << 32) | np.maximum(c, d)
    known = keys[order[:, 0]]
    exists = known[np.minimum(np.searchsorted(known, new_key), len(known) - 1)] == new_key
    wanted = np.flatnonzero((excess > 1e-6) & ~exists & _unfolded(points, a, b, c, d))
    # Ranks, not angles: on a regular mesh many are equal, and each triangle may take part in one flip only.
    rank = np.empty(len(wanted), dtype=np.int64)
    rank[np.argsort(excess[wanted], kind="stable")] = np.arange(1, len(wanted) + 1)
    best = np.zeros(len(triangles), dtype=np.int64)
    np.maximum.at(best, left[wanted] // 3, rank)
    np.maximum.at(best, right[wanted] // 3, rank)
    chosen = wanted[(rank == best[left[wanted] // 3]) & (rank == best[right[wanted] // 3])]
    chosen = chosen[np.unique(new_key[chosen], return_index=True)[1]]
    lost = np.bincount(np.concatenate([a[chosen], b[chosen]]), minlength=len(valence))
    chosen = chosen[np.minimum((valence - lost)[a[chosen]], (valence - lost)[b[chosen]]) >= 3]
    flipped = triangles.copy()
    flipped[left[chosen] // 3] = np.stack([c, a, d], axis=1)[chosen]
    flipped[right[chosen] // 3] = np.stack([d, b, c], axis=1)[chosen]
    return flipped, len(chosen)


def _opposite(triangles: np.ndarray, half_edge: np.ndarray) -> np.ndarray:
    return triangles[half_edge // 3, (half_edge + 2) % 3]


def _angle(points: np.ndarray, tip: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    u, v = points[one] - points[tip], points[other] - points[tip]
    return np.arctan2(np.linalg.norm(np.cross(u, v), axis=1), np.einsum("ij,ij->i", u, v))


def _unfolded(points: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Whether the two triangles made by flipping edge ab to cd look the way the old ones did."""
    pa, pb, pc, pd = points[a], points[b], points[c], points[d]
    old = np.cross(pb - pa, pc - pa) + np.cross(pa - pb, pd - pb)
    first, second = np.cross(pa - pc, pd - pc), np.cross(pb - pd, pc - pd)
    return (np.einsum("ij,ij->i", old, first) > 0) & (np.einsum("ij,ij->i", old, second) > 0)
