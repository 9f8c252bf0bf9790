"""Promises of the synthetic corpus; skipped where no synthesiser is installed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from speechrec.config import UNKNOWN
from speechrec.errors import DatasetError, UnspeakableError
from speechrec.recording import Recording
from speechrec.recordings import Corpus

pytest.importorskip("py_nanotts")

from speechrec.cli import app
from speechrec.features import Array
from speechrec.synth import RATE_HZ, synthesise
from speechrec.synth_cast import Phrase, installed_engines

# Hibari's network is not always the same to the last bit.
NEARLY = 5e-3


def synth(
    folder: Path,
    words: str,
    others: str,
    *,
    voices: int,
    phrases: int = 0,
    foreign: int = 0,
    in_turn: int = 1,
    held_out: bool = False,
    seed: int = 0,
) -> str:
    """Speak in a process of its own: eSpeak NG's sound also follows from what it said before.

    Returns what is said of it.
    """
    command = [
        sys.executable, "-m", "speechrec", "synth", "--out", str(folder), "--words", words,
        "--others", others, "--voices", str(voices), "--phrases", str(phrases),
        "--foreign-phrases", str(foreign), "--in-turn", str(in_turn), "--seed", str(seed),
        *(["--held-out"] if held_out else []),
    ]  # fmt: skip
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two keywords and one other word in four voices."""
    folder = tmp_path_factory.mktemp("synth") / "corpus"
    synth(folder, "yes,stop", "house,yes", voices=4)
    return folder


def test_every_word_is_said_by_every_voice(spoken: Path) -> None:
    """Keywords three times a voice, other words once and under _unknown_, a keyword never there."""
    items = [item for item in Corpus(spoken) if isinstance(item, Recording)]
    voices = {item.speaker for item in items}
    assert len(voices) == 4
    for word, takes in (("yes", 3), ("stop", 3), ("_unknown_", 1)):
        said = sorted(item.speaker for item in items if item.word == word)
        assert said == sorted(list(voices) * takes)


def test_clips_are_one_second_of_sound_with_a_word_in_it(spoken: Path) -> None:
    """16 kHz, 16 bits, one second, neither silent nor clipped, and louder where the word is."""
    for path in sorted((spoken / "yes").glob("*.wav")):
        info = soundfile.info(path)
        wave, _ = soundfile.read(path)
        assert (info.samplerate, info.subtype, len(wave)) == (RATE_HZ, "PCM_16", RATE_HZ)
        assert 0.03 < np.abs(wave).max() < 1
        blocks = np.sqrt(np.mean(wave.reshape(20, -1) ** 2, axis=1))
        assert blocks.max() > 2 * np.median(np.sort(blocks)[:5])


def test_the_same_command_makes_the_same_sound(tmp_path: Path) -> None:
    """The same words, voices and seed make the same files; another seed makes others."""
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        synth(tmp_path / name, "yes", "", voices=3, seed=seed)
    for path in sorted((tmp_path / "one" / "yes").glob("*.wav")):
        one, same, other = (
            soundfile.read(tmp_path / name / "yes" / path.name)[0]
            for name in ("one", "same", "other")
        )
        np.testing.assert_allclose(one, same, atol=NEARLY)
        assert np.abs(one - other).max() > 10 * NEARLY


def test_a_word_that_is_named_twice_is_one(tmp_path: Path) -> None:
    """It is said as often as any other and counted once."""
    made = synthesise(tmp_path / "x", ("yes", "yes"), ("yes",), voices=3, seed=0)
    assert (made.words, made.clips) == (1, len(list((tmp_path / "x").rglob("*.wav")))) == (1, 9)


def test_a_keyword_is_no_other_word_however_it_is_written(tmp_path: Path) -> None:
    """Or else the same sound would be taught as both."""
    made = synthesise(tmp_path / "x", ("Yes",), ("yes", "go"), voices=3, seed=0)
    assert made.words == 2
    assert not list((tmp_path / "x" / UNKNOWN).glob("*_yes.wav"))


def test_nothing_is_written_over(spoken: Path) -> None:
    """A folder with content is refused, and stays."""
    before = sorted(spoken.rglob("*"))
    with pytest.raises(DatasetError, match="expected a new or empty folder"):
        synthesise(spoken, ("yes",), (), voices=3, seed=0)
    assert sorted(spoken.rglob("*")) == before


@pytest.mark.parametrize("word", ["../x", "_noise", ".hidden", "y\udce9s", "la\tmp"])
def test_a_word_must_be_able_to_name_a_folder(tmp_path: Path, word: str) -> None:
    """A word that would write elsewhere or be passed over is an error that names it."""
    with pytest.raises(DatasetError, match="can name a folder"):
        synthesise(tmp_path / "x", (word,), (), voices=3, seed=0)


