"""Benchmarks beside the peers, on photographs, on one core.

    make bench                          all of it, in some minutes
    make bench-full                     larger batches, more rounds, more points
    python -m benchmarks --help         some rows, some peers
    python -m benchmarks.gpu            the GPU executor, on a CUDA card
    python -m pytest benchmarks         the sampler alone

One image's way is the order of the rooms: images (what is augmented) → workloads (the rows: policies on
images) → contenders (ours and every peer, as calls) → twins (pixels before numbers) → race (by turns) →
memory, files, growth, start (the regimes) → report and plots. What a policy is in another library stands
in augengine/demo/peers, a file for each. machine is what a result depends on.

Before a number is taken, our pixels are compared with torchvision's; on a difference there is no
number. Every contender's rounds are among ours, and a ratio is that of the two medians.
"""
