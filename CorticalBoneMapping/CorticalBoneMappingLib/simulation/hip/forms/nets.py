"""The nets of balls (see `solids`) that the hip bone and the sacrum are made of.

Places are (lateral, anterior, superior) mm from the centre of the head of a right hip of 24 mm radius, with
the half thickness of the bone there. They were set by hand at the distances that are published between the
hip joint centre and the spines (Bell 1990, J Biomech 23:617: the joint lies 14 % of the distance of the
spines medial, 30 % distal and 22 % posterior of the anterior superior one), looked at beside the sections of
one segmented CT (TotalSegmentator's test case), and not fitted.
"""

from __future__ import annotations

MIDLINE_MM = 88.0
"""From the centre of the head to the midline of the body."""

# Rows from the acetabular roof up to the crest, columns from the sacroiliac joint to the anterior spines.
_WING = [
    [(-14, -31, 40, 8), (-4, -17, 40, 14.5), (-1, 4, 42, 17.5), (9, 23, 42, 10.5), (15, 38, 40, 5.5)],
    [(-19, -44, 60, 7.5), (-5, -22, 61, 12), (8, 0, 63, 10), (17, 20, 62, 7), (23, 42, 58, 4.8)],
    [(-27, -65, 76, 7), (-10, -35, 79, 8.5), (13, -6, 81, 5), (27, 17, 80, 4.2), (32, 51, 75, 5.4)],
    [(-32, -77, 92, 7.2), (-15, -43, 97, 6.5), (16, -10, 98, 2.6), (36, 14, 98, 3.6), (38, 45, 90, 4.8)],
    [(-31, -74, 106, 6), (-11, -42, 114, 5.2), (20, -10, 119, 4.6), (44, 13, 113, 6.6), (41, 37, 101, 5.2)],
]
_POSTERIOR_INFERIOR_SPINE = [[(-20, -46, 60, 6.5), (-28, -63, 63, 5), (-31, -71, 70, 5.5)]]
# Above the socket, between the two columns.
_ROOF = [
    [(-14, -31, 40, 8), (-4, -17, 40, 14), (-1, 4, 42, 17), (9, 23, 42, 10)],
    [(-17, -33, 24, 9), (-5, -18, 29, 14), (1, 4, 32, 16), (5, 24, 30, 10)],
]
_ANTERIOR_INFERIOR_SPINE = [[(16, 39, 42, 5), (12, 36, 33, 6.5), (1, 30, 23, 7), (-11, 28, 12, 7.5)]]
# Rows from the linea terminalis down the quadrilateral plate, columns from back to front.
_PLATE = [
    [(-18, -33, 32, 8), (-18, -16, 33, 10), (-20, 4, 27, 9.5), (-20, 21, 16, 10)],
    [(-27, -41, 10, 4.5), (-30, -20, 9, 4.2), (-32, 0, 7, 3.6), (-32, 19, 4, 7.5)],
    [(-27, -38, -14, 5.5), (-32, -18, -17, 4), (-35, -2, -20, 2.9), (-37, 12, -15, 3.6)],
]
_LINEA_TERMINALIS = [[(-13, -28, 38, 8), (-12, -12, 39, 11), (-13, 6, 35, 10.5), (-15, 20, 24, 10)]]
_BEHIND_THE_FOSSA = [[(-18, -26, 28, 9), (-23, -29, 8, 7), (-24, -27, -8, 7), (-23, -31, -22, 7)]]
_BEFORE_THE_FOSSA = [[(-20, 22, 12, 9), (-27, 19, -2, 7.5), (-33, 17, -10, 4.5)]]
# Rows down the posterior column to the tuberosity, columns from its posterior edge to the socket's wall.
_POSTERIOR_COLUMN = [
    [(-15, -33, 38, 7), (-7, -28, 36, 9), (0, -22, 33, 10)],
    [(-24, -43, 22, 4.2), (-12, -36, 20, 8.5), (4, -28, 18, 7)],
    [(-31, -52, 6, 3.8), (-17, -41, 4, 8.5), (4, -30, 4, 6)],
    [(-25, -49, -9, 7), (-16, -41, -10, 10), (-5, -31, -9, 8)],
    [(-20, -52, -27, 10), (-18, -42, -27, 12.5), (-14, -33, -24, 10)],
    [(-20, -50, -46, 10), (-22, -40, -46, 11), (-25, -28, -44, 8)],
    [(-26, -39, -61, 8.5), (-30, -28, -63, 8), (-33, -17, -60, 6.5)],
]
_ISCHIAL_SPINE = [[(-24, -45, 10, 5), (-31, -53, 5, 4), (-36, -58, 1, 2.8)]]
_INFERIOR_RAMUS = [
    [(-30, -26, -63, 8), (-45, -6, -63, 4.6), (-58, 5, -57, 4.4), (-70, 13, -49, 4.6), (-79, 19, -43, 5.5)],
    [(-32, -18, -59, 7), (-44, -6, -56, 4.4), (-56, 5, -51, 4.2), (-68, 14, -44, 4.6), (-78, 21, -39, 5.5)],
]
# Rows: pecten, and the lower edge over the obturator groove; columns from the socket to the tubercle.
_SUPERIOR_RAMUS = [
    [(-19, 20, 14, 10), (-35, 26, 4, 7), (-52, 35, -6, 5.8), (-66, 42, -11, 6.8)],
    [(-25, 22, 1, 9), (-39, 25, -6, 6), (-53, 32, -14, 5.2), (-66, 36, -20, 7)],
]
_PUBIC_BODY = [
    [(-66, 41, -13, 7), (-68, 31, -28, 7), (-71, 18, -43, 5.5)],
    [(-80, 41, -16, 8.5), (-81, 30, -31, 8.5), (-81, 19, -42, 6.5)],
]
HIP_BONE = (
    _WING,
    _POSTERIOR_INFERIOR_SPINE,
    _ROOF,
    _ANTERIOR_INFERIOR_SPINE,
    _PLATE,
    _LINEA_TERMINALIS,
    _BEHIND_THE_FOSSA,
    _BEFORE_THE_FOSSA,
    _POSTERIOR_COLUMN,
    _ISCHIAL_SPINE,
    _INFERIOR_RAMUS,
    _SUPERIOR_RAMUS,
    _PUBIC_BODY,
)
# One half, its bodies and its ala: rows of the segments, columns from the midline to the auricular surface.
_BODIES = [
    [(-88, -42, 82, 14), (-77, -42, 82, 14)],
    [(-88, -58, 62, 11), (-78, -58, 62, 11)],
    [(-88, -71, 41, 8.5), (-81, -71, 41, 8.5)],
    [(-88, -79, 20, 7), (-82, -79, 20, 7)],
    [(-88, -81, 1, 6), (-83, -81, 1, 6)],
    [(-88, -75, -14, 5), (-87, -75, -14, 5)],
]
_ALA = [
    [(-80, -54, 84, 13), (-66, -58, 83, 12), (-50, -64, 80, 10)],
    [(-80, -66, 62, 11), (-66, -68, 62, 11), (-49, -71, 62, 9)],
    [(-80, -74, 41, 8), (-70, -76, 42, 8), (-59, -77, 44, 6)],
    [(-82, -80, 20, 6.5), (-75, -81, 20, 6), (-67, -81, 22, 5)],
    [(-83, -81, 1, 5.5), (-80, -81, 1, 5), (-77, -81, 3, 4.5)],
]
SACRUM = (_BODIES, _ALA)
