"""Decoding equals soundfile's; every fault has its kind; no bytes bring the reader down."""

import contextlib
import errno
import hashlib
import io
import mmap
import os
import struct
import threading
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speechrec import audio
from speechrec.audio import (
    Decoded,
    decode,
    file_sha256,
    read_audio,
    read_bytes,
)
from speechrec.errors import AudioError
from speechrec.mp3 import counted
from speechrec.sndfile import read_info
from speechrec.usable import check_usable
from speechrec.wav import wav_layout

pytestmark = pytest.mark.usefixtures("loops")

Array = npt.NDArray[np.float64]
RATE = 16_000
SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW")


def tone(samples: int = 4000, *, channels: int = 1, hz: float = 440.0, rate: int = RATE) -> Array:
    """(samples, channels): a tone and a little noise, different in every channel."""
    t = np.arange(samples)[:, np.newaxis] / rate
    level = np.linspace(0.7, 0.2, channels)
    noise = np.random.default_rng(3).standard_normal((samples, channels))
    return level * np.sin(2 * np.pi * hz * t) + 0.01 * noise


def encode(
    samples: npt.ArrayLike, rate: int = RATE, *, subtype: str | None = None, kind: str = "WAV"
) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(samples), rate, subtype=subtype, format=kind)
    return buffer.getvalue()


def reference(data: bytes) -> npt.NDArray[np.float32]:
    """soundfile's (channels, frames) float32 of the bytes."""
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return samples.T


def chunk(name: bytes, body: bytes, *, size: int | None = None) -> bytes:
    pad = b"\0" * (len(body) % 2)
    return name + struct.pack("<I", len(body) if size is None else size) + body + pad


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def fmt(*, tag: int = 1, channels: int = 1, rate: int = RATE, bits: int = 16) -> bytes:
    block = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits))


PCM = (tone()[:, 0] * 20_000).astype("<i2")


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("subtype", SUBTYPES)
@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
def test_every_kind_of_wav_decodes_as_soundfile_decodes_it(
    kind: str, subtype: str, channels: int
) -> None:
    """Integer, float and companded WAV, plain and extensible, give soundfile's very numbers."""
    data = encode(tone(channels=channels), subtype=subtype, kind=kind)
    decoded = decode(data)
    assert decoded.rate_hz == RATE
    assert decoded.samples.dtype == np.float32
    np.testing.assert_array_equal(decoded.samples, reference(data))


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_the_rate_comes_from_the_header(rate: int) -> None:
    """A file of any usual rate is decoded at its own rate."""
    data = encode(tone(), rate)
    decoded = decode(data)
    assert decoded.rate_hz == rate
    np.testing.assert_array_equal(decoded.samples, reference(data))


@pytest.mark.parametrize(("width", "scale"), [(2, 2**15), (3, 2**23), (4, 2**31)])
def test_integers_are_divided_by_full_scale(width: int, scale: int) -> None:
    """A PCM number n of b bits is n / 2^(b-1), both ends of the range included."""
    numbers = np.array([0, 1, -1, scale // 2, scale - 1, -scale])
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(RATE)
        file.writeframes(b"".join(int(n).to_bytes(width, "little", signed=True) for n in numbers))
    expected = (numbers / scale).astype(np.float32)
    np.testing.assert_array_equal(decode(data.getvalue()).samples[0], expected)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "FLOAT"),
        ("W64", "PCM_16"), ("RF64", "PCM_16"), ("WAV", "IMA_ADPCM"), ("WAV", "GSM610"),
    ],
)  # fmt: skip
def test_other_formats_decode_as_soundfile_decodes_them(kind: str, subtype: str) -> None:
    """Formats left to libsndfile come out whole, however many blocks they are read in."""
    # A bare tone makes an MP3 encoder save bits for later frames, which seeking would lose.
    sound = 0.5 * np.sin(np.arange(3 * 65_536 + 17) * 0.1)
    data = encode(sound, subtype=subtype, kind=kind)
    np.testing.assert_allclose(decode(data).samples, reference(data), rtol=0, atol=1e-6)


