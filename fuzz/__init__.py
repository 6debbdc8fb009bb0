"""Fuzzing: generated policies, plans, images and files, of which none may end the process, hang, read or
write outside its memory, or leave a wrong picture behind.

    make fuzz                                   # some minutes
    make fuzz ARGS="--cases 100000 --seed 7"    # longer, and other cases
    python -m fuzz --case 7.42                  # one case, said in words and run alone

A case is a pure function of its name, `seed.number`, as long as this folder stays the same. What is
promised, and what was found, stands in docs/reliability.md.
"""
