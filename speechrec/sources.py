"""Long and live sound as mono float32 blocks at a wanted rate, in the same memory however long."""

from collections.abc import Iterator
from pathlib import Path

from speechrec.audio import read_audio
from speechrec.wav import Samples


def file_blocks(path: Path, *, sample_rate_hz: int) -> Iterator[Samples]:
    """Placeholder until the block reader is there."""
    yield read_audio(path, sample_rate_hz=sample_rate_hz)