def test_path_text_bytes_and_stream_are_the_same_sound(tmp_path: Path) -> None:
    """However a sound is handed over, the samples are the same."""
    data = encode(tone(channels=2), 44_100)
    path = tmp_path / "sound.wav"
    path.write_bytes(data)
    waves = [
        read_audio(source, sample_rate_hz=RATE)
        for source in (
            path,
            str(path),
            data,
            bytearray(data),
            memoryview(data),
            io.BytesIO(data),
            path.open("rb"),
        )
    ]
    for other in waves[1:]:
        np.testing.assert_array_equal(other, waves[0])


def test_a_large_file_is_the_same_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file too large to hold in memory decodes block by block to the same samples."""
    path = tmp_path / "sound.wav"
    soundfile.write(path, tone(200_000), RATE)
    whole = read_audio(path, sample_rate_hz=RATE)
    monkeypatch.setattr(audio, "WHOLE_FILE_BYTES", 1000)
    np.testing.assert_array_equal(read_audio(path, sample_rate_hz=RATE), whole)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000, 192_000])
def test_resampling_keeps_pitch_and_level(rate: int) -> None:
    """One second of a 1 kHz tone at any rate is a second of 1 kHz at the same level at 16 kHz."""
    sound = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    samples = read_audio(encode(sound, rate, subtype="FLOAT"), sample_rate_hz=RATE)
    assert samples.dtype == np.float32
    assert abs(len(samples) - RATE) <= 1
    middle = samples[2000:14_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 16 * len(middle)))
    assert np.argmax(spectrum) * RATE / (16 * len(middle)) == pytest.approx(1000, abs=0.5)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


@pytest.mark.parametrize("hz", [9000, 12_000, 20_000])
def test_resampling_does_not_alias(hz: int) -> None:
    """A tone above half the wanted rate is gone, not folded down: below -80 dBFS."""
    sound = 0.5 * np.sin(2 * np.pi * hz * np.arange(44_100) / 44_100)
    samples = read_audio(encode(sound, 44_100, subtype="FLOAT"), sample_rate_hz=RATE)
    assert np.abs(samples[2000:14_000]).max() < 1e-4


def test_an_equal_rate_leaves_the_samples_alone() -> None:
    """Where the rate is right already, nothing is resampled."""
    data = encode(tone(), subtype="PCM_16")
    np.testing.assert_array_equal(read_audio(data, sample_rate_hz=RATE), reference(data)[0])


@pytest.mark.parametrize("channels", [2, 3, 8])
def test_mono_is_the_mean_of_all_channels(channels: int) -> None:
    """Channels are averaged, so that opposite ones cancel."""
    data = encode(tone(channels=channels), subtype="FLOAT")
    mean = reference(data).astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(read_audio(data, sample_rate_hz=RATE), mean, atol=1e-7)


@pytest.mark.parametrize("rate", [RATE, 44_100])
@pytest.mark.parametrize("peak", [1.5, 32_768.0, 3e38])
@pytest.mark.parametrize("channels", [1, 2])
def test_float_files_beyond_full_scale_are_scaled_down(
    channels: int, peak: float, rate: int
) -> None:
    """A float file that passes full scale keeps its shape and ends at a peak of one."""
    shape = np.sin(np.arange(8000) * 0.05)
    sound = np.tile((peak * shape)[:, np.newaxis], channels)
    samples = read_audio(encode(sound, rate, subtype="FLOAT"), sample_rate_hz=RATE)
    assert np.abs(samples).max() == pytest.approx(1.0, abs=0.01)
    assert np.abs(samples).max() <= 1.0
    if rate == RATE:
        np.testing.assert_allclose(samples, shape / np.abs(shape).max(), atol=1e-6)


@pytest.mark.parametrize("level", [0.25, 1.0])
def test_float_files_within_full_scale_are_not_scaled(level: float) -> None:
    """A quiet recording stays quiet."""
    sound = (level * np.sin(np.arange(8000) * 0.05)).astype(np.float32)
    samples = read_audio(encode(sound, subtype="FLOAT"), sample_rate_hz=RATE)
    np.testing.assert_array_equal(samples, sound)


FLAC = encode(np.random.default_rng(0).uniform(-0.5, 0.5, 100_000), kind="FLAC")
WAV = encode(tone())
ZEROS = chunk(b"data", b"\0" * 320)
BROKEN = {
    "no bytes": (b"", {"empty"}, "no bytes"),
    "header only": (encode(np.zeros(0)), {"empty"}, "no samples"),
    "text": (b"hello, I am no sound\n" * 50, {"not_audio"}, "expected a sound file"),
    "data before fmt": (riff(ZEROS, fmt()), {"not_audio"}, "'fmt '"),
    "no channels": (riff(fmt(channels=0), ZEROS), {"not_audio"}, "0 channels"),
    "no rate": (riff(fmt(rate=0), ZEROS), {"not_audio"}, "0 Hz"),
    "unknown codec": (riff(fmt(tag=0x4242), ZEROS), {"not_audio"}, "expected"),
    "cut in the sound": (WAV[: len(WAV) // 2], {"truncated"}, "expected 8000 bytes"),
    "one byte short": (WAV[:-1], {"truncated"}, "found 7999"),
    "cut in the header": (WAV[:30], {"truncated"}, "'data' chunk"),
    "cut after RIFF WAVE": (WAV[:12], {"truncated"}, "'data' chunk"),
    "cut FLAC": (FLAC[: len(FLAC) // 2], {"truncated", "unreadable"}, "sound|decoded"),
    "cut FLAC header": (FLAC[:50], {"not_audio", "unreadable"}, "expected|decoded"),
    "MP3 of nothing": (b"\xff\xfb\x90" + bytes(3000), {"not_audio"}, "nothing in it"),
    "cut W64": (encode(tone(), kind="W64")[:60], {"not_audio", "truncated", "empty"}, "expected"),
    "rate too low": (encode(tone(), 3999), {"unsupported"}, "4000 to 768000 Hz, got 3999"),
    "rate too high": (encode(tone(), 768_001), {"unsupported"}, "got 768001"),
    "AU rate too low": (encode(tone(), 2000, kind="AU"), {"unsupported"}, "got 2000"),
    "too long": (encode(np.zeros(601 * 4000), 4000, subtype="PCM_U8"), {"too_long"}, "600 s"),
    "too long AU": (encode(np.zeros(601 * 4000), 4000, kind="AU"), {"too_long"}, "600 s"),
    "less than a sample": (encode([0.5], 48_000), {"too_short"}, "48000 Hz"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("as_path", [True, False])
def test_broken_sound_has_its_kind_of_fault(name: str, as_path: bool, tmp_path: Path) -> None:
    """What cannot be used is refused with its kind, its name, and what was expected."""
    data, kinds, words = BROKEN[name]
    path = tmp_path / "broken.wav"
    path.write_bytes(data)
    with pytest.raises(AudioError, match=words) as caught:
        read_audio(path if as_path else data, sample_rate_hz=RATE)
    assert caught.value.kind in kinds
    assert str(caught.value).startswith(f"{path if as_path else '<stream>'}: ")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("subtype", "kind"), [("FLOAT", "WAV"), ("DOUBLE", "WAV"), ("FLOAT", "AU"), ("DOUBLE", "CAF")]
)
def test_numbers_that_are_not_finite_are_a_fault(bad: float, subtype: str, kind: str) -> None:
    """One NaN or infinity in a float file makes it unusable."""
    sound = tone()
    sound[1234] = bad
    with pytest.raises(AudioError, match="NaN or infinite") as caught:
        decode(encode(sound, subtype=subtype, kind=kind))
    assert caught.value.kind == "not_finite"


def test_a_double_too_large_for_float32_is_a_fault() -> None:
    """A float64 sample beyond float32 does not slip through as an infinity."""
    with pytest.raises(AudioError) as caught:
        decode(encode([0.0, 1e300, 0.0], subtype="DOUBLE"))
    assert caught.value.kind == "not_finite"


@pytest.mark.parametrize("read", [decode, read_bytes, read_info, file_sha256])
@pytest.mark.parametrize(
    ("name", "kinds"), [("nothing.wav", {"missing", "unreadable"}), ("", {"unreadable"})]
)
def test_missing_files_and_folders_are_faults(
    read: object, name: str, kinds: set[str], tmp_path: Path
) -> None:
    """A path to nothing and a path to a folder are told as such, with the path."""
    path = tmp_path / name
    assert callable(read)
    with pytest.raises(AudioError) as caught:
        read(path)
    assert caught.value.kind in kinds
    assert str(path) in str(caught.value)


def test_a_missing_file_is_called_missing(tmp_path: Path) -> None:
    """Reading a path where there is nothing is the fault "missing"."""
    for read in (decode, read_bytes, read_info):
        with pytest.raises(AudioError, match="no such file") as caught:
            read(tmp_path / "nothing.wav")
        assert caught.value.kind == "missing"


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_many_channels_do_not_fill_the_memory(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is compressed to little may be gigabytes: samples of all channels are limited."""
    monkeypatch.setattr("speechrec.limits._MOST_SAMPLES", 7 * 1000)
    path = tmp_path / "sound"
    path.write_bytes(encode(tone(1001, channels=7), 16_000, kind=kind))
    with pytest.raises(AudioError, match="samples of all channels") as caught:
        decode(path)
    assert caught.value.kind == "too_long"


