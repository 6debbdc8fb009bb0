"""The GPU executor, in Triton. `lower` needs no device and no Triton; `executor` imports Triton."""
