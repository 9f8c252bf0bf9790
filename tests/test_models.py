"""The recognisers that come with the package are what their cards say."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from speechrec.bundle import read_bundle
from speechrec.cli import app
from speechrec.config import FeatureConfig
from speechrec.locate import installed_models, recogniser

MODELS = installed_models()
MOST_BYTES = 3_000_000


def card(path: Path) -> str:
    return path.with_suffix(".md").read_text(encoding="utf-8")


def test_commands_en_comes_with_the_package() -> None:
    """Somebody who has just installed the package can recognise eight commands."""
    labels = set(read_bundle(MODELS["commands-en"]).labels)
    assert {"yes", "no", "up", "down", "left", "right", "stop", "go"} < labels


@pytest.mark.parametrize("name", MODELS)
def test_the_card_is_of_this_file(name: str) -> None:
    """Hash, labels and front end on the card are those of the file beside it."""
    path = MODELS[name]
    text, bundle = card(path), read_bundle(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    assert f"| labels | {', '.join(bundle.labels)} |" in text
    assert f"| front end | `{bundle.config.hash}` |" in text
    accuracy = f"| accuracy | {100 * bundle.manifest['metrics']['accuracy']:.1f} % |"
    assert accuracy in text


@pytest.mark.parametrize("name", MODELS)
def test_installed_recognisers_are_small_calibrated_and_credited(name: str) -> None:
    """At most 3 MB, made with the present front end, its threshold stated, its sources named."""
    path = MODELS[name]
    bundle = read_bundle(path)
    assert path.stat().st_size <= MOST_BYTES
    assert bundle.config == FeatureConfig()
    assert bundle.temperature != 1.0
    assert re.search(r"CC BY 4\.0", bundle.manifest["training"]["attribution"])


def test_an_installed_recogniser_is_known_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--model commands-en`` works anywhere; a file of that name in the folder goes first."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPEECHREC_MODEL", raising=False)
    assert recogniser(Path("commands-en"))[0] == MODELS["commands-en"]
    assert recogniser(None) == (MODELS["commands-en"], "came with speechrec")
    (tmp_path / "commands-en").write_bytes(b"mine")
    assert recogniser(Path("commands-en"))[0] == Path("commands-en")


def test_it_understands_synthetic_voices(tmp_path: Path) -> None:
    """Clearly spoken words are recognised by the command, as a newcomer would try it."""
    pytest.importorskip("py_nanotts")
    words = ("yes", "left", "stop", "up")
    synth = [
        sys.executable, "-m", "speechrec", "synth", "--words", ",".join(words), "--voices", "4",
        "--out", str(tmp_path / "spoken"),
    ]  # fmt: skip
    subprocess.run(synth, check=True, capture_output=True)
    files = [str(path) for word in words for path in sorted((tmp_path / "spoken" / word).iterdir())]
    predict = [sys.executable, "-m", "speechrec", "predict", "--model", "commands-en", *files]
    done = subprocess.run(predict, check=True, capture_output=True, text=True)
    said = [
        (Path(line.split()[0]).parent.name, line.split()[1]) for line in done.stdout.splitlines()
    ]
    assert len(said) >= 4 * len(words)
    right = sum(word == answer for word, answer in said)
    # Synthesisers are no people: a voice may fail, most must not.
    assert right >= 0.6 * len(said), said


@pytest.mark.parametrize("out", [[], ["--out", "commands-en.speechrec"]])
def test_the_shipped_recogniser_is_not_written_over(
    monkeypatch: pytest.MonkeyPatch, out: list[str]
) -> None:
    """However it is named, and whether as what is calibrated or as what is written."""
    shipped = MODELS["commands-en"]
    monkeypatch.chdir(shipped.parent)
    before = shipped.read_bytes()
    done = CliRunner().invoke(
        app, ["calibrate", "commands-en.speechrec", "--negatives", "nowhere", *out]
    )
    assert "came with speechrec" in str(done.exception)
    assert shipped.read_bytes() == before