def test_an_endless_stream_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream is read up to a limit, not into all memory."""
    monkeypatch.setattr(audio, "WHOLE_FILE_BYTES", 1 << 20)
    with pytest.raises(AudioError, match="at most 1 MiB") as caught:
        decode(io.BytesIO(b"\0" * ((1 << 20) + 1)))
    assert caught.value.kind == "too_long"


def test_a_name_that_is_not_utf_8_is_refused_also_where_a_file_is_mended(tmp_path: Path) -> None:
    """libsndfile takes no such name, and a mended file would come in without one."""
    data = bytearray(encode(tone()))
    data[4:8] = b"\xff" * 4
    where = data.index(b"data") + 4
    data[where : where + 4] = b"\xff" * 4
    path = tmp_path / os.fsdecode(b"\xff.wav")
    path.write_bytes(data)
    with pytest.raises(AudioError, match="expected a name in UTF-8; rename it"):
        read_info(path)


@pytest.mark.parametrize("riff_size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("data_size", [0, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF])
def test_a_streamed_header_is_accepted(riff_size: int, data_size: int) -> None:
    """A program that wrote to a pipe could not state the length: all bytes that follow count."""
    data = riff(fmt(), chunk(b"data", PCM.tobytes(), size=data_size), size=riff_size)
    np.testing.assert_array_equal(decode(data).samples[0], PCM / np.float32(2**15))


@pytest.mark.parametrize("size", [0x80010000, 0xC0000000])
def test_two_to_four_gigabytes_are_a_length(size: int) -> None:
    """Such a header is believed: what is behind the sound is none, and what was cut is told."""
    data = riff(fmt(), chunk(b"data", b"", size=size))
    with pytest.raises(AudioError, match=f"expected {size} bytes of sound, found 0"):
        wav_layout(data, "a.wav")


def test_a_length_that_is_there_is_believed(tmp_path: Path) -> None:
    """Also where it is what other programs write that do not know theirs."""
    size, path = 0x7FFFF000, tmp_path / "a.wav"
    with path.open("wb") as file:
        file.write(riff(fmt(), chunk(b"data", b"", size=size)))
        # Holes, which take no room.
        file.seek(size, os.SEEK_CUR)
        file.write(chunk(b"LIST", b"INFOISFT\6\0\0\0Lavf60"))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        assert wav_layout(data, "a.wav").size == size


def mp3(*, quiet_first: bool = True, rate: int = 16_000, channels: int = 1) -> bytes:
    """Ten seconds, half of them quiet, which a variable bit rate says in less."""
    wave = np.random.default_rng(1).normal(0, 0.1, (10 * rate, channels))
    wave[: 5 * rate] *= 1e-4 if quiet_first else 1
    wave[5 * rate :] *= 1 if quiet_first else 1e-4
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format="MP3", bitrate_mode="VARIABLE")
    return buffer.getvalue()


def without_head(data: bytes) -> bytes:
    """An MP3 as a program writes it to a pipe: without the frame that counts the others."""
    assert 0 < data.find(b"Xing") < 100
    return data[data.find(data[:2], 2) :]


@pytest.mark.parametrize("as_path", [True, False], ids=["path", "bytes"])
def test_half_an_mp3(tmp_path: Path, as_path: bool) -> None:
    """One whose header says more than there is was cut."""
    path, whole = tmp_path / "a.mp3", mp3()
    path.write_bytes(whole)
    assert read_audio(path, sample_rate_hz=16_000).shape == (160_000,)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioError, match=r"expected 10\.000 s of sound, found ") as caught:
        read_audio(path if as_path else path.read_bytes(), sample_rate_hz=16_000)
    assert caught.value.kind == "truncated"


@pytest.mark.parametrize("as_path", [True, False], ids=["path", "bytes"])
@pytest.mark.parametrize("quiet_first", [True, False])
@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\x4e\x10" + bytes(10_000)])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (8000, 2), (48_000, 1)])
def test_an_mp3_that_does_not_say_its_length(
    tmp_path: Path, as_path: bool, quiet_first: bool, tag: bytes, rate: int, channels: int
) -> None:
    """It is as long as what is in it, whatever its first frame or a picture before it suggest."""
    path = tmp_path / "a.mp3"
    whole = mp3(quiet_first=quiet_first, rate=rate, channels=channels)
    path.write_bytes(tag + without_head(whole))
    wave = read_audio(path if as_path else path.read_bytes(), sample_rate_hz=rate)
    assert len(wave) / rate == pytest.approx(10, abs=0.2)
    assert read_info(path).duration_s == len(wave) / rate
    # The louder half is where it was.
    loud = np.square(wave).reshape(2, -1).sum(axis=1) if len(wave) % 2 == 0 else np.ones(2)
    assert (loud[0] <= loud[1]) or not quiet_first


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\x10\0\0\x4e\x10" + bytes(10_010)])
def test_an_mp3_that_says_its_length(tag: bytes) -> None:
    """Behind a tag, with a footer or without, it is left as it is; so is what is no MP3."""
    assert counted(tag + mp3()) == b""
    assert counted(tag + without_head(mp3())) != b""
    for data in (b"", b"ID3", b"ID3\x04\0\0\0\0\x7f\x7f", WAV, FLAC, BROKEN["MP3 of nothing"][0]):
        assert counted(data) == b""


@pytest.mark.parametrize("riff_size", [36, None])
def test_a_recorder_that_was_stopped_at_once(riff_size: int | None) -> None:
    """A length of zero is none where sound follows, whatever the whole file's is."""
    data = riff(fmt(), chunk(b"data", PCM.tobytes(), size=0), size=riff_size)
    np.testing.assert_array_equal(decode(data).samples[0], PCM / np.float32(2**15))


