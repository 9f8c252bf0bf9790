"""Find recordings with their words, speakers and given parts, in any of the known layouts.

Listings are generators in a fixed order, so that a corpus of any size costs no memory to walk.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from speechrec import manifest
from speechrec.config import UNKNOWN, Part
from speechrec.errors import DatasetError
from speechrec.listing import files_below, is_folder, is_sound, scan, sound_files
from speechrec.recording import Fault, Recording, composed, is_utf8, printable
from speechrec.speaker_pattern import SpeakerPattern

NOISE_FOLDER = "_background_noise_"
SPEECH_COMMANDS_WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
_LISTS: tuple[tuple[str, Part], ...] = (
    ("validation_list.txt", "validation"),
    ("testing_list.txt", "testing"),
)


class Corpus:
    """A folder or manifest of recordings.

    Args:
        source: a folder of word folders (Speech Commands or plain), a flat folder together with a
            pattern that has a group ``word``, or a manifest (.csv, .jsonl).
        speaker_pattern: regular expression searched in the file's name, then in its path below
            ``source``; its group ``speaker``, or else its first group, is the speaker. In a
            manifest it is searched in the names of recordings without a speaker.
        unknown: a further folder, all of whose sound files are unknown words: mined ones. They are
            for training where the source has lists of its own.
        also: a further folder of word folders, all of it for training: synthetic voices, say.
        lenient: names that the pattern does not match are no faults: `also` may have others.

    Raises:
        DatasetError: ``source`` or ``also`` is missing or none of these, or ``unknown`` is no
            folder of sounds.
        ConfigError: the pattern is no regular expression or has no group.
    """

    def __init__(
        self,
        source: Path,
        *,
        speaker_pattern: str = "",
        unknown: Path | None = None,
        also: Path | None = None,
        lenient: bool = False,
    ) -> None:
        self.source = source
        self._unknown = _sound_files_of(unknown) if unknown else []
        self._also = Corpus(also, speaker_pattern=speaker_pattern, lenient=True) if also else None
        self._lenient = lenient
        self._pattern = SpeakerPattern(speaker_pattern) if speaker_pattern else None
        if source.is_dir():
            self.is_manifest = False
        elif source.suffix.lower() in manifest.SUFFIXES:
            self.is_manifest = True
        else:
            what = "a file of another kind" if source.exists() else "nothing there"
            raise DatasetError(
                f"{source}: expected a folder of recordings or a manifest (.csv, .jsonl), "
                f"found {what}"
            )
        self._listed = {} if self.is_manifest else _read_lists(source)
        self._met = set[str]()

    @property
    def is_speech_commands(self) -> bool:
        """Whether the folder is laid out like Google's, with its own lists of parts."""
        return bool(self._listed)

    def unmet(self) -> list[str]:
        """Entries of the lists of parts that name no recording, after a walk over all of them."""
        return sorted(set(self._listed) - self._met)

    def noise_files(self) -> list[Path]:
        """Recordings of background noise that come with the corpus."""
        folder = (self.source.parent if self.is_manifest else self.source) / NOISE_FOLDER
        return sound_files(folder) if folder.is_dir() else []

    def __iter__(self) -> Iterator[Recording | Fault]:
        yield from map(_composed, self._own())
        part: Part | None = "training" if self.is_speech_commands else None
        for path in self._unknown:
            if not is_utf8(str(path)):
                yield _misnamed(str(path))
                continue
            speaker = path.name.split("_nohash_")[0] if "_nohash_" in path.name else ""
            yield _composed(Recording(str(path), UNKNOWN, speaker, part, added=True))
        for item in self._also or ():
            yield item if isinstance(item, Fault) else item._replace(part="training", added=True)

    def _own(self) -> Iterator[Recording | Fault]:
        if not self.is_manifest:
            yield from self._walk()
            return
        for item in manifest.read_manifest(self.source):
            if item.speaker or self._pattern is None:
                yield item
            elif (speaker := self._pattern.speaker(os.path.basename(item.path))) is None:
                yield self._unmatched(item.path)
            else:
                yield item._replace(speaker=speaker)

    def _walk(self) -> Iterator[Recording | Fault]:
        for entry in scan(str(self.source)):
            if entry.name.startswith(".") or entry.name == NOISE_FOLDER:
                continue
            if is_folder(entry):
                yield from self._word(entry)
            elif self._pattern is not None and self._pattern.finds_word:
                yield self._recording(entry.path, entry.name, None)
            elif is_sound(entry.path):
                path = printable(entry.path)
                message = (
                    f"{path}: expected to lie in a folder named after its word (or a speaker "
                    "pattern with a group (?P<word>...))"
                )
                yield Fault(path, "no_label", message)

    def _word(self, folder: os.DirEntry[str]) -> Iterator[Recording | Fault]:
        """What lies in a word's folder; one without any sound, of notes say, is no word's."""
        for path in files_below(folder.path):
            if is_sound(path):
                yield self._recording(path, folder.name + path[len(folder.path) :], folder.name)
            else:
                # Nobody speaks in it, whose voice would have to be in one part.
                name = printable(path)
                message = f"{name}: expected a sound file; if it is one, give it its usual ending"
                yield Fault(name, "not_audio", message)

    def _recording(self, path: str, relative: str, word: str | None) -> Recording | Fault:
        if not is_utf8(path):
            return _misnamed(path)
        relative = composed(relative if os.sep == "/" else relative.replace(os.sep, "/"))
        name = relative.rpartition("/")[2]
        speaker = ""
        if self._pattern is not None:
            found = self._pattern.speaker(name, relative)
            if found is None and not self._lenient:
                return self._unmatched(path)
            word = word or self._pattern.word(name, relative)
            speaker = found or ""
        if self._pattern is None or (self._lenient and not speaker):
            before, mark, _ = name.partition("_nohash_")
            speaker = before if mark else speaker
        if not word:
            return Fault(path, "no_label", f"{path}: the pattern finds no word in this name")
        part = self._listed.get(relative)
        if part:
            self._met.add(relative)
        elif self._listed:
            part = "training"
        return Recording(path, word, speaker, part)

    def _unmatched(self, path: str) -> Fault:
        assert self._pattern is not None
        message = f"{path}: the speaker pattern {self._pattern.text!r} does not match"
        return Fault(path, "no_speaker", message)


def _misnamed(path: str) -> Fault:
    path = printable(path)
    return Fault(path, "unreadable", f"{path}: expected a name in UTF-8; rename it")


def _composed(item: Recording | Fault) -> Recording | Fault:
    """Accents as one character with their letter: some systems write names the other way."""
    if isinstance(item, Fault) or (item.word.isascii() and item.speaker.isascii()):
        return item
    return item._replace(word=composed(item.word), speaker=composed(item.speaker))


def _sound_files_of(folder: Path) -> list[Path]:
    files = sound_files(folder) if folder.is_dir() else []
    if not files:
        raise DatasetError(f"{folder}: expected a folder of sound files, found none")
    return files


def _read_lists(folder: Path) -> dict[str, Part]:
    listed: dict[str, Part] = {}
    for name, part in _LISTS:
        try:
            lines = (folder / name).read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{folder / name}: cannot be read: {error}") from error
        for line in filter(None, map(str.strip, lines)):
            line = composed(line.replace("\\", "/").removeprefix("./"))
            if listed.setdefault(line, part) != part:
                raise DatasetError(f"{folder / name}: {line} is in both lists; keep it in one")
    return listed
