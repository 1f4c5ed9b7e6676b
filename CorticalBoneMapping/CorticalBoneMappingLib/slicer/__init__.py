"""The only room that imports Slicer and Qt: results as MRML nodes, and the panels of the two modules."""