def test_a_recorder_that_was_stopped_later() -> None:
    """A header of the first block with much more behind it is not the whole of the sound."""
    pcm = np.random.default_rng(0).integers(-2000, 2000, 100).astype("<i2").tobytes()
    data = riff(fmt(), chunk(b"data", pcm, size=20))
    with pytest.raises(AudioError, match="--ignore-length") as caught:
        decode(data)
    assert caught.value.kind == "truncated"


@pytest.mark.parametrize(
    "tail",
    [
        b"\0" * 30_000, b"\xff" * 30_000, b"ID3\x03" + PCM.tobytes() * 10,
        b"id3\0" + PCM.tobytes() * 10, chunk(b"LIST", PCM.tobytes() * 10), PCM.tobytes()[:18],
    ],
    ids=["zeros", "ones", "raw tag", "short name", "chunk", "a few bytes"],
)  # fmt: skip
@pytest.mark.parametrize("size", [20, 21])
def test_much_behind_a_short_sound_is_no_sound(tail: bytes, size: int) -> None:
    """Padding, tags and chunks may be longer than the sound; some programs leave a few bytes."""
    start = b"\1\2" * 10 + b"\3" * (size % 2)
    data = riff(fmt(), chunk(b"data", start, size=size)[: 8 + size + size % 2] + tail)
    assert decode(data).samples.shape == (1, 10)


