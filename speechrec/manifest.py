"""A manifest of recordings: CSV with a header, or a JSON object a line."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from speechrec.config import PARTS, Part
from speechrec.errors import DatasetError
from speechrec.recording import Recording, is_utf8

_COLUMNS = (
    "path", "label", "speaker", "split", "part", "offset", "offset_s", "duration", "duration_s"
)  # fmt: skip
SUFFIXES = (".csv", ".jsonl", ".ndjson")
_PART_NAMES: dict[str, Part] = {
    "train": "training", "training": "training",
    "val": "validation", "valid": "validation", "dev": "validation", "validation": "validation",
    "test": "testing", "testing": "testing", "eval": "testing",
}  # fmt: skip


def read_manifest(path: Path) -> Iterator[Recording]:
    """Its rows in order: path and label, and where given speaker, split, offset and duration.

    Raises:
        DatasetError: it cannot be read, it has no row, or a row is not as expected.
    """
    empty = True
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row, number in _rows(file, path):
                empty = False
                yield _manifest_row(row, path, number)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: expected text in UTF-8: {error}; save it as that") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot read this manifest: {error.strerror}") from error
    if empty:
        wanted = "a header, such as path,label, and below it a row" if _is_csv(path) else "a line"
        raise DatasetError(f"{path}: expected {wanted} for each recording, found none")


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def _rows(file: TextIO, path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """The rows, each with the number of its line."""
    if _is_csv(path):
        reader = csv.DictReader(file, strict=True)
        try:
            names = reader.fieldnames or ()
            if twice := [name for name in _COLUMNS if names.count(name) > 1]:
                raise DatasetError(f"{path}:1: expected the column {twice[0]} once")
            for row in reader:
                # Spreadsheets write empty fields behind the last column.
                if any(row.pop(None, ())):
                    raise DatasetError(
                        f"{path}:{reader.line_num}: expected {len(names)} fields, got more; put "
                        "quotes around a field with a comma"
                    )
                yield row, reader.line_num
        except csv.Error as error:
            raise DatasetError(
                f"{path}:{reader.line_num}: not CSV: {error} (is a quote left open?)"
            ) from error
        return
    for number, line in enumerate(file, 1):
        if line.strip():
            yield _json_object(line, path, number), number


def _json_object(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}:{number}: expected a JSON object: {error}") from error
    if not isinstance(row, dict):
        raise DatasetError(f"{path}:{number}: expected a JSON object, got {line.strip()[:60]}")
    return row


def _manifest_row(row: dict[str, Any], manifest: Path, number: int) -> Recording:
    where = f"{manifest}:{number}"

    def text(*names: str) -> str:
        values = [row[name] for name in names if row.get(name) not in (None, "")]
        if not values:
            return ""
        if isinstance(values[0], (bool, dict, list)) or values[0] != values[0]:
            raise DatasetError(f"{where}: {names[0]}: expected text, got {values[0]!r}")
        return str(values[0]).strip()

    file, word, speaker = text("path"), text("label"), text("speaker")
    part = text("split", "part").lower()
    for name, value in (("path", file), ("label", word)):
        if name not in row:
            got = ", ".join(map(str, row))
            raise DatasetError(f"{where}: expected columns path and label, got {got}")
        if not value:
            raise DatasetError(f"{where}: expected a {name}, its field is empty")
    if not is_utf8(file + word + speaker) or "\0" in file or "\n" in file + word + speaker:
        raise DatasetError(
            f"{where}: expected path, label and speaker to be plain text of one line (is a quote "
            "left open?)"
        )
    if part and part not in _PART_NAMES:
        raise DatasetError(f"{where}: split {part!r}: expected one of {', '.join(PARTS)}")
    offset_s = _seconds(text("offset", "offset_s") or "0", "offset", where)
    duration = text("duration", "duration_s")
    duration_s = _seconds(duration, "duration", where) if duration else None
    if duration_s == 0:
        raise DatasetError(f"{where}: duration: expected more than 0 seconds")
    return Recording(
        path=str(manifest.parent / file),
        word=word,
        speaker=speaker,
        part=_PART_NAMES[part] if part else None,
        offset_s=offset_s,
        duration_s=duration_s,
    )


def _seconds(text: str, name: str, where: str) -> float:
    try:
        # Python's numbers may have underscores, nobody else's do.
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e6:
        raise DatasetError(f"{where}: {name}: expected seconds from 0, got {text!r}")
    return value
