"""From a policy and images to batches: the engine, a DataLoader's collates, a loader of drawn batches."""