def test_an_empty_data_chunk_in_a_whole_file_is_empty() -> None:
    """A length of zero is believed where nothing follows, or nothing but zeros."""
    for tail in (b"", bytes(4096)):
        with pytest.raises(AudioError) as caught:
            decode(riff(fmt(), chunk(b"data", b"") + tail))
        assert caught.value.kind == "empty"


@pytest.mark.parametrize("body", [b"INFOISFT" + b"\0" * 10, b"odd", b"", b"x" * 1001])
def test_other_chunks_are_passed_over(body: bytes) -> None:
    """Chunks before and after the sound, padded to an even length, change nothing."""
    data = riff(
        chunk(b"LIST", body), fmt(), chunk(b"fact", body), chunk(b"data", PCM.tobytes()),
        chunk(b"LIST", body),
    )  # fmt: skip
    np.testing.assert_array_equal(decode(data).samples[0], PCM / np.float32(2**15))


def test_half_a_frame_at_the_end_is_left_out() -> None:
    """A data chunk that ends inside a frame gives the whole frames before it."""
    data = riff(fmt(channels=2), chunk(b"data", PCM.tobytes()[:-2]))
    assert decode(data).samples.shape == (2, len(PCM) // 2 - 1)


FUZZED = [
    encode(tone(300, channels=channels), subtype=subtype, kind=kind)
    for channels in (1, 2)
    for subtype in ("PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ULAW")
    for kind in ("WAV", "WAVEX")
]


def assert_sound_or_fault(data: bytes) -> None:
    try:
        samples = read_audio(data, sample_rate_hz=RATE)
    except AudioError:
        return
    assert samples.dtype == np.float32
    assert len(samples)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.0


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_mutated_wav_gives_sound_or_a_fault(data: st.DataObject) -> None:
    """Whatever bytes of a WAV are changed or lost, there is finite sound or an `AudioError`."""
    mutated = bytearray(data.draw(st.sampled_from(FUZZED)))
    header = st.integers(0, 90)
    anywhere = st.integers(0, len(mutated) - 1)
    edges = st.sampled_from([0, 1, 2, 3, 127, 128, 254, 255])
    for place, value in data.draw(
        st.lists(st.tuples(header | anywhere, edges | st.integers(0, 255)), max_size=6)
    ):
        mutated[place] = value
    end = data.draw(st.just(len(mutated)) | st.integers(0, len(mutated)))
    assert_sound_or_fault(bytes(mutated[:end]))


@settings(max_examples=200, deadline=None)
@given(
    body=st.binary(max_size=200),
    head=st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3", b"FORM\0\0\0\0AIFF"]),
)
def test_arbitrary_bytes_give_sound_or_a_fault(head: bytes, body: bytes) -> None:
    """Random bytes behind any format's first letters raise nothing but `AudioError`."""
    assert_sound_or_fault(head + body)


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 800), (0, 4000), (1, 4000), (777, 2345), (3999, 4000)]
)
@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
@pytest.mark.parametrize("as_path", [True, False])
def test_a_segment_is_a_slice(
    start: int, stop: int, kind: str, as_path: bool, tmp_path: Path
) -> None:
    """Reading from ``offset_s`` for ``duration_s`` gives exactly those samples of the whole."""
    data = encode(tone(channels=2), kind=kind)
    path = tmp_path / "sound"
    path.write_bytes(data)
    segment = decode(
        path if as_path else data, offset_s=start / RATE, duration_s=(stop - start) / RATE
    )
    np.testing.assert_array_equal(segment.samples, reference(data)[:, start:stop])


