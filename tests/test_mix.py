"""Mixed recordings are what was asked for, and their truth is true.

Everything in them is a burst of tone: commands at 1 kHz, unknown words at 3 kHz, other speech at
300 Hz, noise files at 5 kHz and above; so each can be found again in what was mixed.
"""

import dataclasses
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from speechrec import cli
from speechrec.audio import read_audio
from speechrec.errors import AudioError, ConfigError, DatasetError
from speechrec.labels import read_labels
from speechrec.loudness import active_power, word_extent
from speechrec.mix import INFO_NAME, mix, store_clips
from speechrec.mix_config import MixConfig
from speechrec.mix_noise import recording_noise
from speechrec.negatives import Negative
from speechrec.scene import Scene, scenes, within_full_scale
from speechrec.scene_pieces import MixClip
from speechrec.splits import percentile
from speechrec.store import load_features

RATE = 16_000
Array = npt.NDArray[np.float32]
COMMAND_HZ, UNKNOWN_HZ, SPEECH_HZ = 1000, 3000, 300
PLAIN = MixConfig(
    recordings=1, minutes=0.2, snrs_db=(None,), least_pause_s=0.1, most_pause_s=0.3,
    negative_share=0, unknown_share=0,
)  # fmt: skip


def burst(hz: float, *, before_s: float = 0.2, tone_s: float = 0.3, after_s: float = 0.1) -> Array:
    """A tone with silence before and after it."""
    tone = 0.3 * np.sin(2 * np.pi * hz * np.arange(round(tone_s * RATE)) / RATE)
    wave = np.pad(tone, (round(before_s * RATE), round(after_s * RATE)))
    return wave.astype(np.float32)


def band(wave: Array, hz: float) -> Array:
    """What lies within a quarter of a frequency."""
    spectrum = np.fft.rfft(wave)
    far = np.abs(np.fft.rfftfreq(len(wave), 1 / RATE) - hz) > hz / 4
    spectrum[far] = 0
    return np.fft.irfft(spectrum, len(wave)).astype(np.float32)


def power(wave: Array) -> float:
    return float(np.mean(np.square(wave, dtype=np.float64)))


def sound(path: Path) -> Array:
    wave, rate = soundfile.read(path, dtype="float32")
    assert (rate, wave.ndim) == (RATE, 1)
    return np.asarray(wave)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / INFO_NAME).read_text())["recordings"]
    return found


