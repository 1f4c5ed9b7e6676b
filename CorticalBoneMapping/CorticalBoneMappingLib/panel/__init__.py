"""What Slicer's panel does besides drawing itself: a run in a child process, and sentences for the user.

But for the words of its choices, which Slicer translates, nothing here knows Slicer or Qt, so that it is
tested without them.
"""
