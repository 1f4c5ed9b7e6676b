"""What people hand in: many inputs, each with what is true, what is answered, and how that is judged.

Every module ``rows_*.py`` here gives a list ``INPUTS``; `__main__` asks them all and writes the page.
"""
