"""Sound in blocks is the sound as a whole, whatever it comes from and however it is cut."""

import errno
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speechrec.audio import read_audio
from speechrec.errors import AudioError, ConfigError
from speechrec.sndfile import read_info
from speechrec.sources import file_blocks, raw_blocks

RATE = 16_000
Array = npt.NDArray[np.float32]


def sound(seconds: float, *, channels: int = 1, rate: int = RATE) -> npt.NDArray[np.float64]:
    """(samples, channels): noise."""
    shape = (round(seconds * rate), channels)
    return 0.1 * np.random.default_rng(5).standard_normal(shape)


class Pipe(io.BytesIO):
    """Gives back some of what is asked for, as a pipe does."""

    def __init__(self, data: bytes, sizes: Callable[[], int]) -> None:
        super().__init__(data)
        self._sizes = sizes

    def read1(self, size: int | None = -1) -> bytes:
        return self.read(min(size or -1, self._sizes()))


def joined(blocks: Iterator[Array]) -> Array:
    return np.concatenate(list(blocks))


@pytest.mark.parametrize(
    ("name", "rate", "channels", "options"),
    [
        ("plain.wav", RATE, 1, {}),
        ("wide.wav", 48_000, 3, {"subtype": "PCM_24"}),
        ("loud.wav", 44_100, 2, {"subtype": "FLOAT"}),
        ("lossy.mp3", 44_100, 2, {}),
        ("lossy.ogg", 22_050, 1, {"subtype": "VORBIS"}),
        ("opus.ogg", 48_000, 1, {"subtype": "OPUS"}),
        ("packed.flac", 8000, 2, {}),
    ],
)
def test_blocks_of_a_file_are_the_file(
    tmp_path: Path, name: str, rate: int, channels: int, options: dict[str, str]
) -> None:
    """A file in blocks gives bit for bit the samples it gives as a whole, resampled or not."""
    path = tmp_path / name
    # Floating-point samples go far past full scale, and so do lossy decoders with much at full
    # scale. The length is no multiple of a block's.
    wave = 40 * sound(4.7, channels=channels, rate=rate)
    wave = wave if options.get("subtype") == "FLOAT" else np.clip(wave, -1, 1)
    soundfile.write(path, wave, rate, **options)
    blocks = list(file_blocks(path, sample_rate_hz=RATE))
    assert len(blocks) > 1
    assert np.array_equal(np.concatenate(blocks), read_audio(path, sample_rate_hz=RATE))


