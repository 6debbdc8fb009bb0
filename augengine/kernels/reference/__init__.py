"""The torch executor: the readable definition, for any device and with gradients."""
