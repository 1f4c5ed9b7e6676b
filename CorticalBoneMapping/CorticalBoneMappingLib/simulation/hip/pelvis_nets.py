"""The nets of balls (see `solids`) that the hip bone and the sacrum are made of.

Places are (lateral, anterior, superior) mm from the centre of the head of a right hip of 24 mm radius, with
the half thickness of the bone there. They were set by hand at the distances that are published between the
hip joint centre and the spines (Bell 1990, J Biomech 23:617: the joint lies 14 % of the distance of the
spines medial, 30 % distal and 22 % posterior of the anterior superior one), looked at beside the sections of
one segmented CT (TotalSegmentator's test case), and not fitted.
"""

from __future__ import annotations

import numpy as np

MIDLINE_MM = 88.0
"""From the centre of the head to the midline of the body."""

# Rows from the acetabular roof up to the crest, columns from the sacroiliac joint to the anterior spines.
_WING = [
    [(-16, -36, 40, 8), (-5, -18, 40, 14), (-1, 4, 42, 15.5), (7, 23, 42, 9.5), (14, 38, 40, 5.5)],
    [(-22, -48, 57, 8), (-8, -22, 60, 11.5), (5, 0, 62, 9.5), (14, 20, 62, 6.5), (21, 42, 57, 4.5)],
    [(-30, -66, 74, 7), (-15, -35, 78, 8), (8, -6, 80, 5), (22, 17, 79, 4), (29, 51, 73, 5)],
    [(-35, -76, 90, 7), (-20, -42, 96, 6), (12, -10, 97, 2.4), (31, 15, 96, 3.4), (35, 44, 88, 4.5)],
    [(-34, -72, 104, 6), (-16, -42, 113, 5), (16, -10, 117, 4.5), (40, 14, 111, 6.5), (38, 36, 98, 5)],
]
_POSTERIOR_INFERIOR_SPINE = [[(-22, -48, 57, 6.5), (-29, -64, 60, 4.5), (-32, -72, 68, 5)]]
# Above the socket, between the two columns.
_ROOF = [
    [(-16, -36, 40, 8), (-5, -18, 40, 14), (-1, 4, 42, 15.5), (7, 23, 42, 9)],
    [(-18, -36, 24, 8), (-10, -18, 30, 11), (-4, 4, 33, 12), (3, 25, 28, 8)],
]
_ANTERIOR_INFERIOR_SPINE = [[(15, 40, 42, 5), (11, 36, 32, 6.5), (2, 31, 20, 6.5), (-8, 30, 10, 6)]]
# Rows from the linea terminalis down the quadrilateral plate, columns from back to front.
_PLATE = [
    [(-21, -36, 30, 6.5), (-22, -16, 30, 7), (-24, 4, 24, 7), (-22, 21, 14, 9)],
    [(-28, -42, 10, 4.5), (-31, -20, 8, 3.6), (-33, 0, 6, 3.2), (-33, 19, 4, 6.5)],
    [(-27, -38, -12, 5), (-32, -18, -12, 3.8), (-35, -2, -13, 2.6), (-37, 12, -9, 3.4)],
]
# Rows down the posterior column to the tuberosity, columns from its posterior edge to the socket's wall.
_POSTERIOR_COLUMN = [
    [(-17, -39, 40, 6.5), (-8, -30, 37, 9), (-1, -24, 33, 9)],
    [(-25, -46, 23, 4), (-13, -37, 20, 8), (3, -29, 18, 6)],
    [(-33, -54, 7, 2.6), (-18, -41, 4, 8.5), (3, -31, 4, 5)],
    [(-25, -48, -9, 6.5), (-17, -40, -10, 10), (-7, -31, -9, 7)],
    [(-20, -52, -27, 9.5), (-19, -42, -27, 12), (-17, -32, -25, 9.5)],
    [(-20, -50, -46, 9.5), (-22, -40, -46, 10.5), (-25, -28, -44, 7.5)],
    [(-26, -39, -62, 8.5), (-30, -28, -64, 8), (-33, -17, -61, 6.5)],
]
_ISCHIAL_SPINE = [[(-25, -46, 12, 4), (-34, -56, 5, 2.4), (-38, -60, 2, 1.8)]]
_INFERIOR_RAMUS = [
    [(-30, -26, -64, 8), (-45, -6, -64, 4.4), (-58, 5, -58, 4.2), (-70, 13, -50, 4.4), (-79, 19, -43, 5)],
    [(-32, -18, -60, 7), (-44, -6, -57, 4.2), (-56, 5, -52, 4), (-68, 14, -45, 4.4), (-78, 21, -39, 5)],
]
# Rows: pecten, and the lower edge over the obturator groove; columns from the socket to the tubercle.
_SUPERIOR_RAMUS = [
    [(-20, 21, 13, 9.5), (-35, 26, 5, 6.5), (-52, 35, -4, 5.2), (-66, 43, -9, 6)],
    [(-25, 23, 0, 8), (-39, 25, -6, 5), (-53, 33, -12, 4.6), (-66, 38, -17, 6)],
]
_PUBIC_BODY = [
    [(-66, 43, -10, 6.2), (-68, 32, -26, 6), (-71, 18, -43, 5)],
    [(-80, 42, -15, 7), (-81, 30, -30, 7), (-81, 19, -42, 5.5)],
]
HIP_BONE = (
    _WING,
    _POSTERIOR_INFERIOR_SPINE,
    _ROOF,
    _ANTERIOR_INFERIOR_SPINE,
    _PLATE,
    _POSTERIOR_COLUMN,
    _ISCHIAL_SPINE,
    _INFERIOR_RAMUS,
    _SUPERIOR_RAMUS,
    _PUBIC_BODY,
)
# One half: rows of the segments, columns from the midline to the auricular surface.
SACRUM = (
    [
        [(-88, -42, 84, 16), (-70, -52, 82, 13), (-52, -62, 80, 10)],
        [(-88, -58, 62, 12), (-69, -64, 61, 11), (-50, -69, 61, 9)],
        [(-88, -72, 40, 9.5), (-72, -74, 41, 8), (-60, -75, 43, 6)],
        [(-88, -80, 18, 8), (-76, -80, 19, 6), (-66, -80, 21, 5)],
        [(-88, -82, 0, 7), (-80, -82, 0, 5), (-75, -82, 2, 4)],
    ],
)
