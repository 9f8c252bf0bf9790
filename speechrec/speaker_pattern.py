"""Where the speaker, and perhaps the word, stands in a file's name."""

import re

from speechrec.errors import ConfigError


class SpeakerPattern:
    """A regular expression that finds the speaker, and perhaps the word, in a file's name.

    Raises:
        ConfigError: it is no regular expression or has no group.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._compiled = _compile(text)
        self.finds_word = "word" in self._compiled.groupindex

    def speaker(self, *names: str) -> str | None:
        """The group ``speaker``, or the first group where none is named, in the first match."""
        if (match := self._search(names)) is None:
            return None
        groups = match.groupdict()
        return groups.get("speaker", "" if groups else match.group(1)) or ""

    def word(self, *names: str) -> str | None:
        """The group ``word`` in the first name that matches."""
        match = self._search(names)
        return match.groupdict().get("word") if match else None

    def _search(self, names: tuple[str, ...]) -> re.Match[str] | None:
        return next(filter(None, map(self._compiled.search, names)), None)


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"speaker pattern {pattern!r}: no regular expression: {error}") from error
    if not compiled.groups:
        raise ConfigError(
            f"speaker pattern {pattern!r}: expected a group around the speaker, for example "
            r"'^[^_]+_([^_]+)_'"
        )
    return compiled
