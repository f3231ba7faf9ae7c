"""Collectors in front of a fleet: configurations, and the program that they are for.

`docs/fleet.md` says which files go together. ``python -m deploy.gateway FILE`` builds the
program from `builder.yaml`.
"""
