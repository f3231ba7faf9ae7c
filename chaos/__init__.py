"""Faults put into real environments, one by one and combined, and what they cost."""
