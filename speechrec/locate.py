"""Defaults of the bare commands: which recordings, which recogniser, which files."""

import os
from collections.abc import Iterator
from pathlib import Path

from speechrec.bundle import SUFFIX
from speechrec.errors import AudioError, BundleError, ConfigError, DatasetError
from speechrec.limits import check_regular
from speechrec.listing import sound_files

_DATA, _RUNS = Path("data"), Path("runs")
_MODEL_VARIABLE = "SPEECHREC_MODEL"
_MODELS = Path(__file__).with_name("models")
_DEFAULT_MODEL = "commands-en"


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_recordings() -> Path:
    """``data/speech_commands``, or else the only folder of recordings under ``data/``.

    Raises:
        DatasetError: there is none, or more than one.
    """
    usual = _DATA / "speech_commands"
    if usual.is_dir():
        return usual
    folders = [
        path for path in sorted(_DATA.glob("*")) if path.is_dir() and _has_word_folders(path)
    ]
    if len(folders) == 1:
        return folders[0]
    if folders:
        names = ", ".join(map(str, folders))
        raise DatasetError(
            f"expected one folder of recordings under data/, found {names}; name one"
        )
    raise DatasetError(
        "expected recordings under data/, found none. Three ways to get some: put your own into "
        "data/NAME/WORD/*.wav; unpack Google's Speech Commands into data/speech_commands; or let "
        "synthetic voices speak with: speechrec synth"
    )


def _has_word_folders(folder: Path) -> bool:
    return any(path.is_dir() and not path.name.startswith((".", "_")) for path in folder.iterdir())


def recogniser(model: Path | None) -> tuple[Path, str]:
    """The recogniser file to use, and why it was chosen where the user did not say.

    A run folder stands for the recogniser in it, a bare name for one that came with the package.

    Raises:
        BundleError: there is none.
    """
    if model is not None:
        return _named(model), ""
    if named := os.environ.get(_MODEL_VARIABLE):
        return _named(Path(named)), f"${_MODEL_VARIABLE}"
    if found := _visible(_RUNS, f"*/*{SUFFIX}"):
        return max(found, key=lambda path: path.stat().st_mtime_ns), "newest under runs/"
    if (shipped := installed_models().get(_DEFAULT_MODEL)) is not None:
        return shipped, "came with speechrec"
    raise BundleError(
        "expected a recogniser, found none: train one with 'speechrec train', or name one with "
        f"--model FILE{SUFFIX} or ${_MODEL_VARIABLE}"
    )


def installed_models() -> dict[str, Path]:
    """The recogniser files that came with the package, by name."""
    return {path.stem: path for path in sorted(_visible(_MODELS, f"*{SUFFIX}"))}


def _named(path: Path) -> Path:
    if not path.exists():
        return installed_models().get(str(path), path)
    if not path.is_dir():
        return path
    found = _visible(path, f"*{SUFFIX}")
    if len(found) != 1:
        raise BundleError(
            f"{path}: expected one recogniser file (*{SUFFIX}) in it, found {len(found)}"
        )
    return found[0]


def _visible(folder: Path, pattern: str) -> list[Path]:
    """Files whose names do not start with a dot, as those that are being written do."""
    found = folder.glob(pattern)
    return [path for path in found if path.is_file() and not path.name.startswith(".")]


def sounds(paths: list[str]) -> Iterator[tuple[str, AudioError | None]]:
    """The paths themselves, folders replaced by the sound files in them.

    A folder without sound files, or that cannot be listed, comes with its error, so that it does
    not stop the others; so does a pipe in a folder, which nobody meant to be waited for.
    """
    for path in paths:
        if path == "-" or not os.path.isdir(path):
            yield path, None
            continue
        unlisted: list[DatasetError] = []
        found = sound_files(Path(path), unlisted=unlisted)
        for error in unlisted:
            yield path, AudioError("unreadable", str(error))
        if not found and not unlisted:
            message = f"{path}: expected sound files in this folder, found none"
            yield path, AudioError("missing", message)
        yield from ((str(file), _problem(file)) for file in found)


def _problem(file: Path) -> AudioError | None:
    try:
        check_regular(file)
    except AudioError as error:
        return error
    return None


def recipe(kind: str) -> Path:
    """The settings `speechrec train` uses for a kind of network where none are named.

    Raises:
        ConfigError: there is no recipe for it.
    """
    names = {"dense": "commands.toml", "cnn": "commands-cnn.toml"}
    if kind not in names:
        raise ConfigError(
            f"model.kind: expected one with a recipe ({', '.join(names)}), got {kind!r}; "
            "for others name settings with --config"
        )
    return Path(__file__).with_name("recipes") / names[kind]
