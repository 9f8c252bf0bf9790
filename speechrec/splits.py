"""Which part a recording goes to: by the hash of its speaker, as Speech Commands does it."""

import hashlib
from collections import Counter
from collections.abc import Mapping

from speechrec.config import DataConfig, Part
from speechrec.recording import Recording, recording_name, segment_name


def group_of(item: Recording, config: DataConfig) -> str:
    """What is kept together when parts are made: a speaker, or else a single recording.

    All segments of a recording without a speaker stay together too, unless clips are to be split.
    """
    if config.split_by == "speaker":
        return item.speaker or recording_name(item.path)
    return f"{item.word}/{segment_name(item.path, item.offset_s)}"


def percentile(key: str) -> float:
    """0 to 100 from the SHA-1 of a name: `which_set` of Speech Commands (Warden 2018)."""
    most = 2**27 - 1
    # A file's name may be any bytes.
    digest = hashlib.sha1(key.encode(errors="surrogateescape")).hexdigest()
    return int(digest, 16) % (most + 1) * (100.0 / most)


class Splitter:
    """The part of each recording: the given one, or by the hash of its speaker.

    The hash makes a speaker's part independent of every other file. Only where a part would be
    left empty (a handful of speakers), the speakers whose hash lies nearest are moved there.
    """

    def __init__(self, config: DataConfig) -> None:
        self._config = config
        self._fixed: dict[str, Part] = {}

    def part(self, item: Recording) -> Part:
        if item.part is not None:
            return item.part
        return self.part_of_group(group_of(item, self._config))

    def part_of_group(self, group: str) -> Part:
        return self._fixed.get(group) or self._by_hash(group)

    def _by_hash(self, group: str) -> Part:
        value, config = percentile(group), self._config
        if value < config.validation_percent:
            return "validation"
        if value < config.validation_percent + config.testing_percent:
            return "testing"
        return "training"

    def keep(self, given: Mapping[str, Part]) -> None:
        """Speakers whose part is given keep it for recordings that come without one."""
        self._fixed.update(given)

    def fill_empty_parts(self, groups: set[str], filled: set[Part]) -> list[str]:
        """Give every part somebody, where there are groups enough; returns who was moved."""
        config = self._config
        middle = {
            "training": (100 + config.validation_percent + config.testing_percent) / 2,
            "validation": config.validation_percent / 2,
            "testing": config.validation_percent + config.testing_percent / 2,
        }
        wanted: list[Part] = ["training"]
        wanted += ["validation"] if config.validation_percent else []
        wanted += ["testing"] if config.testing_percent else []
        notes = []
        for part in wanted:
            counts = Counter(self.part_of_group(group) for group in groups)
            if counts[part] or part in filled:
                continue
            movable = [
                group for group in groups
                if group not in self._fixed and counts[self.part_of_group(group)] > 1
            ]  # fmt: skip
            if not movable:
                continue
            nearest = min(movable, key=lambda g: (abs(percentile(g) - middle[part]), g))
            self._fixed[nearest] = part
            notes.append(f"{nearest} was moved to the {part} part, which was empty")
        return notes
