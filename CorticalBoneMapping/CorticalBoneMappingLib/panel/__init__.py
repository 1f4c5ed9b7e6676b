"""What Slicer's panel does besides drawing itself: a run in a child process, and sentences for the user.

Nothing here knows Slicer or Qt, so it is tested without them.
"""
