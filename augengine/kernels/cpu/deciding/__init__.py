"""The twins of deciding (`augengine.compiled`), as loops that numba compiles.

Each has the name of its definition, whose results it gives to the bit: no fast-math, and every operation is
one of IEEE 754 in the definition's order. `entries` says what is compiled, and for which types.
"""