def test_a_file_longer_than_memory_allows_clips_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest clip is no limit for blocks."""
    monkeypatch.setattr("speechrec.limits.MAX_SECONDS", 1.0)
    soundfile.write(tmp_path / "a.wav", sound(3), RATE, subtype="PCM_24")
    assert len(joined(file_blocks(tmp_path / "a.wav", sample_rate_hz=RATE))) == 3 * RATE


@pytest.mark.parametrize("subtype", ["PCM_16", "ULAW", "FLOAT"])
def test_a_long_wav_that_was_cut_is_truncated(tmp_path: Path, subtype: str) -> None:
    """As a short one is: libsndfile would take what there is for the whole."""
    path = tmp_path / "cut.wav"
    soundfile.write(path, sound(3), RATE, subtype=subtype)
    path.write_bytes(path.read_bytes()[:-10_000])
    with pytest.raises(AudioError) as caught:
        joined(file_blocks(path, sample_rate_hz=RATE))
    assert caught.value.kind == "truncated"
    with pytest.raises(AudioError) as caught:
        read_audio(path, sample_rate_hz=RATE, offset_s=1, duration_s=1)
    assert caught.value.kind == "truncated"


def test_a_pipe_among_files_is_not_waited_for(tmp_path: Path) -> None:
    """Recordings are heard twice; what waits in a folder of them for a sender is an error."""
    os.mkfifo(tmp_path / "a.wav")
    for read in (read_info, lambda path: next(file_blocks(path, sample_rate_hz=RATE))):
        with pytest.raises(AudioError, match=r"a\.wav: expected a file, found a pipe"):
            read(tmp_path / "a.wav")


@pytest.mark.parametrize(("riff", "data"), [(0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (1, 0x7FFF0000)])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "ULAW"])
def test_a_long_wav_from_a_pipe_is_all_there(
    tmp_path: Path, riff: int, data: int, subtype: str
) -> None:
    """A length that could not be written when it was known counts for nothing."""
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(3), RATE, subtype=subtype)
    wanted = read_audio(path, sample_rate_hz=RATE)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[4:8], content[at : at + 4] = riff.to_bytes(4, "little"), data.to_bytes(4, "little")
    path.write_bytes(content)
    assert np.array_equal(joined(file_blocks(path, sample_rate_hz=RATE)), wanted)
    assert np.array_equal(read_audio(path, sample_rate_hz=RATE), wanted)
    assert path.read_bytes() == content


def test_a_recording_from_a_pipe_that_gets_shorter_is_a_fault(tmp_path: Path) -> None:
    """As when its recorder begins anew: an error of this file, and not the end of the process."""
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(60), RATE)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[4:8] = content[at : at + 4] = b"\xff" * 4
    path.write_bytes(content)
    blocks = file_blocks(path, sample_rate_hz=RATE)
    assert len(next(blocks))
    os.truncate(path, 44)
    with pytest.raises(AudioError, match=r"expected 60\.000 s of sound, found ") as caught:
        joined(blocks)
    assert caught.value.kind == "truncated"


def test_a_truncated_file_gives_what_there_is_and_then_its_fault(tmp_path: Path) -> None:
    """The blocks before the end of a truncated file come, and then the error that says so."""
    whole = tmp_path / "whole.flac"
    soundfile.write(whole, sound(20), RATE)
    cut = tmp_path / "cut.flac"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    blocks = file_blocks(cut, sample_rate_hz=RATE)
    assert len(next(blocks)) > RATE
    with pytest.raises(AudioError) as caught:
        list(blocks)
    assert caught.value.kind in ("truncated", "unreadable")
    assert str(cut) in str(caught.value)


@pytest.mark.parametrize("what", ["missing", "folder", "text", "nothing"])
def test_what_is_no_sound_is_named(tmp_path: Path, what: str) -> None:
    """No file, a folder, a text and a sound without samples are each an error with their path."""
    path = tmp_path / f"{what}.wav"
    if what == "folder":
        path.mkdir()
    elif what == "text":
        path.write_text("not a sound")
    elif what == "nothing":
        soundfile.write(path, np.zeros(0), RATE)
    with pytest.raises(AudioError, match=str(path)):
        list(file_blocks(path, sample_rate_hz=RATE))


def test_nan_in_a_file_is_refused(tmp_path: Path) -> None:
    """A sample that is no number is an error, not a block."""
    wave = sound(2)
    wave[RATE] = np.nan
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    with pytest.raises(AudioError) as caught:
        list(file_blocks(tmp_path / "a.wav", sample_rate_hz=RATE))
    assert caught.value.kind == "not_finite"


def test_what_comes_before_no_number_in_a_file_is_heard(tmp_path: Path) -> None:
    """Of floats too, which are gone through once before for the greatest of them."""
    wave = 4 * sound(10)[:, 0]
    wave[-5] = np.nan
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    found: list[np.ndarray] = []
    with pytest.raises(AudioError, match="NaN"):
        found.extend(file_blocks(tmp_path / "a.wav", sample_rate_hz=RATE))
    heard = np.concatenate(found)
    assert len(heard) > 5 * RATE
    before = wave[: len(heard)]
    assert np.abs(before).max() > 1
    np.testing.assert_allclose(heard, before / np.abs(before).max(), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=20), resampled=st.booleans())
def test_raw_samples_do_not_depend_on_how_they_are_cut(sizes: list[int], resampled: bool) -> None:
    """Raw PCM that comes in any pieces, odd bytes too, gives bit for bit the same samples."""
    rate = 44_100 if resampled else RATE
    data = (sound(0.3, channels=2, rate=rate) * 32767).astype("<i2").tobytes()
    counter = iter(sizes * 100_000)
    options = {"rate_hz": rate, "sample_rate_hz": RATE, "channels": 2}
    wanted = joined(raw_blocks(io.BytesIO(data), **options))
    assert np.array_equal(joined(raw_blocks(Pipe(data, lambda: next(counter)), **options)), wanted)


def test_raw_samples_are_those_of_the_file(tmp_path: Path) -> None:
    """The bytes of a WAV file's samples give the samples of the file."""
    pcm = (sound(1, channels=2, rate=48_000) * 32767).astype("<i2")
    soundfile.write(tmp_path / "a.wav", pcm, 48_000)
    raw = raw_blocks(io.BytesIO(pcm.tobytes()), rate_hz=48_000, sample_rate_hz=RATE, channels=2)
    assert np.array_equal(joined(raw), read_audio(tmp_path / "a.wav", sample_rate_hz=RATE))


@pytest.mark.parametrize(
    ("encoding", "data", "wanted"),
    [
        ("u8", bytes([0, 128, 192, 255]), [-1, 0, 0.5, 127 / 128]),
        ("s16le", np.array([-32768, 0, 16384], "<i2").tobytes(), [-1, 0, 0.5]),
        ("s32le", np.array([-(2**31), 0, 2**30], "<i4").tobytes(), [-1, 0, 0.5]),
        ("f32le", np.array([-1, 0, 0.5], "<f4").tobytes(), [-1, 0, 0.5]),
    ],
)
def test_encodings(encoding: str, data: bytes, wanted: list[float]) -> None:
    """Every encoding has full scale at one."""
    blocks = raw_blocks(io.BytesIO(data), rate_hz=RATE, sample_rate_hz=RATE, encoding=encoding)
    assert joined(blocks).tolist() == wanted


