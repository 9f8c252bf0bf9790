"""The length of an MP3 that does not state it, which libsndfile guesses from its first frame.

Such are what a program wrote to a pipe and what was cut out of a stream; with a variable bit rate
the guess may be half or twice of what there is. Layouts: ISO/IEC 11172-3 and 13818-3, layer III,
and the frame that Xing put before the others to count them.
"""

from typing import NamedTuple

from speechrec.containers import Bytes

# kbit/s by the index in a head, of MPEG 1 and of the lower rates of MPEG 2 and 2.5.
_BIT_RATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LOW_BIT_RATES = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ = (44_100, 48_000, 32_000)
# A frame long enough to count the others: 128 or 80 kbit/s.
_COUNTING_INDEX = 9
# How far behind its own head the first frame may have another one.
_HEAD_BYTES = 200


class _Frame(NamedTuple):
    """``side`` is the length of what stands between the head and the sound."""

    size: int
    side: int


def counted(data: Bytes) -> bytes:
    """An MP3 without such a frame, with one and without tags; nothing of one that has it.

    Nothing either of what is no MP3, which begins with two frames.
    """
    start = _behind_tags(data)
    first = bytes(data[start : start + _HEAD_BYTES])
    if any(name in first for name in (b"Xing", b"Info", b"VBRI")):
        return b""
    frame = _frame(first)
    second = start + frame.size if frame else len(data)
    if _frame(bytes(data[second : second + 4])) is None:
        return b""
    # No checksum, the longer bit rate, no padding.
    head = bytes((first[0], first[1] | 1, _COUNTING_INDEX << 4 | first[2] & 0x0C, first[3]))
    counting = _frame(head)
    assert counting is not None
    count = _frames(data, start).to_bytes(4, "big")
    content = head + bytes(counting.side) + b"Xing\0\0\0\1" + count
    return content.ljust(counting.size, b"\0") + bytes(data[start:])


def _behind_tags(data: Bytes) -> int:
    """Where the frames begin: behind tags (ID3v2), whose size has seven bits a byte."""
    start = 0
    while data[start : start + 3] == b"ID3" and start + 10 <= len(data):
        size, has_footer = 0, data[start + 5] & 0x10
        for byte in bytes(data[start + 6 : start + 10]):
            size = size << 7 | byte & 127
        start += 10 + size + (10 if has_footer else 0)
    return start


def _frames(data: Bytes, start: int) -> int:
    count = 0
    while start + 4 <= len(data):
        if frame := _frame(bytes(data[start : start + 4])):
            count += 1
            start += frame.size
        else:
            start += 1
    return count


def _frame(head: bytes) -> _Frame | None:
    """What four bytes say of a frame that begins with them."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, index, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or not 0 < index < 15 or rate == 3:
        return None
    mono = head[3] >> 6 == 3
    if version == 3:
        size = 144_000 * _BIT_RATES[index] // _RATES_HZ[rate]
        return _Frame(size + (head[2] >> 1 & 1), 17 if mono else 32)
    rate_hz = _RATES_HZ[rate] // (2 if version == 2 else 4)
    size = 72_000 * _LOW_BIT_RATES[index] // rate_hz
    return _Frame(size + (head[2] >> 1 & 1), 9 if mono else 17)
