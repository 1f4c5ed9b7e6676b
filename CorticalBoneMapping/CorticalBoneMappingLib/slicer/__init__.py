"""The one room that imports Slicer or Qt: results as MRML nodes, and what the panels do."""
