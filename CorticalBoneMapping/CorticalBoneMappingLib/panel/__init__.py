"""What Slicer's panel does besides drawing itself: a run in a child process, and sentences for the user.

`choices`, `application` and `result_section` know Slicer; the rest is tested without it.
"""
