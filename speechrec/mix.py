"""Long recordings from clips, pauses, noise and other speech, with the truth beside them.

What a streaming detector is measured on: NAME-000.wav with NAME-000.txt, the commands in it as
Audacity labels (start, end, label), and one mix.json that says how the folder was made.

The signal-to-noise ratio of a recording is the median power of its commands against the mean power
of its noise. The power of a command is the mean over its active part, the blocks of 10 ms that are
within 20 dB of its loudest. The noise is set once for a recording and commands keep their gains, so
soft commands are deeper in the noise than loud ones, as in life.
"""

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from speechrec.audio import read_audio
from speechrec.augment import Array, coloured_noise, gain, placed, stretched
from speechrec.config import SILENCE, UNKNOWN, Part
from speechrec.errors import ConfigError, DatasetError
from speechrec.files import replace_folder, write_json, write_text
from speechrec.recordings import SpeakerPattern
from speechrec.store import load_info, stored_clips

RATE_HZ = 16_000
INFO_NAME = "mix.json"
FORMAT = 1
# As in AN4's an101-mrcb-b.wav; a file that is named otherwise is a speaker of its own.
SPEAKER_PATTERN = r"^[^-]+-([^-]+)-"

_BLOCK = RATE_HZ // 100
_ACTIVE_DB = -20.0
_FLOOR_DB = -65.0
_SEPARATION = round(0.3 * RATE_HZ)
_BEHIND_DB = -10.0
# A clip brings its own background, which must not begin with a click.
_FADE = RATE_HZ // 200
_PEAK = 0.99
_TALKERS = 6
_HUM_LOW_HZ, _HUM_HIGH_HZ, _HARMONICS = 45.0, 65.0, 40


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixConfig:
    """How recordings are put together."""

    # Of each recording.
    minutes: float = 10.0
    # Between clips. A pause that holds other speech is longer by that.
    least_pause_s: float = 0.5
    most_pause_s: float = 3.0
    # None: only a noise floor at -65 dBFS, which is under every recording.
    snr_db: float | None = None
    # Speed and pitch together, up and down.
    stretch_percent: float = 0.0
    least_gain_db: float = -12.0
    most_gain_db: float = 0.0
    # Share of pauses in which a sentence without commands is said.
    negative_share: float = 0.3
    # Share of commands that are said while somebody else speaks, 10 dB softer.
    overlap_share: float = 0.0
    # Share of clips that are unknown words.
    unknown_share: float = 0.2

    def __post_init__(self) -> None:
        _require(
            0 < self.minutes <= 120, f"mix.minutes: expected above 0 to 120, got {self.minutes}"
        )
        pauses = self.least_pause_s, self.most_pause_s
        _require(
            0 <= pauses[0] <= pauses[1] <= 600,
            f"mix: expected least_pause_s and most_pause_s from 0 to 600 in order, got {pauses}",
        )
        _require(
            self.snr_db is None or -200 <= self.snr_db <= 200,
            f"mix.snr_db: expected -200 to 200 or none for clean, got {self.snr_db}",
        )
        _require(
            0 <= self.stretch_percent <= 50,
            f"mix.stretch_percent: expected 0 to 50, got {self.stretch_percent}",
        )
        gains = self.least_gain_db, self.most_gain_db
        _require(
            -200 <= gains[0] <= gains[1] <= 200,
            f"mix: expected least_gain_db and most_gain_db from -200 to 200 in order, got {gains}",
        )
        for name in ("negative_share", "overlap_share", "unknown_share"):
            value = getattr(self, name)
            _require(0 <= value <= 1, f"mix.{name}: expected 0 to 1, got {value}")

    @property
    def samples(self) -> int:
        """Length of a recording."""
        return round(self.minutes * 60 * RATE_HZ)

    @property
    def condition(self) -> str:
        """The noise in a name: clean, 10dB."""
        return "clean" if self.snr_db is None else f"{self.snr_db:g}dB"


