"""Speech without commands: which recordings, whose, and what a detector looks at in them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from speechrec.config import Part
from speechrec.errors import AudioError, DatasetError
from speechrec.event import Event
from speechrec.events import file_events
from speechrec.keyword_score import KeywordScore
from speechrec.listing import sound_files
from speechrec.recognizer import Recognizer
from speechrec.recording import Fault
from speechrec.speaker_pattern import SpeakerPattern
from speechrec.splits import percentile

# Rates of false alarms need hours of sound, so the parts that measure get half of the speakers.
_VALIDATION_BELOW, _TESTING_BELOW = 25.0, 50.0


@dataclass(frozen=True, slots=True)
class Negative:
    """A recording without commands; without a known speaker it is a speaker of its own."""

    path: Path
    speaker: str


def find_negatives(
    source: Path, *, part: Part | None = None, speaker_pattern: str = ""
) -> list[Negative]:
    """The sound files below a folder, or the one file.

    Args:
        part: only those of speakers who belong to it: by the SHA-1 of the speaker a quarter is for
            validation, a quarter for testing, the rest for training.
        speaker_pattern: regular expression whose group is the speaker, searched in a file's name;
            without it the speaker is what is before ``_nohash_``, or the whole name.

    Raises:
        DatasetError: there is none.
        ConfigError: the pattern is no regular expression, or has no group.
    """
    pattern = SpeakerPattern(speaker_pattern) if speaker_pattern else None
    files = [source] if source.is_file() else sound_files(source) if source.is_dir() else []
    found = [
        Negative(path, (pattern and pattern.speaker(path.name)) or _speaker(path.stem))
        for path in files
    ]
    chosen = [item for item in found if part is None or _part(item.speaker) == part]
    if not chosen:
        whose = f" by speakers of the {part} part" if part and files else ""
        cure = (
            f" among {len(files)} files: more speakers are needed, see --speaker-pattern and --part"
            if whose else ""
        )  # fmt: skip
        raise DatasetError(
            f"{source}: expected recordings without commands{whose}, found none{cure}"
        )
    return chosen


def _speaker(stem: str) -> str:
    """Of a file that is named as clips are, what is before its number; else the whole name."""
    return stem.partition("_nohash_")[0] or stem


def _part(speaker: str) -> Part:
    value = percentile(speaker)
    if value < _VALIDATION_BELOW:
        return "validation"
    return "testing" if value < _TESTING_BELOW else "training"


@dataclass(slots=True)
class Tally:
    """How much was heard, and what could not be read, or not to its end."""

    seconds: float = 0.0
    faults: list[Fault] = field(default_factory=list)


class ScoredEvent(NamedTuple):
    """An event with the command it is most like, and whether it could be reported as that."""

    speaker: str
    event: Event
    label: str
    confidence: float
    is_clear: bool


def scored_events(
    recognizer: Recognizer,
    negatives: Sequence[Negative],
    tally: Tally,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[ScoredEvent]:
    """All events of the recordings; ``tally`` is kept on the way.

    Raises:
        DatasetError: at the end, if nothing could be read.
    """
    score = KeywordScore(recognizer.labels)
    for done, item in enumerate(negatives, 1):
        before_s = tally.seconds
        try:
            for events, length_s in file_events(recognizer, item.path):
                tally.seconds += length_s
                for event in events:
                    said, clear = score(event.posteriors), score.is_clear(event.posteriors)
                    yield ScoredEvent(item.speaker, event, *said, clear)
        except AudioError as error:
            fault, used_s = Fault.of(str(item.path), error), tally.seconds - before_s
            used = f"; used up to {used_s:.1f} s" if used_s else ""
            tally.faults.append(replace(fault, message=fault.message + used))
        progress(done, len(negatives))
    if not tally.seconds:
        faults = tally.faults
        reason = f" (first reason: {faults[0].message})" if faults else ""
        raise DatasetError(f"expected sound without commands, none could be read{reason}")