def test_the_corpus_says_that_its_voices_are_synthetic(spoken: Path) -> None:
    """Whoever finds the folder can see where it comes from."""
    assert "Synthetic voices" in (spoken / "ABOUT.txt").read_text()


def test_held_out_voices_are_others(tmp_path: Path) -> None:
    """So many voices that training would have those that are held out are refused."""
    most = 1000 * len(installed_engines())
    with pytest.raises(DatasetError, match=f"expected at most {most} voices .* are held out"):
        synthesise(tmp_path / "x", ("yes",), (), voices=most + 1, seed=0)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("words", ["", " , "])
def test_no_words_are_refused_before_phrases_are_sought(tmp_path: Path, words: str) -> None:
    """Near-misses of no word are none, which must not end in a traceback."""
    done = CliRunner().invoke(
        app, ["synth", "--words", words, "--foreign-phrases", "5", "--out", str(tmp_path / "x")]
    )
    assert isinstance(done.exception, DatasetError)
    assert "expected words to speak" in str(done.exception)


def test_phrases_are_unknown_words_of_all_voices(tmp_path: Path) -> None:
    """As many as asked for, in turn by the voices, each a second that is not silent."""
    synth(tmp_path / "x", "yes", "", voices=3, phrases=7)
    items = [item for item in Corpus(tmp_path / "x") if isinstance(item, Recording)]
    phrases = [item for item in items if item.word == "_unknown_"]
    assert len(phrases) == 7
    assert {item.speaker for item in phrases} == {item.speaker for item in items}
    waves = [soundfile.read(item.path)[0] for item in phrases]
    assert {len(wave) for wave in waves} == {RATE_HZ}
    assert all(np.abs(wave).max() > 0.03 for wave in waves)


def test_phrases_in_turn_share_a_recording(tmp_path: Path) -> None:
    """A recording holds, a second each, what would else be recordings of their own."""
    synth(tmp_path / "one", "yes", "", voices=3, phrases=14)
    said = synth(tmp_path / "three", "yes", "", voices=3, phrases=14, in_turn=3)
    files = len(list((tmp_path / "three").rglob("*.wav")))
    assert said.startswith(f"{files} clips of 1 words and 14 phrases")
    alone = {
        path.name: soundfile.read(path)[0] for path in (tmp_path / "one" / "_unknown_").iterdir()
    }
    # Of 14 phrases the voices say 5, 5 and 4.
    for path in (tmp_path / "three" / "_unknown_").iterdir():
        voice, number = path.stem.split("phrase")
        after = (n for n in range(int(number), 14) if f"{voice}phrase{n}.wav" in alone)
        expected = [alone.pop(f"{voice}phrase{n}.wav") for n in list(after)[:3]]
        np.testing.assert_allclose(soundfile.read(path)[0], np.concatenate(expected), atol=NEARLY)
    assert not alone


def test_what_was_stopped_leaves_nothing(tmp_path: Path) -> None:
    """A corpus that was not finished is not there, and no part of it is in the next."""

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesise(tmp_path / "x", ("yes", "no"), (), voices=3, seed=0, progress=stop)
    assert not list(tmp_path.iterdir())
    synthesise(tmp_path / "x", ("yes",), (), voices=3, seed=0)
    assert {path.name for path in (tmp_path / "x").iterdir()} == {"ABOUT.txt", "yes"}


def test_held_out_voices_never_speak_otherwise(tmp_path: Path) -> None:
    """As many voices, of the same engines, none of them heard without --held-out."""
    voices = {}
    for held_out in (False, True):
        folder = tmp_path / str(held_out)
        synth(folder, "yes", "", voices=6, phrases=6, held_out=held_out)
        items = [item for item in Corpus(folder) if isinstance(item, Recording)]
        voices[held_out] = {item.speaker for item in items}
    assert len(voices[True]) == len(voices[False]) == 6
    assert not voices[True] & voices[False]
    engines = ({name.split("-")[0] for name in names} for names in voices.values())
    assert len(set(map(frozenset, engines))) == 1


def test_foreign_phrases_are_said_by_those_who_can(tmp_path: Path) -> None:
    """Each of them once, as unknown words, and none in the voice that knows English alone."""
    pytest.importorskip("espeakng_loader")
    pytest.importorskip("hibari")
    synth(tmp_path / "x", "yes", "", voices=6, foreign=40)
    items = [item for item in Corpus(tmp_path / "x") if isinstance(item, Recording)]
    phrases = [item for item in items if item.word == "_unknown_"]
    assert len(phrases) == 40
    assert {item.speaker.split("-")[0] for item in phrases} == {"espeak", "pico"}
    assert {item.speaker.split("-")[0] for item in items} == {"espeak", "pico", "hibari"}


