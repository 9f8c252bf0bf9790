"""Truth about recordings is read and written as Audacity label tracks."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechrec.errors import DatasetError
from speechrec.labels import Command, read_labels, write_labels

TIMES = st.tuples(*[st.floats(0, 1e5)] * 2).map(sorted)
WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)
COMMANDS = st.builds(lambda label, times: Command(label, *times), WORDS, TIMES)


@given(truth=st.lists(COMMANDS, max_size=5))
def test_labels_round_trip(truth: list[Command], tmp_path_factory: pytest.TempPathFactory) -> None:
    """What was written is read again: labels exactly, times to the microsecond."""
    path = tmp_path_factory.getbasetemp() / "round.txt"
    write_labels(path, truth)
    found = read_labels(path)
    assert [each.label for each in found] == [each.label for each in truth]
    for read, written in zip(found, truth, strict=True):
        assert read[1:] == pytest.approx(written[1:], abs=1e-6)


def test_written_as_audacity_does(tmp_path: Path) -> None:
    """A label is a line: start and end in seconds with six digits, and the label, between tabs."""
    write_labels(tmp_path / "a.txt", [Command("go", 1.25, 2), Command("grün", 3, 3.5)])
    expected = "1.250000\t2.000000\tgo\n3.000000\t3.500000\tgrün\n"
    assert (tmp_path / "a.txt").read_bytes() == expected.encode()


@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_read_as_audacity_writes(start: str, end: str, tmp_path: Path) -> None:
    """Lines with a label's frequencies and empty lines are passed over, whatever the system."""
    lines = ["0.5\t1\tgo", "\\\t300.000000\t3000.000000", "", "2\t2\ta point", ""]
    (tmp_path / "a.txt").write_bytes((start + end.join(lines)).encode())
    assert read_labels(tmp_path / "a.txt") == (Command("go", 0.5, 1), Command("a point", 2, 2))


@pytest.mark.parametrize(
    "line",
    [
        "1.0 2.0 go", "1\t2", "1\t2\tgo\tagain", "one\t2\tgo", "2\t1\tgo", "-1\t2\tgo",
        "nan\t2\tgo", "1\tnan\tgo", "1\tinf\tgo", "1,5\t2,5\tgo", "  1",
    ],
)  # fmt: skip
def test_bad_labels_are_refused(line: str, tmp_path: Path) -> None:
    """A line that is no label is an error with the file, its number and what it says."""
    path = tmp_path / "bad.txt"
    path.write_text(f"0\t1\tgo\n\\\t1\t2\n{line}\n")
    with pytest.raises(DatasetError) as caught:
        read_labels(path)
    assert str(caught.value).startswith(f"{path}:3: expected start, end and label")
    assert str(caught.value).endswith(repr(line))


@pytest.mark.parametrize("content", [None, b"1\t2\t\xff\xfe"], ids=["missing", "no text"])
def test_unreadable_labels_are_refused(content: bytes | None, tmp_path: Path) -> None:
    """A file that is missing or no text is an error with its name."""
    path = tmp_path / "bad.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"bad\.txt: cannot read these labels"):
        read_labels(path)