def first_scene(clips: list[MixClip], config: MixConfig, **others: Any) -> Scene:
    return next(scenes(clips, config, **others))


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bursts of tone, of different lengths and places in their file."""
    folder = tmp_path_factory.mktemp("sounds")
    for n in range(5):
        wave = burst(COMMAND_HZ, before_s=0.1 + 0.05 * n, tone_s=0.2 + 0.03 * n)
        soundfile.write(folder / f"command{n}.wav", wave, RATE)
    for n in range(3):
        soundfile.write(folder / f"unknown{n}.wav", burst(UNKNOWN_HZ), RATE)
    for n in range(7):
        wave = burst(SPEECH_HZ + 20 * (n - 3), before_s=0, tone_s=0.8 + 0.1 * n, after_s=0)
        soundfile.write(folder / f"speech{n}.wav", wave * (0.4 + 0.1 * n), RATE)
    return folder


@pytest.fixture(scope="module")
def commands(sounds: Path) -> list[MixClip]:
    return [MixClip(str(sounds / f"command{n}.wav"), "go" if n % 2 else "stop") for n in range(5)]


@pytest.fixture(scope="module")
def clips(sounds: Path, commands: list[MixClip]) -> list[MixClip]:
    return [*commands, *(MixClip(str(sounds / f"unknown{n}.wav"), None) for n in range(3))]


@pytest.fixture(scope="module")
def negatives(sounds: Path) -> list[Negative]:
    """Seven sentences of seven speakers."""
    return [Negative(sounds / f"speech{n}.wav", f"s{n}") for n in range(7)]


# What is said, and the truth about it.


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stretch_percent": 30},
        {"negative_share": 1},
        {"unknown_share": 0.5},
        {"overlap_share": 1},
        {"negative_share": 0.5, "unknown_share": 0.3, "overlap_share": 0.5, "stretch_percent": 10},
    ],
    ids=str,
)
def test_truth_is_where_the_words_are(
    changes: dict[str, Any], clips: list[MixClip], negatives: list[Negative]
) -> None:
    """Commands begin and end where their labels say, within 25 ms, and nowhere else is one."""
    config = dataclasses.replace(PLAIN, minutes=0.4, **changes)
    scene = first_scene(clips, config, negatives=negatives)
    assert len(scene.truth) >= 5
    heard = band(scene.wave, COMMAND_HZ)
    inside = np.zeros(len(heard), bool)
    for command in scene.truth:
        start, end = round(command.start_s * RATE), round(command.end_s * RATE)
        inside[max(0, start - 80) : end + 80] = True
        word = heard[start:end]
        assert power(word[400:800]) > 0.5 * power(word[800:-800])
        assert power(word[-800:-400]) > 0.5 * power(word[800:-800])
    assert np.square(heard[~inside]).sum() < 0.01 * np.square(heard).sum()


def test_truth_has_the_commands_in_order(clips: list[MixClip]) -> None:
    """Each command that is heard is one label; unknown words are heard and are none."""
    scene = first_scene(clips, dataclasses.replace(PLAIN, minutes=0.4, unknown_share=0.5))
    said = [clips[index].label for index in scene.clips]
    assert None in said
    assert [command.label for command in scene.truth] == [label for label in said if label]
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(scene.truth))
    assert scene.sources == [clips[index].path for index in scene.clips]
    assert power(band(scene.wave, UNKNOWN_HZ)) > 1e-4


def test_no_two_recordings_are_alike(commands: list[MixClip]) -> None:
    """Even of one and the same clip, each recording and each seed makes something else."""
    config = dataclasses.replace(PLAIN, seed=1)
    one, two = itertools.islice(scenes(commands[:1], config), 2)
    other = first_scene(commands[:1], dataclasses.replace(config, seed=2))
    assert one.truth[0].end_s != two.truth[0].end_s
    assert one.truth[0].end_s != other.truth[0].end_s


def test_words_are_as_fast_and_as_loud_as_asked(commands: list[MixClip]) -> None:
    """Lengths of a clip fill what the settings allow, and its levels 12 dB."""
    lasts_s = {0: (0.3, 0.3), 30: (0.21, 0.39)}
    for percent, (least, most) in lasts_s.items():
        config = dataclasses.replace(PLAIN, minutes=1, stretch_percent=percent)
        scene = first_scene(commands[3:4], config)
        lengths = [command.end_s - command.start_s for command in scene.truth]
        assert min(lengths) == pytest.approx(least, abs=0.04)
        assert max(lengths) == pytest.approx(most, abs=0.04)
        levels = 10 * np.log10(np.array(scene.powers) / 0.045)
        assert -12.5 < levels.min() < -10.5
        assert -1.5 < levels.max() < 0.5


@pytest.mark.parametrize(("least", "most"), [(0, 0), (0.5, 0.5), (0.2, 1.0)])
def test_pauses_are_as_long_as_asked(least: float, most: float, commands: list[MixClip]) -> None:
    """Between clips are pauses within the bounds, up to the end of the recording."""
    config = dataclasses.replace(PLAIN, minutes=0.5, least_pause_s=least, most_pause_s=most)
    scene = first_scene(commands, config)
    lengths = [soundfile.info(clip.path).duration for clip in commands]
    spoken = sum(lengths[index] for index in scene.clips)
    paused = scene.at / RATE - spoken
    assert len(scene.clips) * least - 0.01 <= paused <= len(scene.clips) * most + 0.01
    assert 30 - most - max(lengths) - 0.01 < scene.at / RATE <= 30


def test_levels_are_as_asked(commands: list[MixClip]) -> None:
    """Clips at one level are those at another by just the difference."""
    loud, soft = (
        first_scene(
            commands, dataclasses.replace(PLAIN, least_gain_db=level, most_gain_db=level)
        ).powers
        for level in (0, -6)
    )
    assert 10 * np.log10(np.divide(loud, soft)) == pytest.approx(6, abs=0.05)


def test_clips_can_be_equally_loud(tmp_path: Path, sounds: Path, negatives: list[Negative]) -> None:
    """However loud they were recorded, sentences too; silence stays silence."""
    for n, loud in enumerate((1.0, 0.1, 0.003)):
        soundfile.write(tmp_path / f"go{n}.wav", loud * burst(COMMAND_HZ), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    clips = [MixClip(str(tmp_path / f"go{n}.wav"), "go") for n in range(3)]
    clips.append(MixClip(str(tmp_path / "silence.wav"), None))
    config = dataclasses.replace(
        PLAIN, minutes=1, least_gain_db=0, equal_level=True, negative_share=0.5, unknown_share=0.2
    )
    scene = first_scene(clips, config, negatives=negatives)
    assert 10 * np.log10(scene.powers) == pytest.approx(-26, abs=0.05)
    sentences = band(scene.wave, SPEECH_HZ)
    assert 10 * np.log10(active_power(sentences)) == pytest.approx(-26, abs=0.5)
    assert np.abs(scene.wave).max() < 0.2
    as_recorded = first_scene(clips, dataclasses.replace(config, equal_level=False))
    assert np.ptp(10 * np.log10(as_recorded.powers)) > 40


def test_a_clip_longer_than_a_recording_ends_none(tmp_path: Path, commands: list[MixClip]) -> None:
    """It is passed over; alone it is an error, as there is nothing to say."""
    soundfile.write(tmp_path / "long.wav", np.pad(burst(UNKNOWN_HZ), (0, RATE * 20)), RATE)
    long = MixClip(str(tmp_path / "long.wav"), None)
    config = dataclasses.replace(PLAIN, unknown_share=0.3)
    made = itertools.islice(scenes([*commands, long], config), 8)
    assert min(len(scene.truth) for scene in made) >= 5
    with pytest.raises(ConfigError, match="hold none"):
        first_scene([long._replace(label="go")], config)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_shares_are_as_asked(share: float, clips: list[MixClip], negatives: list[Negative]) -> None:
    """So many pauses hold other speech, so many words are unknown."""
    config = dataclasses.replace(PLAIN, minutes=5, negative_share=share, unknown_share=share / 2)
    scene = first_scene(clips, config, negatives=negatives)
    speech = sum("speech" in source for source in scene.sources)
    unknown = sum(clips[index].label is None for index in scene.clips)
    assert speech / len(scene.clips) == pytest.approx(share, abs=0.1)
    assert unknown / len(scene.clips) == pytest.approx(share / 2, abs=0.1)


@pytest.mark.parametrize("frames", [RATE * 660, *(RATE * 11 + odd for odd in range(4))])
def test_long_recordings_of_speech_are_heard_in_stretches(
    tmp_path: Path, clips: list[MixClip], frames: int
) -> None:
    """An evening of radio is no sentence: of every recording at most ten seconds at once."""
    path = tmp_path / "radio.flac"
    soundfile.write(path, 0.1 * np.random.default_rng(1).standard_normal(frames), RATE)
    config = MixConfig(minutes=3, negative_share=1)
    scene = first_scene(clips, config, negatives=[Negative(path, "radio")])
    # Pause and word after pause and word, up to the end.
    assert len(scene.clips) >= 12
    assert scene.at > 0.9 * len(scene.wave)
    noise = recording_noise(np.random.default_rng(4), 0, RATE, noises=[path])
    assert len(noise.wave) == RATE


def test_other_speech_without_sound_is_refused_at_once(
    clips: list[MixClip], negatives: list[Negative], tmp_path: Path
) -> None:
    """Not when its turn comes, after hours perhaps."""
    soundfile.write(tmp_path / "cut.wav", np.zeros(0), RATE)
    config = dataclasses.replace(PLAIN, negative_share=1.0)
    for seed in range(5):
        with pytest.raises(AudioError, match=r"cut\.wav: expected other speech, found no samples"):
            first_scene(
                clips, dataclasses.replace(config, seed=seed),
                negatives=[*negatives, Negative(tmp_path / "cut.wav", "radio")],
            )  # fmt: skip


def test_other_speech_keeps_away_from_commands(tmp_path: Path, negatives: list[Negative]) -> None:
    """A sentence in a pause is 0.3 s or more from the words around it, but not much more."""
    soundfile.write(tmp_path / "word.wav", burst(COMMAND_HZ, before_s=0, after_s=0), RATE)
    config = dataclasses.replace(PLAIN, minutes=1, negative_share=1)
    clips = [MixClip(str(tmp_path / "word.wav"), "go")]
    scene = first_scene(clips, config, negatives=negatives)
    speech = np.square(band(scene.wave, SPEECH_HZ))

    def share_within(seconds: float) -> float:
        near = np.zeros(len(speech), bool)
        for command in scene.truth:
            start, end = ((t + s) for t, s in zip(command[1:], (-seconds, seconds), strict=True))
            near[max(0, round(start * RATE)) : round(end * RATE)] = True
        return float(speech[near].sum() / speech.sum())

    assert share_within(0.29) < 1e-3
    assert share_within(0.35) > 0.05


def test_other_speech_under_commands_is_softer(
    commands: list[MixClip], negatives: list[Negative]
) -> None:
    """Speech on top of which a command is said is 10 dB softer than it."""
    config = dataclasses.replace(PLAIN, minutes=1, overlap_share=1)
    scene = first_scene(commands, config, negatives=negatives)
    assert sum("speech" in source for source in scene.sources) == len(scene.truth)
    for command in scene.truth:
        span = slice(round(command.start_s * RATE) + 800, round(command.end_s * RATE) - 800)
        word, speech = (power(band(scene.wave, hz)[span]) for hz in (COMMAND_HZ, SPEECH_HZ))
        assert 10 * np.log10(word / speech) == pytest.approx(10, abs=0.5)


def test_clips_are_used_again_only_when_all_have_been(clips: list[MixClip]) -> None:
    """Commands, and unknown words, go round and round over all recordings, each once a round."""
    config = dataclasses.replace(PLAIN, unknown_share=0.4)
    said = [index for scene in itertools.islice(scenes(clips, config), 4) for index in scene.clips]
    for kind in (range(5), range(5, 8)):
        heard = [index for index in said if index in kind]
        assert len(heard) > 2 * len(kind)
        for start in range(0, len(heard) - len(kind), len(kind)):
            assert sorted(heard[start : start + len(kind)]) == list(kind)


def test_clips_used_again_are_counted(commands: list[MixClip], tmp_path: Path) -> None:
    """The summary says how many clips are heard twice, and mix.json says so too."""
    config = dataclasses.replace(PLAIN, snrs_db=(None, 10), least_pause_s=2, most_pause_s=2)
    for recordings, again in ((1, 0), (2, 3)):
        # 12 s hold four clips of about 0.7 s and their pauses.
        config = dataclasses.replace(config, recordings=recordings)
        made = mix(commands, tmp_path / "out", config)
        assert (made.recordings, made.commands) == (2 * recordings, 8 * recordings)
        assert made.clips_used_again == again
        assert json.loads((tmp_path / "out" / INFO_NAME).read_text())["clips_used_again"] == again


def test_segments_of_a_file_are_used_alone(tmp_path: Path) -> None:
    """Of a clip that is a stretch of a longer file, nothing outside the stretch is heard."""
    path = tmp_path / "long.wav"
    words = [burst(hz) for hz in (UNKNOWN_HZ, COMMAND_HZ, UNKNOWN_HZ)]
    soundfile.write(path, np.concatenate(words), RATE)
    scene = first_scene([MixClip(str(path), "go", 0.6, 0.6)], PLAIN)
    assert power(band(scene.wave, UNKNOWN_HZ)) < 1e-3 * power(band(scene.wave, COMMAND_HZ))


# Noise.


def test_noise_is_as_loud_as_asked(
    commands: list[MixClip], negatives: list[Negative], tmp_path: Path
) -> None:
    """Median power of the commands over that of the noise is the SNR, for each kind of noise."""
    config = dataclasses.replace(PLAIN, recordings=3, minutes=0.3, snrs_db=(None, 20, 3.5))
    mix(commands, tmp_path / "out", config, negatives=negatives)
    found = [row for row in rows(tmp_path / "out") if row["snr_db"] is not None]
    kinds = [(row["noise"], row["snr_db"]) for row in found]
    assert kinds == [(kind, snr) for kind in ("hum", "pulsed", "babble") for snr in (20, 3.5)]
    for row in found:
        number = row["file"][-7:-4]
        clean = sound(tmp_path / "out" / f"clean-{number}.wav")
        noisy = sound(tmp_path / "out" / row["file"])
        powers = [
            power(clean[round(each.start_s * RATE) + 400 : round(each.end_s * RATE) - 400])
            for each in read_labels(tmp_path / "out" / f"clean-{number}.txt")
        ]
        snr_db = 10 * np.log10(np.median(powers) / power(noisy - clean))
        assert snr_db == pytest.approx(row["snr_db"], abs=0.2)


def test_clean_has_a_noise_floor(commands: list[MixClip]) -> None:
    """Where nothing is said, a clean recording is at -65 dBFS and not digital silence."""
    scene = first_scene(commands, dataclasses.replace(PLAIN, least_pause_s=1, most_pause_s=1))
    pause = scene.wave[: RATE - 10]
    assert 10 * np.log10(power(pause)) == pytest.approx(-65, abs=0.5)


def test_words_are_the_same_in_all_noise(clips: list[MixClip], tmp_path: Path) -> None:
    """The same commands at the same times are in the recordings of every SNR."""
    config = dataclasses.replace(PLAIN, recordings=2, snrs_db=(None, 30, 0), unknown_share=0.3)
    mix(clips, tmp_path / "out", config)
    for number in ("000", "001"):
        names = [f"{condition}-{number}" for condition in ("clean", "30dB", "0dB")]
        truths = {(tmp_path / "out" / f"{name}.txt").read_text() for name in names}
        assert len(truths) == 1
        clean, noisy = (sound(tmp_path / "out" / f"{name}.wav") for name in names[:2])
        assert np.corrcoef(clean, noisy)[0, 1] > 0.99


def test_noise_is_never_clipped(commands: list[MixClip], tmp_path: Path) -> None:
    """A recording that would pass full scale is made softer as a whole."""
    config = dataclasses.replace(PLAIN, snrs_db=(-30,))
    mix(commands, tmp_path / "out", config)
    assert np.abs(sound(tmp_path / "out" / "-30dB-000.wav")).max() == pytest.approx(0.99, abs=1e-3)
    wave = np.array([4, -8, 1], np.float32)
    np.testing.assert_allclose(within_full_scale(wave) * 8 / 0.99, wave, rtol=1e-6)
    np.testing.assert_array_equal(within_full_scale(wave / 10), wave / 10)


def test_noise_of_ones_own(commands: list[MixClip], tmp_path: Path) -> None:
    """Recordings of noise are used in turn, instead of all made-up noise, and are named."""
    paths = [tmp_path / "fan.wav", tmp_path / "tram.wav"]
    for path, hz in zip(paths, (5000, 7000), strict=True):
        soundfile.write(path, burst(hz, before_s=0, tone_s=3, after_s=0), RATE)
    config = dataclasses.replace(PLAIN, recordings=3, snrs_db=(10,))
    mix(commands, tmp_path / "out", config, noises=paths)
    found = rows(tmp_path / "out")
    assert [row["noise"] for row in found] == ["fan", "tram", "fan"]
    for row, path, hz in zip(found, [*paths, paths[0]], (5000, 7000, 5000), strict=True):
        assert str(path) in row["sources"]
        wave = sound(tmp_path / "out" / row["file"])
        spectrum = np.abs(np.fft.rfft(wave))
        spectrum[: 4000 * len(wave) // RATE] = 0
        assert spectrum.argmax() * RATE / len(wave) == pytest.approx(hz, abs=5)


@pytest.mark.parametrize(("number", "kind"), [(0, "hum"), (1, "pulsed"), (2, "hum")])
def test_noise_lasts(number: int, kind: str) -> None:
    """Made-up noise goes on from the first second to the last, and no second is like another."""
    rng = np.random.default_rng(3)
    noise = recording_noise(rng, number, 5 * RATE + 7)
    assert (noise.kind, noise.wave.dtype, noise.wave.shape) == (kind, np.float32, (5 * RATE + 7,))
    seconds = noise.wave[: 5 * RATE].reshape(5, RATE)
    assert min(map(power, seconds)) > 0.1 * max(map(power, seconds))
    likeness = np.abs(np.corrcoef(seconds))[~np.eye(5, dtype=bool)]
    assert likeness.max() < 0.99


def test_babble_is_of_six_speakers(negatives: list[Negative]) -> None:
    """Six speakers, each by all their recordings, are equally loud; five make no babble."""
    noise = recording_noise(np.random.default_rng(4), 2, 20 * RATE, negatives=negatives)
    assert noise.kind == "babble"
    assert len(noise.sources) == 6
    hz = [SPEECH_HZ + 20 * (n - 3) for n in range(7)]
    spectrum = np.square(np.abs(np.fft.rfft(noise.wave)))
    strengths = sorted(spectrum[20 * f - 200 : 20 * f + 200].sum() for f in hz)
    assert strengths[0] < 0.2 * strengths[1]
    assert strengths[-1] < 1.5 * strengths[1]
    # The same recordings, but of five speakers.
    fewer = [Negative(each.path, f"s{n % 5}") for n, each in enumerate(negatives)]
    for number in range(6):
        assert recording_noise(np.random.default_rng(4), number, RATE, negatives=fewer).kind in (
            "hum", "pulsed",
        )  # fmt: skip


def test_of_a_speaker_with_hours_no_more_is_read_than_is_heard(
    negatives: list[Negative], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Babble names what it is made of, and what it does not need is not read."""
    everything = {str(each.path) for each in negatives}
    twice = [*negatives, *(Negative(each.path, each.speaker) for each in negatives)]
    read: list[str] = []
    monkeypatch.setattr(
        "speechrec.mix_noise.read_audio",
        lambda path, **options: (read.append(str(path)), read_audio(path, **options))[1],
    )
    noise = recording_noise(np.random.default_rng(4), 2, RATE // 2, negatives=twice)
    assert len(read) == 6
    assert tuple(read) == noise.sources
    assert set(read) <= everything


def test_silent_noise_is_refused(commands: list[MixClip], tmp_path: Path) -> None:
    """A noise recording without any sound is an error: no level of it gives the SNR."""
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    config = dataclasses.replace(PLAIN, snrs_db=(10,))
    with pytest.raises(AudioError, match=r"silent\.wav: expected noise or speech, found silence"):
        mix(commands, tmp_path / "out", config, noises=[tmp_path / "silent.wav"])


def test_a_constant_offset_is_no_sound(tmp_path: Path) -> None:
    """Clips, other speech and noise with an offset give the mix and truth of those without."""
    config = dataclasses.replace(
        PLAIN, snrs_db=(None, 0), equal_level=True, negative_share=0.5, overlap_share=0.3
    )
    mixed: list[tuple[Array, list[Any]]] = []
    for offset in (0.0, 0.1):
        folder = tmp_path / str(offset)
        folder.mkdir()
        for number, hz in enumerate((COMMAND_HZ, SPEECH_HZ, 5000)):
            wave = np.concatenate([burst(hz), burst(hz) / 2]) + np.float32(offset)
            soundfile.write(folder / f"{number}.wav", wave, RATE, subtype="FLOAT")
        clip, other, noise = sorted(folder.iterdir())
        mix(
            [MixClip(str(clip), "go")], folder / "out", config,
            negatives=[Negative(other, "anna")], noises=[noise],
        )  # fmt: skip
        for path in sorted((folder / "out").glob("*.wav")):
            mixed.append((sound(path), read_labels(path.with_suffix(".txt"), words=("go",))))
    assert len(mixed) == 4
    for (wave, truth), (other_wave, other_truth) in zip(mixed[:2], mixed[2:], strict=True):
        assert truth == other_truth
        np.testing.assert_allclose(wave, other_wave, atol=1e-3)


def test_noise_that_is_an_offset_alone_is_refused(tmp_path: Path) -> None:
    """No level of it is noise."""
    soundfile.write(tmp_path / "constant.wav", np.full(RATE, 0.3), RATE)
    with pytest.raises(AudioError, match=r"constant\.wav: expected noise or speech, found silence"):
        recording_noise(np.random.default_rng(4), 0, RATE, noises=[tmp_path / "constant.wav"])


# Loudness.


@pytest.mark.parametrize("before_s", [0.0, 0.1, 0.734])
@pytest.mark.parametrize("after_s", [0.0, 0.306])
def test_power_is_that_of_the_word(before_s: float, after_s: float) -> None:
    """However much faint sound is around a tone, its power is half of its amplitude's square."""
    wave = burst(COMMAND_HZ, before_s=before_s, after_s=after_s)
    wave[::2] += np.float32(0.005)
    assert 10 * np.log10(active_power(wave) / 0.045) == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize("hiss", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("before_s", [0.1, 0.25, 0.503])
def test_extent_is_that_of_the_word(before_s: float, hiss: float, rng: np.random.Generator) -> None:
    """The word's first and last sample are found within 20 ms, in silence and in hiss."""
    wave = burst(COMMAND_HZ, before_s=before_s, after_s=0.4)
    wave += np.float32(hiss) * rng.standard_normal(len(wave), dtype=np.float32)
    first, last = word_extent(wave)
    assert first / RATE == pytest.approx(before_s, abs=0.0201)
    assert last / RATE == pytest.approx(before_s + 0.3, abs=0.0201)


def test_a_breath_is_no_word() -> None:
    """What is 20 dB softer than the word does not belong to it, even in a silent room."""
    wave = np.concatenate([burst(COMMAND_HZ), burst(UNKNOWN_HZ) / 10])
    assert word_extent(wave)[1] / RATE == pytest.approx(0.5, abs=0.0201)


@pytest.mark.parametrize("samples", [1, 100, 161, RATE])
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_extent_where_nothing_stands_out(level: float, samples: int) -> None:
    """Silence, or one level throughout, is all word, however short."""
    first, last = word_extent(np.full(samples, level, np.float32))
    assert (first, last) == (0, samples)


# The folder.


def test_the_same_seed_gives_the_same_bytes(
    clips: list[MixClip], negatives: list[Negative], tmp_path: Path
) -> None:
    """Two mixes from one seed are equal in every byte; another seed gives other recordings."""
    config = dataclasses.replace(
        PLAIN, recordings=3, snrs_db=(None, 5), stretch_percent=10, negative_share=0.5,
        unknown_share=0.3, overlap_share=0.3,
    )  # fmt: skip
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        mix(clips, tmp_path / name, dataclasses.replace(config, seed=seed), negatives=negatives)
    one, again, two = (contents(tmp_path / name) for name in ("one", "again", "two"))
    assert len(one) == 13
    assert one == again
    assert one.keys() == two.keys()
    assert not set(one.values()) & set(two.values())
    # Nor are two recordings of one mix alike.
    assert len(set(one.values())) == 1 + 6 + 3


def test_more_recordings_leave_the_first_as_they_are(clips: list[MixClip], tmp_path: Path) -> None:
    """Neither the number of recordings nor that of SNRs changes what is in one of them."""
    mix(clips, tmp_path / "few", dataclasses.replace(PLAIN, snrs_db=(10,)))
    config = dataclasses.replace(PLAIN, recordings=2, snrs_db=(20, 10))
    mix(clips, tmp_path / "many", config)
    few, many = contents(tmp_path / "few"), contents(tmp_path / "many")
    for name in ("10dB-000.wav", "10dB-000.txt"):
        assert few[name] == many[name]


def test_the_folder_says_how_it_was_made(
    clips: list[MixClip], negatives: list[Negative], tmp_path: Path
) -> None:
    """mix.json has the settings, and a row a recording with what can be found in its files."""
    config = dataclasses.replace(PLAIN, snrs_db=(None, -5.5), seed=4, negative_share=1)
    calls: list[tuple[int, int]] = []
    made = mix(
        clips, tmp_path / "deep" / "out", config, negatives=negatives,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    folder = tmp_path / "deep" / "out"
    assert [path.name for path in folder.parent.iterdir()] == ["out"]
    assert sorted(contents(folder)) == [
        "-5.5dB-000.txt", "-5.5dB-000.wav", "clean-000.txt", "clean-000.wav", INFO_NAME,
    ]  # fmt: skip
    settings = json.loads((folder / INFO_NAME).read_text())["settings"]
    assert settings == {**dataclasses.asdict(config), "snrs_db": [None, -5.5]}
    assert calls == [(1, 2), (2, 2)]
    assert made.recordings == 2
    assert made.commands == sum(row["commands"] for row in rows(folder))
    for row in rows(folder):
        wave = folder / row["file"]
        assert len(sound(wave)) == row["duration_s"] * RATE == 12 * RATE
        assert len(read_labels(wave.with_suffix(".txt"))) == row["commands"]
        assert len(row["sources"]) == len(set(row["sources"]))
        assert any("speech" in source for source in row["sources"])
    assert [row["noise"] for row in rows(folder)] == ["none", "hum"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_mix_is_not_replaced(kind: str, commands: list[MixClip], tmp_path: Path) -> None:
    """A folder of something else, or a file, is refused and stays as it is."""
    out = tmp_path / "out"
    kept = out / "thesis.txt" if kind == "folder" else out
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("years of work")
    with pytest.raises(DatasetError, match="out: expected a new or empty folder or an earlier mix"):
        mix(commands, out, PLAIN)
    assert kept.read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_notes_in_a_mix_are_not_lost_with_it(commands: list[MixClip], tmp_path: Path) -> None:
    """Labels of one's own beside the recordings stand in the way of another mix."""
    config = dataclasses.replace(PLAIN, snrs_db=(None, 2.5, -10.0, 1e-7))
    mix(commands, tmp_path / "out", config)
    mix(commands, tmp_path / "out", config)
    notes = tmp_path / "out" / "clean-000.mine.txt"
    notes.write_text("heard")
    with pytest.raises(DatasetError, match=r"clean-000\.mine\.txt in it is no part of one"):
        mix(commands, tmp_path / "out", config)
    assert notes.read_text() == "heard"


@pytest.mark.parametrize("earlier", ["mix", "empty"])
def test_a_mix_takes_the_place_of_an_earlier_one(
    earlier: str, commands: list[MixClip], tmp_path: Path
) -> None:
    """Nothing of the earlier mix is left, and nothing lies beside the new one."""
    out = tmp_path / "out"
    out.mkdir()
    if earlier == "mix":
        mix(commands, out, dataclasses.replace(PLAIN, recordings=3, snrs_db=(5,)))
    mix(commands, out, PLAIN)
    assert sorted(contents(out)) == ["clean-000.txt", "clean-000.wav", INFO_NAME]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("existed", [True, False])
def test_a_failure_leaves_everything_as_it_was(
    existed: bool, commands: list[MixClip], tmp_path: Path
) -> None:
    """A mix that fails after its first recording keeps the earlier one and leaves no traces."""
    out = tmp_path / "out"
    if existed:
        mix(commands, out, PLAIN)
    before = contents(out) if existed else None

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mix(commands, out, dataclasses.replace(PLAIN, seed=9), progress=stop)
    assert (contents(out) if out.exists() else None) == before
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if existed else [])


# What cannot be mixed.


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recordings": 0}, "recordings: expected 1 or more, got 0"),
        ({"minutes": 0}, "minutes: expected above 0 to 120, got 0"),
        ({"minutes": 121}, "minutes: expected above 0 to 120, got 121"),
        ({"minutes": float("nan")}, "minutes: expected above 0 to 120, got nan"),
        ({"snrs_db": ()}, r"snrs_db \(--snr\): expected one or more, each once, got none"),
        ({"snrs_db": (None, None)}, r"snrs_db \(--snr\): .* each once, got clean, clean"),
        ({"snrs_db": (5, 5.0)}, r"snrs_db \(--snr\): .* each once, got 5dB, 5dB"),
        ({"snrs_db": (0.0, -0.0)}, r"snrs_db \(--snr\): .* each once, got 0dB, 0dB"),
        ({"snrs_db": (101,)}, r"snrs_db \(--snr\): expected -100 to 100 or clean, got 101"),
        ({"snrs_db": (-101,)}, r"snrs_db \(--snr\): .*got -101"),
        ({"snrs_db": (10, float("nan"))}, r"snrs_db \(--snr\): .*got nan"),
        (
            {"least_pause_s": 2, "most_pause_s": 1},
            r"least_pause_s \(--pause\): .* in order, got 2 and 1",
        ),
        (
            {"least_gain_db": 1},
            r"least_gain_db \(--level\): .* from -60 to 20 in order, got 1 and 0",
        ),
        ({"least_pause_s": -1}, "from 0 to 600 in order, got -1 and 0.3"),
        ({"most_pause_s": 601}, "from 0 to 600 in order, got 0.1 and 601"),
        ({"stretch_percent": 51}, r"stretch_percent \(--speed\): expected 0 to 50, got 51"),
        ({"stretch_percent": -1}, r"stretch_percent \(--speed\): expected 0 to 50, got -1"),
        ({"negative_share": 1.1}, "negative_share: expected 0 to 1, got 1.1"),
        ({"unknown_share": -0.1}, "unknown_share: expected 0 to 1, got -0.1"),
        ({"overlap_share": float("nan")}, "overlap_share: expected 0 to 1, got nan"),
        ({"seed": -1}, "seed: expected 0 or more, got -1"),
    ],
    ids=str,
)
def test_settings_out_of_range(changes: dict[str, Any], said: str) -> None:
    """A setting that makes no sense is refused by its name, with what it may be and what it is."""
    with pytest.raises(ConfigError, match=rf"^mix\.{said}$|^mix\..*{said}$"):
        dataclasses.replace(PLAIN, **changes)


def test_overlap_needs_other_speech(commands: list[MixClip], tmp_path: Path) -> None:
    """Commands cannot be said on top of other speech when there is none."""
    with pytest.raises(ConfigError, match=r"mix\.overlap_share: .* --negatives"):
        mix(commands, tmp_path / "out", dataclasses.replace(PLAIN, overlap_share=0.1))
    assert not (tmp_path / "out").exists()


def test_there_must_be_commands(clips: list[MixClip], tmp_path: Path) -> None:
    """Clips that are unknown words alone are refused, and so are none at all."""
    for none in ([], clips[5:]):
        with pytest.raises(DatasetError, match="expected clips of commands to mix, got none"):
            mix(none, tmp_path / "out", PLAIN)


@pytest.mark.parametrize("minutes", [1e-9, 0.005])
def test_a_recording_must_hold_a_command(minutes: float, commands: list[MixClip]) -> None:
    """A length that no clip fits into is refused instead of giving empty recordings."""
    with pytest.raises(ConfigError, match=r"mix\.minutes: expected room for a command"):
        first_scene(commands, dataclasses.replace(PLAIN, minutes=minutes))


def test_a_missing_clip_is_named(tmp_path: Path) -> None:
    """A clip whose file has gone is an error with its name."""
    with pytest.raises(AudioError, match=r"gone\.wav: no such file"):
        mix([MixClip(str(tmp_path / "gone.wav"), "go")], tmp_path / "out", PLAIN)


# Clips of a feature store, and the command.


@pytest.mark.parametrize("part", ["validation", "testing"])
def test_words_of_one_part(part: Any, feature_store: Path) -> None:
    """The words of a part are those of its speakers, with unknown ones unlabelled, no silence."""
    expected = [
        (clip.path, None if clip.label == "_unknown_" else clip.label)
        for clip in load_features(feature_store, part).clips
        if clip.label != "_silence_"
    ]
    clips = store_clips(feature_store, part)
    assert [clip[:2] for clip in clips] == expected
    assert {clip.label for clip in clips} == {"rise", "fall", "high", None}
    others = {clip.path for clip in load_features(feature_store, "training").clips}
    assert not others & {clip.path for clip in clips}


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Call:
    """`speechrec mix ...` in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    # Progress lines are not to be broken at 80 columns here.
    monkeypatch.setenv("COLUMNS", "400")

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["speechrec", "mix", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, *capfd.readouterr()

    return run


def test_command(call: Call, feature_store: Path, tmp_path: Path) -> None:
    """The command mixes clips of the named part as its options say, and tells what it made."""
    noise = tmp_path / "noise"
    noise.mkdir()
    soundfile.write(noise / "fan.wav", burst(5000), RATE)
    code, out, _ = call(
        "--features", feature_store, "--part", "validation", "--noise", noise, "--out", "mixed",
        "--recordings", "2", "--minutes", "0.3", "--snr", "clean, 10,-5", "--speed", "5",
        "--pause", "0.1,0.4", "--equal-level", "--level", "-20,-3",
        "--negative-share", "0", "--unknown-share", "0.5",
        "--overlap-share", "0", "--seed", "3",
    )  # fmt: skip
    assert code == 0
    assert out.startswith("6 recordings of 0.3 minutes with ")
    assert " in mixed (clean, 10dB, -5dB; " in out
    about = json.loads((tmp_path / "mixed" / INFO_NAME).read_text())
    assert about["settings"] == {
        "recordings": 2, "minutes": 0.3, "snrs_db": [None, 10, -5], "least_pause_s": 0.1,
        "most_pause_s": 0.4, "equal_level": True, "least_gain_db": -20, "most_gain_db": -3,
        "stretch_percent": 5, "negative_share": 0, "unknown_share": 0.5,
        "overlap_share": 0, "seed": 3,
    }  # fmt: skip
    chosen = {clip.path for clip in store_clips(feature_store, "validation")}
    for row in about["recordings"]:
        own = {str(noise / "fan.wav")} if row["snr_db"] is not None else set()
        assert own <= set(row["sources"]) <= chosen | own


@pytest.mark.parametrize("option", ["--noise", "--negatives"])
def test_what_is_read_is_not_replaced(
    option: str, call: Call, feature_store: Path, tmp_path: Path
) -> None:
    """An earlier mix in which somebody keeps recordings does not take them along."""
    (tmp_path / "out" / "own").mkdir(parents=True)
    (tmp_path / "out" / INFO_NAME).write_text("{}")
    # Of these some are for testing.
    for number in range(20):
        soundfile.write(tmp_path / "out" / "own" / f"{number}.wav", burst(5000), RATE)
    code, _, err = call("--features", feature_store, option, "out/own", "--out", "out")
    assert code == 1
    assert "apart from what is read" in err
    assert len(list((tmp_path / "out" / "own").iterdir())) == 20


def test_command_with_other_speech(call: Call, feature_store: Path, tmp_path: Path) -> None:
    """Other speech is of speakers of the part, by a pattern for its files' names, and babbles."""
    for n, take in itertools.product(range(40), "ab"):
        path = tmp_path / "speech" / f"an{n}-s{n}-{take}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, burst(SPEECH_HZ), RATE)
    code, _, _ = call(
        "--features", feature_store, "--negatives", "speech", "--recordings", "3", "--snr", "0",
        "--minutes", "0.3", "--pause", "0.1,0.1", "--negative-share", "0.5", "--overlap-share", "1",
        "--speaker-pattern", "^[^-]+-([^-]+)-",
    )  # fmt: skip
    assert code == 0
    found = rows(tmp_path / "data" / "mix")
    assert [row["noise"] for row in found] == ["hum", "pulsed", "babble"]
    heard = [
        {name for name in map(Path, row["sources"]) if name.parent == Path("speech")}
        for row in found
    ]
    speakers = {name.stem.split("-")[1] for names in heard for name in names}
    assert speakers <= {f"s{n}" for n in range(40) if 25 <= percentile(f"s{n}") < 50}
    # Six speakers, two recordings each.
    assert len(heard[2]) >= 12


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--snr", "abc"], "--snr: expected clean or decibels between commas"),
        (["--snr", "10,"], "--snr: expected clean or decibels between commas"),
        (["--snr", "500"], "mix.snrs_db (--snr): expected -100 to 100"),
        (["--pause", "1"], "--pause: expected MIN,MAX, got '1'"),
        (["--pause", "a,b"], "--pause: expected MIN,MAX, got 'a,b'"),
        (["--pause", "3,1"], "mix.least_pause_s (--pause): expected"),
        (["--minutes", "0"], "mix.minutes: expected above 0 to 120"),
        (["--speed", "90"], "mix.stretch_percent (--speed): expected 0 to 50"),
        (["--noise", "none"], "none: expected recordings of noise, found none"),
        (["--negatives", "none"], "none: expected recordings without commands"),
        (["--features", "none"], "none: expected a finished feature store"),
        (["--negative-share", "0.5"], "--negative-share: is of the speech in --negatives"),
        (["--speaker-pattern", "(.)"], "--speaker-pattern: is of the speech in --negatives"),
        (["--overlap-share", "1"], "mix.overlap_share: expected recordings of other speech"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line(
    arguments: list[str], said: str, call: Call, feature_store: Path, tmp_path: Path
) -> None:
    """A mistake is one line on standard error and exit code 1, and nothing is written."""
    code, out, err = call("--features", feature_store, "--minutes", "0.1", *arguments)
    assert (code, out) == (1, "")
    lines = [line for line in err.splitlines() if line.startswith("speechrec: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"speechrec: {said}")
    assert "Traceback" not in err
    assert not list((tmp_path / "data").rglob("*.*"))
