"""What Slicer's panel does besides drawing itself: a run in a child process, and sentences for the user.

The files named ``…_section``, ``…_choices`` and `choices`, `application`, `case_opening`, `desktop` and
`table_widget` know Slicer; the rest is tested without it.
"""
