"""False alarms become training data: what is taken for a command in speech without any.

The clips go into a word folder of the recordings, such as ``_mined_``. Being no keyword, they are
unknown words to the next `extract` and `train`: hard negative mining (Sung & Poggio 1998).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from speechrec.errors import AudioError, DatasetError
from speechrec.events import Event
from speechrec.files import new_folder
from speechrec.negatives import Negative, check_heard, file_events
from speechrec.recognizer import Recognizer
from speechrec.recording import Fault


@dataclass(frozen=True, slots=True)
class Mined:
    """What was found: clips by the command they were likest to, in so many seconds of sound."""

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
        least: posterior of the likeliest command from which on a clip is worth learning from; 0
            takes everything the detector looks at.

    Raises:
        DatasetError: there is something in ``out`` already, or nothing could be read.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out}: expected a new or empty folder; name another with --out")
    columns = [recognizer.labels.index(label) for label in recognizer.keywords]
    rate = recognizer.config.sample_rate_hz
    taken, written, faults, seconds = Counter[str](), Counter[str](), list[Fault](), 0.0
    with new_folder(out) as folder:
        for done, item in enumerate(negatives, 1):
            try:
                for events, length_s in file_events(recognizer, item.path):
                    seconds += length_s
                    for event in events:
                        likest = max(columns, key=event.posteriors.__getitem__)
                        if event.posteriors[likest] >= least:
                            name = f"{item.speaker}_nohash_{written[item.speaker]}.wav"
                            _write(folder / name, event, rate)
                            written[item.speaker] += 1
                            taken[recognizer.labels[likest]] += 1
            except AudioError as error:
                faults.append(Fault.of(str(item.path), error))
            progress(done, len(negatives))
        check_heard(seconds, faults)
    return Mined(dict(taken), seconds, tuple(faults))


def _write(path: Path, event: Event, rate_hz: int) -> None:
    pcm = np.round(np.clip(event.clip, -1, 1) * 32767).astype(np.int16)
    soundfile.write(path, pcm, rate_hz, format="WAV")
