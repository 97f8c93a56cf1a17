"""One file per kind of probe. Each observes and knows nothing else."""
