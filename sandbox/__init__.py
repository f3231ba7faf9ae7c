"""A Lambda execution environment on this machine: the real protocols, real processes."""
