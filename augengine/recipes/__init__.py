"""Ways to a policy: `presets` are ready; pipelines of torchvision and timm's strings are read as ours."""
