"""From files to batches, timed beside other libraries: `augengine bench`."""
