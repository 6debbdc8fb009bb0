"""What lies beside the pixels, boxes and masks say: moved by a plan's own geometry and layers."""
