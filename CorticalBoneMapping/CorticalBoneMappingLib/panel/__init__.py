"""What Slicer's panel does besides drawing itself: a run in a child process, and sentences for the user.

Only `choices` (translation) and `application` know Slicer; the rest is tested without it.
"""