@pytest.mark.parametrize("as_path", [True, False])
def test_a_segment_without_length_goes_to_the_end(as_path: bool, tmp_path: Path) -> None:
    """An offset alone reads the rest."""
    path = tmp_path / "sound.wav"
    path.write_bytes(WAV)
    segment = decode(path if as_path else WAV, offset_s=0.1)
    np.testing.assert_array_equal(segment.samples, reference(WAV)[:, 1600:])


@pytest.mark.parametrize(
    ("offset_s", "duration_s", "kind"),
    [(0.25, 0.1, "empty"), (7, None, "empty"), (0.2, 0.1, "truncated")],
)
@pytest.mark.parametrize("as_path", [True, False])
def test_a_segment_past_the_end_is_a_fault(
    offset_s: float, duration_s: float | None, kind: str, as_path: bool, tmp_path: Path
) -> None:
    """A segment that the recording does not have is refused, not quietly shortened."""
    path = tmp_path / "sound.wav"
    path.write_bytes(WAV)
    with pytest.raises(AudioError) as caught:
        decode(path if as_path else WAV, offset_s=offset_s, duration_s=duration_s)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("offset_s", "duration_s"),
    [(-1, None), (np.nan, None), (np.inf, None), (0, -1), (0, np.nan), (0.1, np.inf)],
)
def test_a_segment_that_cannot_be_is_a_fault(offset_s: float, duration_s: float | None) -> None:
    """Times that no segment has are refused, and are not the whole sound."""
    with pytest.raises(AudioError, match="expected a segment from 0 s on"):
        read_audio(WAV, sample_rate_hz=RATE, offset_s=offset_s, duration_s=duration_s)


