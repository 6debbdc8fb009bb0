"""Benchmarks beside the peers, on photographs, on one core.

    make bench                          all of it, twice: with the ordinary heap and a reused one
    python -m pytest benchmarks         once, with the heap of this process
    python -m pytest benchmarks -k albumentations --rounds 5
    python -m benchmarks.gpu            the GPU executor, on a CUDA card

Before a number is taken, our pixels are compared with torchvision's; on a difference there is no
number. Each round of a peer is preceded by a round of ours, and a ratio is that of the two medians.
"""
