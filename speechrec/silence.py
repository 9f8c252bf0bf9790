"""Silence clips: stretches of the corpus' noise recordings, or of made noise, at many levels."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechrec.config import PARTS, SILENCE, DataConfig, Part
from speechrec.errors import AudioError
from speechrec.recording import Clip, Fault, Stretch
from speechrec.recordings import Corpus
from speechrec.sndfile import SoundInfo, read_info

# Levels of silence clips relative to the noise recording they are cut from.
_QUIETEST_DB, _LOUDEST_DB = -40.0, 0.0
# One training silence in this many is all but digital zeros, as from a muted microphone.
_MUTED_EVERY, _MUTED_DB = 20, -100.0
NOISE_COLOURS = ("white", "pink", "brown")


@dataclass(frozen=True, slots=True)
class Silence:
    """Noise recordings, each cut in time into one stretch for every part; none, and it is made.

    ``clip_s`` is how long a clip is, in seconds.
    """

    files: tuple[tuple[str, SoundInfo], ...]
    config: DataConfig
    clip_s: float

    def stretches(self, part: Part) -> list[Stretch]:
        """The stretches of this part that are long enough to cut a clip from."""
        return [
            Stretch(path, *bounds)
            for path, info in self.files
            if (bounds := self._stretch(info.duration_s, part))[1] - bounds[0] >= self.clip_s
        ]

    def clips(self, part: Part, count: int) -> Iterator[Clip]:
        """So many silence clips of a part, always the same ones."""
        if not count:
            return
        digest = hashlib.sha256(f"silence/{part}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        stretches = self.stretches(part)
        for index in range(count):
            gain_db = round(float(rng.uniform(_QUIETEST_DB, _LOUDEST_DB)), 1)
            if part == "training" and index % _MUTED_EVERY == 0:
                gain_db = _MUTED_DB
            if stretches:
                path, start, stop = stretches[index % len(stretches)]
                offset_s = round(float(rng.uniform(start, stop - self.clip_s)), 4)
                word = Path(path).stem
            else:
                path, word = "", NOISE_COLOURS[index % len(NOISE_COLOURS)]
                # Each part makes noise of its own.
                offset_s = float(PARTS.index(part) * 10_000_000 + index)
            yield Clip(path, SILENCE, word, "", part, offset_s, self.clip_s, gain_db)

    def _stretch(self, duration_s: float, part: Part) -> tuple[float, float]:
        """Validation, testing and training follow one another in time."""
        first = duration_s * self.config.validation_percent / 100
        second = first + duration_s * self.config.testing_percent / 100
        return {
            "validation": (0.0, first), "testing": (first, second), "training": (second, duration_s)
        }[part]  # fmt: skip


def find_noise(
    corpus: Corpus, config: DataConfig, clip_s: float
) -> tuple[Silence, list[Fault], list[str]]:
    """The noise that comes with a corpus, with what cannot be read and what should be said."""
    files, faults = [], []
    for path in corpus.noise_files():
        try:
            files.append((str(path), read_info(path)))
        except AudioError as error:
            faults.append(Fault.of(str(path), error))
    silence = Silence(tuple(files), config, clip_s)
    made = [part for part in PARTS if not silence.stretches(part)]
    if not config.silence_percent or not made:
        return silence, faults, []
    why = (
        f"what is in _background_noise_ leaves less than {clip_s:g} s for {' and '.join(made)}: "
        "there"
        if files
        else "there is no _background_noise_ folder:"
    )
    note = (
        f"{why} silence is made of synthetic noise, so figures for it say little about real rooms"
    )
    return silence, faults, [note]