class MixClip(NamedTuple):
    """One word in a file; an unknown word, which is no command, has no label."""

    path: str
    label: str | None
    speaker: str = ""
    offset_s: float = 0.0
    duration_s: float | None = None


class Command(NamedTuple):
    """The truth about one command: where in the recording its word is."""

    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Mixed:
    """A recording with its truth.

    ``wave`` is (samples,) float32 in [-1, 1] at 16 kHz; ``noise`` names its kind; ``clips`` are
    indices into the clips it was made from, in the order in which they are heard; ``sources`` are
    the files, those of other speech and of noise included.
    """

    wave: Array
    truth: tuple[Command, ...]
    noise: str
    clips: tuple[int, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MixSummary:
    """What was made. ``clips_used_again`` are those heard more than once at the same SNR."""

    folder: Path
    recordings: int
    minutes: float
    commands: int
    conditions: tuple[str, ...]
    clips_used_again: int


def store_clips(folder: Path, part: Part) -> list[MixClip]:
    """The words of one part of a feature store, silence left out.

    Raises:
        DatasetError: there is no finished feature store in ``folder``, or it has no such words.
    """
    load_info(folder)
    clips = [
        MixClip(
            clip.path, None if clip.label == UNKNOWN else clip.label, clip.speaker,
            clip.offset_s, None if clip.whole else clip.duration_s,
        )
        for clip in stored_clips(folder)
        if clip.part == part and clip.label != SILENCE
    ]  # fmt: skip
    if not clips:
        raise DatasetError(f"{folder}: expected {part} clips of words, found none; extract again")
    return clips


def mix(
    clips: Sequence[MixClip],
    out: Path,
    config: MixConfig,
    *,
    recordings: int,
    seed: int,
    conditions: Sequence[float | None] | None = None,
    negatives: Sequence[Path] = (),
    noises: Sequence[Path] = (),
    speaker_pattern: str = SPEAKER_PATTERN,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> MixSummary:
    """Write recordings with their truth, one after the other, into a folder of their own.

    Args:
        out: must not exist, be empty, or be a mix, which is then replaced.
        recordings: how many for each condition.
        conditions: signal-to-noise ratios in dB, None for clean; by default the one of ``config``.
            The same words are said at the same times in all of them.
        negatives, noises, speaker_pattern: as in `mixed_recording`.

    Raises:
        ConfigError: the settings do not go together.
        DatasetError: there is no clip of a command, or ``out`` is something else.
        AudioError: a file cannot be read.
    """
    _require(recordings > 0, f"mix: expected a positive number of recordings, got {recordings}")
    settings = [replace(config, snr_db=snr_db) for snr_db in conditions or (config.snr_db,)]
    names = [setting.condition for setting in settings]
    _require(len(set(names)) == len(names), f"mix: expected each SNR once, got {', '.join(names)}")
    rows, used = [], Counter[int]()
    with _new_mix(out) as folder:
        for setting, number in itertools.product(settings, range(recordings)):
            mixed = mixed_recording(
                clips, setting, number=number, seed=seed,
                negatives=negatives, noises=noises, speaker_pattern=speaker_pattern,
            )  # fmt: skip
            rows.append(_write(folder, f"{setting.condition}-{number:03d}", mixed, setting))
            used.update(mixed.clips if setting is settings[0] else ())
            progress(len(rows), len(settings) * recordings)
        again = sum(count > 1 for count in used.values())
        about = {"format": FORMAT, "seed": seed, "settings": asdict(config)}
        del about["settings"]["snr_db"]
        write_json(folder / INFO_NAME, {**about, "clips_used_again": again, "recordings": rows})
    return MixSummary(
        folder=out,
        recordings=len(rows),
        minutes=len(rows) * config.minutes,
        commands=sum(row["commands"] for row in rows),
        conditions=tuple(names),
        clips_used_again=again,
    )


@contextmanager
def _new_mix(out: Path) -> Iterator[Path]:
    """A folder that takes the place of ``out`` when the block ends without an error."""
    out = out.resolve()
    if (
        out.exists()
        and not (out / INFO_NAME).is_file()
        and (not out.is_dir() or any(out.iterdir()))
    ):
        raise DatasetError(
            f"{out}: expected a new folder or an earlier mix (with {INFO_NAME}), found something "
            "else; choose another --out"
        )
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        yield partial
        replace_folder(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(folder: Path, name: str, mixed: Mixed, config: MixConfig) -> dict[str, object]:
    """The sound, its labels, and its row in mix.json."""
    pcm = np.round(mixed.wave * 32767).astype(np.int16)
    soundfile.write(folder / f"{name}.wav", pcm, RATE_HZ, subtype="PCM_16")
    write_labels(folder / f"{name}.txt", mixed.truth)
    return {
        "file": f"{name}.wav",
        "duration_s": len(pcm) / RATE_HZ,
        "snr_db": config.snr_db,
        "noise": mixed.noise,
        "commands": len(mixed.truth),
        "sources": mixed.sources,
    }


def write_labels(path: Path, truth: Sequence[Command]) -> None:
    """Commands as an Audacity label track."""
    write_text(path, "".join(f"{c.start_s:.6f}\t{c.end_s:.6f}\t{c.label}\n" for c in truth))


def read_labels(path: Path) -> tuple[Command, ...]:
    """The commands of an Audacity label track.

    Raises:
        DatasetError: the file cannot be read, or a line is not start, end, label.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot read these labels: {error}") from error
    # Audacity puts the frequencies of a label on a line of their own, after a backslash.
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line and line[0] != "\\"]
    return tuple(_command(line, f"{path}:{number}") for number, line in numbered)


def _command(line: str, where: str) -> Command:
    try:
        start, end, label = line.split("\t")
        command = Command(label, float(start), float(end))
    except ValueError:
        command = Command("", 0, -1)
    if not 0 <= command.start_s <= command.end_s < float("inf"):
        raise DatasetError(f"{where}: expected start, end and label between tabs, got {line!r}")
    return command


def mixed_recording(
    clips: Sequence[MixClip],
    config: MixConfig,
    *,
    number: int,
    seed: int,
    negatives: Sequence[Path] = (),
    noises: Sequence[Path] = (),
    speaker_pattern: str = SPEAKER_PATTERN,
) -> Mixed:
    """One recording; it depends on seed and number, not on how many are made.

    What is said, when and how loud does not depend on ``config.snr_db``. A clip is used again only
    when all others of its kind (commands, unknown words) have been.

    Args:
        negatives: recordings of speech without commands.
        noises: recordings of noise, in turn from one recording to the next. Without any, the noise
            is in turn a mains hum, pink noise in pulses, and the babble of six of the ``negatives``
            if they have as many speakers.
        speaker_pattern: regular expression whose group is the speaker in the name of a negative.

    Raises:
        ConfigError: the recording is too short for one clip, or has commands on top of other speech
            without there being any.
        DatasetError: no clip is a command.
        AudioError: a file cannot be read.
    """
    if not any(clip.label for clip in clips):
        raise DatasetError("expected clips of commands to mix, got none; choose another part")
    _require(
        bool(negatives) or not config.overlap_share,
        "mix.overlap_share: expected recordings of other speech, got none; name a folder of them "
        "with --negatives",
    )
    scene = _spoken(clips, config, negatives, seed=seed, number=number)
    # Other numbers than those of the words, so that these do not depend on the noise.
    rng = np.random.default_rng((seed, number, 1))
    wave = scene.wave
    wave += gain(rng.standard_normal(len(wave), dtype=np.float32), _FLOOR_DB)
    kind = "none"
    if config.snr_db is not None:
        kind, noise, sources = _noise(rng, number, len(wave), negatives, noises, speaker_pattern)
        scene.sources += sources
        power = float(np.median(scene.powers)) / max(_mean_power(noise), 1e-30)
        wave += noise * np.float32(np.sqrt(power) * 10 ** (-config.snr_db / 20))
    wave *= np.float32(min(1.0, _PEAK / float(np.abs(wave).max())))
    sources = tuple(dict.fromkeys(scene.sources))
    return Mixed(wave, tuple(scene.truth), kind, tuple(scene.clips), sources)


@dataclass(slots=True)
class _Scene:
    """A recording in the making; ``at`` is where the next piece goes."""

    wave: Array
    at: int = 0
    truth: list[Command] = field(default_factory=list)
    # Of the commands, each in its active part.
    powers: list[float] = field(default_factory=list)
    clips: list[int] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    def add(self, piece: Array) -> None:
        self.wave[self.at : self.at + len(piece)] = piece
        self.at += len(piece)


# Sentences without an end, with their files.
_Sentences = Iterator[tuple[str, Array]]


def _spoken(
    clips: Sequence[MixClip],
    config: MixConfig,
    negatives: Sequence[Path],
    *,
    seed: int,
    number: int,
) -> _Scene:
    """Pause after clip after pause, until the next does not fit."""
    rng = np.random.default_rng((seed, number))
    scene = _Scene(np.zeros(config.samples, dtype=np.float32))
    sentences = _sentences(rng, negatives)
    for index in _order(rng, clips, config, seed=seed, number=number):
        clip, sources = clips[index], []
        pause = _pause(rng, config, sentences, sources)
        word = _taken(rng, clip, config)
        first, last = word_extent(word)
        power, before = active_power(word), 0
        if clip.label and rng.random() < config.overlap_share:
            word, before = _over_speech(rng, word, power, sentences, sources)
        if scene.at + len(pause) + len(word) > len(scene.wave):
            break
        scene.add(pause)
        start = scene.at + before
        scene.add(word)
        scene.clips.append(index)
        scene.sources += (*sources, clip.path)
        if clip.label:
            scene.powers.append(power)
            times = (start + first) / RATE_HZ, (start + last) / RATE_HZ
            scene.truth.append(Command(clip.label, *times))
    _require(
        bool(scene.truth),
        f"mix.minutes: expected room for a command, but {config.minutes:g} minutes hold none; make "
        "recordings longer or pauses shorter",
    )
    return scene


def _order(
    rng: np.random.Generator,
    clips: Sequence[MixClip],
    config: MixConfig,
    *,
    seed: int,
    number: int,
) -> Iterator[int]:
    """Indices of clips without an end.

    All recordings go through one shuffled list, and each begins about where the one before ends: a
    recording holds no more clips than there would be with one of a second after every pause.
    """
    shuffled = np.random.default_rng(seed).permutation(len(clips))
    kinds = [
        [int(i) for i in shuffled if clips[i].label],
        [int(i) for i in shuffled if not clips[i].label],
    ]
    unknown_share = config.unknown_share if kinds[1] else 0.0
    held = config.minutes * 60 / (1 + (config.least_pause_s + config.most_pause_s) / 2)
    walks = [
        _round_from(kind, number * int(np.ceil(held * share)))
        for kind, share in zip(kinds, (1 - unknown_share, unknown_share), strict=True)
    ]
    while True:
        yield next(walks[rng.random() < unknown_share])


def _round_from(items: Sequence[int], start: int) -> Iterator[int]:
    return (items[place % len(items)] for place in itertools.count(start))


def _sentences(rng: np.random.Generator, negatives: Sequence[Path]) -> _Sentences:
    """Other speech in a shuffled order, over and over."""
    order = rng.permutation(len(negatives))
    while negatives:
        for index in order:
            yield (
                str(negatives[index]),
                _faded(read_audio(negatives[index], sample_rate_hz=RATE_HZ)),
            )


def _pause(
    rng: np.random.Generator, config: MixConfig, sentences: _Sentences, sources: list[str]
) -> Array:
    """Silence, now and then with a sentence in the middle that is 0.3 s or more from both ends."""
    samples = round(float(rng.uniform(config.least_pause_s, config.most_pause_s)) * RATE_HZ)
    filled = rng.random() < config.negative_share
    path, sentence = next(sentences, ("", None)) if filled else ("", None)
    if sentence is None:
        return np.zeros(samples, dtype=np.float32)
    sources.append(path)
    return np.pad(_levelled(rng, sentence, config), max(samples // 2, _SEPARATION))


def _taken(rng: np.random.Generator, clip: MixClip, config: MixConfig) -> Array:
    """The clip at a speed and level of its own."""
    wave = read_audio(
        Path(clip.path), sample_rate_hz=RATE_HZ,
        offset_s=clip.offset_s, duration_s=clip.duration_s,
    )  # fmt: skip
    if config.stretch_percent:
        most = config.stretch_percent / 100
        wave = stretched(wave, float(rng.uniform(1 - most, 1 + most)), sample_rate_hz=RATE_HZ)
    return _levelled(rng, _faded(wave), config)


def _levelled(rng: np.random.Generator, wave: Array, config: MixConfig) -> Array:
    return gain(wave, float(rng.uniform(config.least_gain_db, config.most_gain_db)))


def _faded(wave: Array) -> Array:
    """The wave, rising from and falling to nothing within 5 ms."""
    samples = min(_FADE, len(wave) // 2)
    slope = np.linspace(0, 1, samples, dtype=np.float32)
    wave = wave.copy()
    wave[:samples] *= slope
    wave[len(wave) - samples :] *= slope[::-1]
    return wave


def _over_speech(
    rng: np.random.Generator,
    word: Array,
    power: float,
    sentences: _Sentences,
    sources: list[str],
) -> tuple[Array, int]:
    """The word somewhere in a sentence that is 10 dB softer, and where."""
    path, sentence = next(sentences)
    sources.append(path)
    ratio = power / max(active_power(sentence), 1e-30)
    behind = sentence * np.float32(np.sqrt(ratio) * 10 ** (_BEHIND_DB / 20))
    samples = max(len(word), len(behind))
    before, other = (int(rng.integers(samples - len(wave) + 1)) for wave in (word, behind))
    return placed(word, before, samples) + placed(behind, other, samples), before


def _block_energy(wave: Array) -> npt.NDArray[np.float64]:
    """Energy of each 10 ms, the last of them perhaps shorter."""
    squares = np.square(wave, dtype=np.float64)
    energy: npt.NDArray[np.float64] = np.add.reduceat(squares, np.arange(0, len(wave), _BLOCK))
    return energy


def active_power(wave: Array) -> float:
    """Mean power of the blocks of 10 ms that are within 20 dB of the loudest."""
    energy = _block_energy(wave)
    active = energy >= energy.max() * 10 ** (_ACTIVE_DB / 10)
    return float(energy[active].mean()) / min(_BLOCK, len(wave))


def _mean_power(wave: Array) -> float:
    return float(np.mean(np.square(wave), dtype=np.float64))


def word_extent(wave: Array) -> tuple[int, int]:
    """First sample of the word in a clip and the one after its last; all where nothing stands out.

    The word is where the energy of three blocks of 10 ms together is above twice that of the quiet
    fifth of the clip and above 2 % of the greatest. Stated here and not taken from the detector,
    which is to be measured with it.
    """
    smooth = np.convolve(_block_energy(wave), np.ones(3), "same")
    least = max(2 * float(np.percentile(smooth, 20)), 0.02 * float(smooth.max()))
    loud = np.flatnonzero(smooth > least)
    if not len(loud):
        return 0, len(wave)
    return int(loud[0]) * _BLOCK, min(len(wave), (int(loud[-1]) + 1) * _BLOCK)


def _noise(
    rng: np.random.Generator,
    number: int,
    samples: int,
    negatives: Sequence[Path],
    noises: Sequence[Path],
    speaker_pattern: str,
) -> tuple[str, Array, list[str]]:
    """Kind, sound and files of a recording's noise."""
    if noises:
        path = noises[number % len(noises)]
        return path.stem, _talk(rng, [path], samples), [str(path)]
    talkers = _by_speaker(negatives, speaker_pattern)
    kinds = ("hum", "pulsed", "babble") if len(talkers) >= _TALKERS else ("hum", "pulsed")
    kind = kinds[number % len(kinds)]
    if kind != "babble":
        return kind, (_hum if kind == "hum" else _pulsed)(rng, samples), []
    chosen = [talkers[i] for i in rng.choice(len(talkers), _TALKERS, replace=False)]
    babble = np.zeros(samples, dtype=np.float32)
    for paths in chosen:
        babble += _talk(rng, paths, samples)
    return kind, babble, [str(path) for paths in chosen for path in paths]


def _by_speaker(negatives: Sequence[Path], speaker_pattern: str) -> list[list[Path]]:
    pattern = SpeakerPattern(speaker_pattern)
    talkers: dict[str, list[Path]] = {}
    for path in negatives:
        talkers.setdefault(pattern.speaker(path.name) or path.stem, []).append(path)
    return list(talkers.values())


def _talk(rng: np.random.Generator, paths: Sequence[Path], samples: int) -> Array:
    """Recordings one after the other, equally loud, over and over from some place on."""
    waves = [read_audio(paths[i], sample_rate_hz=RATE_HZ) for i in rng.permutation(len(paths))]
    levels = [max(active_power(wave), 1e-30) ** 0.5 for wave in waves]
    talk = np.concatenate([w / np.float32(level) for w, level in zip(waves, levels, strict=True)])
    return np.resize(np.roll(talk, int(rng.integers(len(talk)))), samples)


def _hum(rng: np.random.Generator, samples: int) -> Array:
    """Harmonics of a mains-like fundamental, each of which wanders in strength within seconds."""
    numbers = np.arange(1, _HARMONICS + 1, dtype=np.float32)[:, None]
    turns = rng.uniform(_HUM_LOW_HZ, _HUM_HIGH_HZ) / RATE_HZ
    phases = rng.uniform(0, 2 * np.pi, numbers.shape).astype(np.float32)
    seconds = -(-samples // RATE_HZ)
    strength = rng.normal(0, 0.5, (_HARMONICS, seconds + 1)).astype(np.float32)
    strength = np.exp(strength) / np.sqrt(numbers)
    ramp = np.linspace(0, 1, RATE_HZ, endpoint=False, dtype=np.float32)
    hum = np.empty((seconds, RATE_HZ), dtype=np.float32)
    for second in range(seconds):
        turned = turns * np.arange(second * RATE_HZ, (second + 1) * RATE_HZ) % 1
        waves = np.sin(numbers * (2 * np.pi * turned).astype(np.float32) + phases)
        now, then = strength[:, second], strength[:, second + 1]
        hum[second] = (now @ waves) * (1 - ramp) + (then @ waves) * ramp
    return hum.ravel()[:samples]


def _pulsed(rng: np.random.Generator, samples: int) -> Array:
    """Pink noise that comes and goes one to four times a second, for half of the time or so."""
    # As many as there are if all are of the shortest.
    periods = 1 / rng.uniform(1, 4, 4 * (samples // RATE_HZ + 1))
    starts = np.cumsum(periods) - periods
    stops = starts + periods * rng.uniform(0.3, 0.7, len(periods))
    ramp_s = 0.01
    corners = np.stack([starts, starts + ramp_s, stops, stops + ramp_s], axis=1).ravel()
    levels = np.tile([0.0, 1.0, 1.0, 0.0], len(periods))
    gate = np.interp(np.arange(samples) / RATE_HZ, corners, levels).astype(np.float32)
    return gate * coloured_noise(rng, samples, colour="pink", sample_rate_hz=RATE_HZ)