def decoded(samples: npt.ArrayLike) -> Decoded:
    return Decoded(np.atleast_2d(np.asarray(samples, dtype=np.float32)), RATE)


SPEECH = np.random.default_rng(5).normal(0, 0.1, RATE).clip(-0.9, 0.9)


def clipped_share(share: float) -> Array:
    wave = SPEECH.copy()
    wave[: round(share * RATE)] = np.where(np.arange(round(share * RATE)) % 2, 1.0, -1.0)
    return wave


@pytest.mark.parametrize(
    ("samples", "kind"),
    [
        (SPEECH[:1599], "too_short"),
        (np.zeros(RATE), "silent"),
        (np.full(RATE, 0.3), "silent"),
        (0.3 + 0.9e-4 * np.sin(np.arange(RATE)), "silent"),
        ([np.full(RATE, 0.5), np.full(RATE, -0.5)], "silent"),
        ([SPEECH, 1e-5 - SPEECH], "silent"),
        (clipped_share(0.06), "clipped"),
        ([SPEECH, clipped_share(0.06)], "clipped"),
        (np.sign(SPEECH), "clipped"),
    ],
)
def test_recordings_that_teach_nothing_are_refused(samples: npt.ArrayLike, kind: str) -> None:
    """Too short, silent (a constant offset too) and clipped recordings are told apart by kind."""
    with pytest.raises(AudioError, match=r"^clip\.wav: expected ") as caught:
        check_usable(decoded(samples), name="clip.wav")
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "samples",
    [
        SPEECH[:1600],
        2e-4 * np.sin(np.arange(RATE)),
        clipped_share(0.04),
        [np.zeros(RATE), SPEECH],
        SPEECH * 5 % 0.98,
        SPEECH * 30,
    ],
    ids=["0.1 s", "quiet", "a few clipped", "one silent channel", "loud", "floats that are scaled"],
)
def test_usable_recordings_pass(samples: npt.ArrayLike) -> None:
    """Recordings just inside the limits are not refused."""
    check_usable(decoded(samples), name="clip.wav")


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_info_is_what_the_header_says(kind: str, tmp_path: Path) -> None:
    """Length, rate and channels come without decoding."""
    path = tmp_path / "sound"
    path.write_bytes(encode(tone(22_050, channels=2), 44_100, kind=kind))
    info = read_info(path)
    assert (info.duration_s, info.rate_hz, info.channels) == (0.5, 44_100, 2)


def test_info_of_a_streamed_wav(tmp_path: Path) -> None:
    """What a program wrote to a pipe is as long as what there is of it."""
    path = tmp_path / "piped.wav"
    path.write_bytes(riff(fmt(), chunk(b"data", PCM.tobytes(), size=0), size=0))
    assert read_info(path).duration_s == len(PCM) / 16_000


