"""Ways to a policy: ready ones, and those of torchvision and timm read as ours."""
