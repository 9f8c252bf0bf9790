"""Spoken-command recognition from a folder of recordings, down to one file that runs anywhere."""

__version__ = "0.1.0"