@pytest.mark.parametrize("what", ["mmap.mmap", "_Mended"])
def test_a_file_that_cannot_be_opened_as_it_is_needed_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Of the file, and not the end of all: looked at as a whole, or as if it had its length."""
    path = tmp_path / "piped.wav"
    path.write_bytes(riff(fmt(), chunk(b"data", PCM.tobytes(), size=0), size=0))

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(f"speechrec.mended.{what}", full)
    with pytest.raises(AudioError, match=r"piped\.wav: cannot be read: Cannot allocate") as caught:
        read_info(path)
    assert caught.value.kind == "unreadable"


def test_info_of_a_sound_without_a_length_is_a_fault(tmp_path: Path) -> None:
    """A FLAC from a pipe does not say how long it is, which is not for ever."""
    flac = bytearray(encode(tone(22_050), 44_100, kind="FLAC"))
    # The 36 bits of STREAMINFO that hold the number of samples, 0 where it is not known.
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    path = tmp_path / "piped.flac"
    path.write_bytes(flac)
    with pytest.raises(AudioError, match=r"piped\.flac: expected a header that says how long"):
        read_info(path)


def test_info_of_no_sound_is_a_fault(tmp_path: Path) -> None:
    """Asking for the length of a text file names the file and its kind of fault."""
    path = tmp_path / "notes.wav"
    path.write_text("no sound")
    with pytest.raises(AudioError, match=r"notes\.wav") as caught:
        read_info(path)
    assert caught.value.kind == "not_audio"


def test_the_hash_follows_the_file(tmp_path: Path) -> None:
    """The SHA-256 is that of the bytes now in the file, also when the file was hashed before."""
    path = tmp_path / "sound.wav"
    for content in (WAV, WAV + b"more", WAV):
        path.write_bytes(content)
        assert file_sha256(path) == hashlib.sha256(content).hexdigest()
    assert read_bytes(path) == WAV


@pytest.mark.parametrize("rate", [11_025, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_a_segment_to_the_end_can_be_read_again(rate: int, tmp_path: Path) -> None:
    """By how long it has been at another rate, which may be a little past its end; not by more."""
    path = tmp_path / "a.wav"
    for extra in range(20):
        soundfile.write(path, 0.1 * np.ones(rate + 7 * extra), rate)
        wave = read_audio(path, sample_rate_hz=RATE, offset_s=0.1)
        seconds = len(wave) / RATE
        again = read_audio(path, sample_rate_hz=RATE, offset_s=0.1, duration_s=seconds)
        assert abs(len(again) - len(wave)) <= 1
        with pytest.raises(AudioError, match="of sound, found"):
            read_audio(path, sample_rate_hz=RATE, offset_s=0.1, duration_s=seconds + 0.002)


def test_a_stream_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder or a closed stream as standard input is that sound's error and nobody else's."""

    class Folder(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))

    closed = io.BytesIO()
    closed.close()
    for stream, reason in ((Folder(), "Is a directory"), (closed, "closed")):
        with pytest.raises(AudioError, match=f"<stream>: cannot be read: .*{reason}") as caught:
            read_audio(stream, sample_rate_hz=RATE)
        assert caught.value.kind == "unreadable"


def test_a_pipe_is_measured_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gives little at a time; the limit is for what it gives in all."""
    monkeypatch.setattr(audio, "_READ_BYTES", 1 << 17)
    monkeypatch.setattr(audio, "WHOLE_FILE_BYTES", 1 << 20)
    pipe = tmp_path / "sound.pipe"
    os.mkfifo(pipe)
    most = ((1 << 20) - len(encode(tone(1)))) // 2 + 1
    for samples in (most, most + 1):
        writer = threading.Thread(target=_write_all, args=(pipe, encode(tone(samples))))
        writer.start()
        if samples == most:
            assert decode(pipe).frames == samples
        else:
            with pytest.raises(AudioError, match="expected at most 1 MiB"):
                decode(pipe)
        writer.join()


def _write_all(pipe: Path, data: bytes) -> None:
    # Whoever has read enough hangs up.
    with contextlib.suppress(BrokenPipeError), pipe.open("wb") as file:
        file.write(data)
