"""The one error family: every message says what was expected, what came, and what to do."""


class SpeechrecError(Exception):
    """Base of all errors a user can cause and cure; the command line prints it as one line."""


class ConfigError(SpeechrecError):
    """A setting is unknown, of the wrong type, or impossible together with another."""


class AudioError(SpeechrecError):
    """A recording cannot be used. ``kind`` is one of `AUDIO_FAULTS`."""

    def __init__(self, kind: str, message: str) -> None:
        assert kind in AUDIO_FAULTS, kind
        super().__init__(message)
        self.kind = kind


AUDIO_FAULTS = (
    "missing",
    "unreadable",
    "not_audio",
    "empty",
    "truncated",
    "unsupported",
    "too_short",
    "too_long",
    "not_finite",
    "silent",
    "clipped",
    "duplicate",
    "no_label",
    "no_speaker",
)


class DatasetError(SpeechrecError):
    """A folder or manifest of recordings, or a feature store, is not what a stage needs."""


class UnspeakableError(DatasetError):
    """A synthesiser cannot say a word or phrase."""


class SettingsMismatchError(SpeechrecError):
    """Two things made with different front-end settings were brought together."""


class BundleError(SpeechrecError):
    """A recogniser file is missing, damaged, altered, too new, or at odds with itself."""


class TrainingError(SpeechrecError):
    """Training cannot start or go on."""


class MissingExtraError(SpeechrecError):
    """A command needs an optional part of the package that is not installed."""

    def __init__(self, what: str, extra: str, module: str | None) -> None:
        came = f"no module {module}" if module else "it is missing"
        super().__init__(
            f"{what} needs the extra '{extra}', but {came}; "
            f"install it with: pip install 'speechrec[{extra}]'"
        )