def crashing(folder: Path, times: int) -> str:
    """A Python that crashes so many times before it works."""
    for number in range(times):
        (folder / f"crash-{number}").touch()
    python = folder / "python"
    python.write_text(
        f"#!/bin/sh\n"
        f'for file in "{folder}"/crash-*; do\n'
        f'    test -e "$file" && rm "$file" && kill -SEGV $$\n'
        f"done\n"
        f'exec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    return str(python)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script for Python")
def test_a_voice_that_crashes_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """It says the same; what it crashes on again and again is named."""
    from speechrec.synth_pico import Pico

    expected, _ = Pico().speak("yes", 3, np.random.default_rng(0))
    monkeypatch.setattr(sys, "executable", crashing(tmp_path, times=1))
    heard, rate_hz = Pico().speak("yes", 3, np.random.default_rng(0))
    assert rate_hz == 16_000
    np.testing.assert_array_equal(heard, expected)
    monkeypatch.setattr(sys, "executable", crashing(tmp_path, times=5))
    with pytest.raises(UnspeakableError, match="crashed twice on 'yes'"):
        Pico().speak("yes", 3, rng)


def test_a_voice_is_not_led_astray_by_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """Its process imports none of the files that lie where the command was given."""
    from speechrec.synth_pico import Pico

    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.chdir(tmp_path)
    wave, _ = Pico().speak("yes", 3, rng)
    assert np.abs(wave).max() > 0.1


class Monoglot:
    """An engine that cannot be asked for anything else."""

    name = "Monoglot"

    def speaks(self, language: str) -> bool:
        return language == "en"

    def speak(
        self, text: str, voice: int, rng: np.random.Generator, language: str = "en"
    ) -> tuple[Array, int]:
        raise AssertionError(text)

    def voice_name(self, voice: int) -> str:
        return f"monoglot-{voice}"


class Mumbler(Monoglot):
    """An engine that hums everything but what has no vowel."""

    name = "Mumbler"

    def speak(
        self, text: str, voice: int, rng: np.random.Generator, language: str = "en"
    ) -> tuple[Array, int]:
        said = np.sin(np.arange(4000, dtype=np.float32)) * any(vowel in text for vowel in "aeiou")
        return said.astype(np.float32), RATE_HZ


def test_phrases_that_a_voice_cannot_say_are_left_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are drawn from lists of words, so nobody could choose another spelling."""
    monkeypatch.setattr("speechrec.synth.installed_engines", lambda: (Mumbler(),))
    drawn = [Phrase(text) for text in ("house", "psst", "tree", "hmm", "bird", "brr", "car")]
    monkeypatch.setattr("speechrec.vocabulary.phrases", lambda *_, **__: drawn)
    command = ["synth", "--words", "yes", "--others", "", "--voices", "3", "--phrases", "7"]
    out = tmp_path / "corpus"
    result = CliRunner().invoke(app, [*command, "--in-turn", "3", "--out", str(out)])
    assert result.exit_code == 0, result.output
    # Voice 0 says phrases 0, 3 and 6, voice 1 phrases 1 and 4, voice 2 phrases 2 and 5.
    seconds = sorted(soundfile.info(path).duration for path in (out / "_unknown_").iterdir())
    assert seconds == [1, 1, 2]
    assert result.output.startswith("12 clips of 1 words and 4 phrases by 3 synthetic voices")
    assert result.output.endswith("the voice in turn cannot say them: 3\n")


def test_a_word_that_a_voice_cannot_say_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked for by name, so it is not left out; nothing is left behind."""
    monkeypatch.setattr("speechrec.synth.installed_engines", lambda: (Mumbler(),))
    with pytest.raises(UnspeakableError, match="Mumbler cannot say 'psst'; choose another"):
        synthesise(tmp_path / "x", ("yes", "psst"), (), voices=3, seed=0)
    assert not (tmp_path / "x").exists()


def test_a_language_that_nobody_speaks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is spoken, and it is named."""
    monkeypatch.setattr("speechrec.synth.installed_engines", lambda: (Monoglot(),))
    with pytest.raises(DatasetError, match="speaks 'fr'"):
        synthesise(tmp_path / "x", ("yes",), (), voices=3, seed=0, phrases=[Phrase("oui", "fr")])
    assert not (tmp_path / "x").exists()
