"""False alarms become training data: what is taken for a command in speech without any.

The clips are unknown words to the next `extract --unknown` and `train`: hard negative mining
(Sung & Poggio 1998).
"""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from speechrec.files import new_folder, refuse_content
from speechrec.negatives import Negative, Tally, scored_events
from speechrec.recognizer import Recognizer
from speechrec.recording import Fault
from speechrec.sndfile import write_wav

# Bytes; a name on a disk may have 255.
_LONGEST_SPEAKER = 200


@dataclass(frozen=True, slots=True)
class Mined:
    """What was found: clips by the command they were most like, in so many seconds of sound."""

    clips: dict[str, int]
    seconds: float
    faults: tuple[Fault, ...]


def mine(
    recognizer: Recognizer,
    negatives: Sequence[Negative],
    out: Path,
    *,
    least: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Mined:
    """Write every second that is like a command as a clip, as the network was asked about it.

    Args:
        out: folder for ``<speaker>_nohash_<n>.wav``; must not exist yet, or be empty.
        least: confidence of the most likely command from which on a clip is worth learning from; 0
            takes everything the detector looks at.

    Raises:
        DatasetError: there is something in ``out`` already, or nothing could be read.
    """
    refuse_content(out)
    taken, written, tally = Counter[str](), Counter[str](), Tally()
    with new_folder(out) as folder:
        for found in scored_events(recognizer, negatives, tally, progress=progress):
            if found.confidence >= least:
                speaker = _short(found.speaker)
                # Some disks take names that differ in case for the same.
                of_speaker = speaker.casefold()
                name = f"{speaker}_nohash_{written[of_speaker]}.wav"
                write_wav(folder / name, found.event.clip, recognizer.config.sample_rate_hz)
                written[of_speaker] += 1
                taken[found.label] += 1
    return Mined(dict(taken), tally.seconds, tuple(tally.faults))


def _short(speaker: str) -> str:
    """The speaker, or its beginning and a checksum where the clip's name would get too long.

    Files whose names begin with a dot are hidden, also from `extract`.
    """
    if speaker.startswith("."):
        speaker = "_" + speaker[1:]
    encoded = speaker.encode()
    if len(encoded) <= _LONGEST_SPEAKER:
        return speaker
    return f"{encoded[:_LONGEST_SPEAKER].decode(errors='ignore')}-{zlib.crc32(encoded):08x}"
