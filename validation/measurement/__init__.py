"""How far every method of the measurement is from the truth: ``python -m validation.measurement``.

Hips of known truth are scanned by two simulators that share no code with the measurement; the start surface
comes from a label map that is wrong as people's are. Everything costly is kept in a cache, each piece under
the hash of what it was made from, so a stopped run goes on where it was.
"""
