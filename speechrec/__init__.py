"""Spoken-command recognition from a folder of recordings, down to one file that runs anywhere."""

from importlib.metadata import version

__version__ = version("speechrec")
