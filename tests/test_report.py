"""Reports say what the figures are, and the page needs nothing but itself."""

import base64
import dataclasses
import re
import struct
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from speechrec.checkpoint import EpochRow
from speechrec.config import SILENCE, UNKNOWN
from speechrec.errors import MissingExtraError
from speechrec.evaluate import ClassFigures, Decisions, Mistake, Report, SpeakerSpread
from speechrec.report import to_html, to_text, write_curves

NASTY = """<script src="http://evil.example/x.js"></script>&'".wav"""
REPORT = Report(
    clips=8,
    labels=("yes", "no", UNKNOWN, SILENCE),
    accuracy=0.751,
    accuracy_without_silence=0.662,
    per_class={
        "yes": ClassFigures(0.123, 0.234, 3),
        "no": ClassFigures(None, 0.0, 1),
        UNKNOWN: ClassFigures(1.0, None, 0),
        SILENCE: ClassFigures(1.0, 1.0, 4),
    },
    unknown_recall=None,
    ece=0.0456,
    reliability=((0.55, 1.0, 2), (0.9, 0.5, 6)),
    confusion=((2, 1, 0, 0), (0, 1, 0, 0), (0, 0, 0, 0), (0, 0, 0, 4)),
    decisions=Decisions(0.8, 0.817, 0.092, None, 0.983),
    risk_coverage=((0.4, 1.0, 0.25), (0.8, 0.5, 0.125)),
    speakers=SpeakerSpread(5, 3, 0.111, 0.222, 0.333, 0.444),
    mistakes=(Mistake(NASTY, "yes", "no", 0.987),),
)
HISTORY = tuple(
    EpochRow(n, 1 / n, 0.5, 0.6, 1.1 / n, 0.55, 1e-3, 0.1) for n in range(1, 4)
)  # fmt: skip


def test_text_has_the_figures() -> None:
    """Every figure of the report stands in its text, in per cent."""
    text = to_text(REPORT)
    for figure in ("8 clips", "75.1%", "66.2%", "4.6%", "11.1%", "22.2%", "33.3%", "5 speakers"):
        assert figure in text
    assert re.search(r"^yes\s+12\.3%\s+23\.4%\s+3$", text, re.MULTILINE)
    assert re.search(r"^no\s+-\s+0\.0%\s+1$", text, re.MULTILINE)
    assert re.search(r"^unknown words recalled\s+-$", text, re.MULTILINE)
    assert re.search(
        r"^acted on at 0\.80 +81\.7% of keywords, 9\.2% of it wrong; "
        r"refused: - of unknown words, 98\.3% of silence$",
        text, re.MULTILINE,
    )  # fmt: skip
    assert f"0.99  yes heard as no  {NASTY}" in text


def test_text_without_speakers_and_mistakes() -> None:
    """What there is nothing to say about is left out."""
    text = to_text(dataclasses.replace(REPORT, speakers=None, mistakes=()))
    assert "by speaker" not in text
    assert "mistakes" not in text


class Page(HTMLParser):
    """Tags and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.data: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.data.append(data)


def test_page_is_self_contained() -> None:
    """The page loads nothing: no address but pictures inside it, no script, no style sheet."""
    plain = dataclasses.replace(REPORT, mistakes=())
    text = to_html(plain, title="a run", history=HISTORY)
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "http" not in text
    assert "@import" not in text
    assert "url(" not in text


@pytest.mark.parametrize(("history", "pictures"), [((), 3), (HISTORY, 4)])
def test_page_has_its_pictures(history: tuple[EpochRow, ...], pictures: int) -> None:
    """Confusion, calibration and risk are shown, and the curves where there was training."""
    page = Page(to_html(REPORT, title="a run", history=history))
    assert len(page.addresses) == page.tags.count("img") == pictures
    for address in page.addresses:
        content = base64.b64decode(address.removeprefix("data:image/png;base64,"), validate=True)
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", content[16:24])
        assert min(width, height) > 200


def test_page_escapes_names() -> None:
    """File names and titles are shown as they are, and are never taken for HTML."""
    text = to_html(REPORT, title=NASTY)
    assert "<script" not in text
    page = Page(text)
    assert "script" not in page.tags
    assert "".join(page.data).count(NASTY) == 3


def test_page_of_names_that_are_no_text() -> None:
    """A recogniser or a folder with bytes that are not UTF-8 in its name can be reported on."""
    page = to_html(REPORT, title="run \udcff")
    assert page.encode().count(b"run \\xff") == 2


def test_page_has_the_text() -> None:
    """The page holds the same figures as the text."""
    assert to_text(REPORT) in "".join(Page(to_html(REPORT, title="a run")).data)


@pytest.mark.parametrize(
    "labels", [("a",), ("größe", "да", "$x", r"$\frac$", "开灯"), tuple("abcdefghijkl") * 3]
)
@pytest.mark.filterwarnings("error:Glyph")
def test_any_labels(labels: tuple[str, ...]) -> None:
    """Pictures are drawn for one label and for many, whatever is written in them."""
    labels = tuple(f"{label}{number}" for number, label in enumerate(labels))
    size = len(labels)
    report = dataclasses.replace(
        REPORT,
        labels=labels,
        per_class={label: ClassFigures(1.0, 1.0, 1) for label in labels},
        confusion=tuple(tuple(int(i == j) for j in range(size)) for i in range(size)),
    )
    assert Page(to_html(report, title="a run")).tags.count("img") == 3


def test_curves(tmp_path: Path) -> None:
    """The learning curves are one PNG, without anything left beside it."""
    write_curves(tmp_path / "new" / "curves.png", HISTORY)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["curves.png"]
    assert (tmp_path / "new" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_curves_of_one_epoch(tmp_path: Path) -> None:
    """A training of one epoch has curves too."""
    write_curves(tmp_path / "curves.png", HISTORY[:1])
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pictures cannot be drawn, the message says which extra is missing."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'speechrec\[train\]'"):
        to_html(REPORT, title="a run")
