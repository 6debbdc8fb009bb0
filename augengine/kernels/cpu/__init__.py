"""The CPU executor, in numba. `executor` is the way in; it imports numba when the first plan is drawn."""