def test_a_cut_frame_is_left_out() -> None:
    """A stream that stops in the middle of a frame gives its whole frames."""
    data = np.arange(5, dtype="<i2").tobytes() + b"\x01"
    blocks = raw_blocks(io.BytesIO(data), rate_hz=RATE, sample_rate_hz=RATE, channels=2)
    assert len(joined(blocks)) == 2


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x02\x03"])
def test_raw_sound_without_a_sample_is_told(data: bytes) -> None:
    """What should have sent it has failed, as a rule."""
    with pytest.raises(AudioError, match="expected raw PCM, got no samples") as caught:
        list(raw_blocks(io.BytesIO(data), rate_hz=RATE, sample_rate_hz=RATE))
    assert caught.value.kind == "empty"


def test_a_pipe_is_not_waited_for() -> None:
    """What has come in is handed on while the other end of the pipe stays open."""
    reading, writing = os.pipe()
    data = np.zeros(160, "<i2").tobytes()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as pipe:
        blocks = raw_blocks(stream, rate_hz=RATE, sample_rate_hz=RATE)
        pipe.write(data)
        first: list[int] = []
        reader = threading.Thread(target=lambda: first.append(len(next(blocks))), daemon=True)
        reader.start()
        reader.join(10)
        assert first == [160]


@pytest.mark.parametrize("start", [b"RIFF", b"fLaC", b"OggS", b"FORM", b".snd", b"ID3\x04"])
def test_a_header_is_not_taken_for_samples(start: bytes) -> None:
    """A sound file instead of raw PCM is refused with what to do, in one-byte pieces too."""
    for stream in (io.BytesIO(start + bytes(400)), Pipe(start + bytes(400), lambda: 1)):
        with pytest.raises(AudioError, match="-t raw"):
            list(raw_blocks(stream, rate_hz=RATE, sample_rate_hz=RATE, encoding="u8"))


def test_floats_that_are_none_are_refused() -> None:
    """Bytes of another encoding read as floats are an error, not a detection."""
    data = np.array([0.1, np.nan], "<f4").tobytes()
    with pytest.raises(AudioError) as caught:
        list(raw_blocks(io.BytesIO(data), rate_hz=RATE, sample_rate_hz=RATE, encoding="f32le"))
    assert caught.value.kind == "not_finite"


def test_live_sound_beyond_full_scale_is_clipped_before_it_is_resampled() -> None:
    """A broken sample is a click, not a burst of the resampler's ringing or no number at all."""
    frames = np.zeros(48_000, "<f4")
    frames[20_000:20_002] = 3e38

    def heard(frames: np.ndarray) -> Array:
        stream = io.BytesIO(frames.tobytes())
        return joined(raw_blocks(stream, rate_hz=48_000, sample_rate_hz=RATE, encoding="f32le"))

    assert np.array_equal(heard(frames), heard(np.clip(frames, -1, 1)))


def test_what_cannot_be_read_any_more_is_a_fault() -> None:
    """Of the sound, as that of a device that goes away; what came before it is heard."""

    class Device(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            if data := super().read1(size):
                return data
            raise OSError(errno.EIO, "Input/output error")

    stream = raw_blocks(Device(bytes(3200)), rate_hz=RATE, sample_rate_hz=RATE)
    assert len(next(stream)) == 1600
    with pytest.raises(AudioError, match="<stream>: cannot be read: Input/output error"):
        next(stream)


@pytest.mark.parametrize("size", [8, 100, 1 << 16])
def test_what_comes_before_no_number_is_heard(size: int) -> None:
    """However the pipe has cut it: the frames before the first that is none are yielded."""
    frames = np.full((50, 2), 0.25, "<f4")
    frames[40, 1] = np.inf
    blocks: list[Array] = []
    stream = raw_blocks(
        Pipe(frames.tobytes(), lambda: size),
        rate_hz=RATE, sample_rate_hz=RATE, channels=2, encoding="f32le",
    )  # fmt: skip
    with pytest.raises(AudioError, match="NaN or infinite"):
        blocks.extend(stream)
    assert np.array_equal(np.concatenate(blocks), np.full(40, 0.25, np.float32))


@pytest.mark.parametrize(
    "wrong", [{"rate_hz": 0}, {"rate_hz": 10**7}, {"channels": 0}, {"encoding": "s8"}]
)
def test_no_sound_has_such_settings(wrong: dict[str, object]) -> None:
    """A rate, a number of channels and an encoding that no sound has are refused at once."""
    with pytest.raises(ConfigError, match="expected"):
        raw_blocks(io.BytesIO(), **{"rate_hz": RATE, "sample_rate_hz": RATE, **wrong})  # type: ignore[arg-type]
