"""The bare commands choose what a reader of the manual expects, and say what is missing."""

import os
from pathlib import Path

import pytest

from speechrec import locate
from speechrec.errors import BundleError, DatasetError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and no recogniser named from outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPEECHREC_MODEL", raising=False)
    return tmp_path


def touch(path: str, *, age_s: int = 0) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"")
    os.utime(file, ns=(10**18 - age_s * 10**9,) * 2)
    return file


def test_model_option_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user names is used, whatever else there is, and needs no explanation."""
    monkeypatch.setenv("SPEECHREC_MODEL", "other.speechrec")
    touch("runs/a/a.speechrec")
    assert locate.recogniser(Path("mine.speechrec")) == (Path("mine.speechrec"), "")


def test_environment_comes_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """$SPEECHREC_MODEL comes before runs/, and is said to be the reason."""
    monkeypatch.setenv("SPEECHREC_MODEL", "other.speechrec")
    touch("runs/a/a.speechrec")
    assert locate.recogniser(None) == (Path("other.speechrec"), "$SPEECHREC_MODEL")


def test_empty_environment_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable set to nothing names nothing."""
    monkeypatch.setenv("SPEECHREC_MODEL", "")
    touch("runs/a/a.speechrec")
    assert locate.recogniser(None)[0] == Path("runs/a/a.speechrec")


def test_newest_under_runs_comes_third() -> None:
    """Of several runs the one that ended last is used, whatever its name."""
    touch("runs/z/z.speechrec", age_s=50)
    touch("runs/m/m.speechrec", age_s=10)
    touch("runs/a/a.speechrec", age_s=99)
    assert locate.recogniser(None) == (Path("runs/m/m.speechrec"), "newest under runs/")


def test_half_written_files_are_passed_over() -> None:
    """What a killed training left behind under a temporary name is no recogniser."""
    touch("runs/a/a.speechrec", age_s=50)
    touch("runs/a/.a.123.partial.speechrec")
    assert locate.recogniser(None)[0] == Path("runs/a/a.speechrec")
    assert locate.recogniser(Path("runs/a"))[0] == Path("runs/a/a.speechrec")


def test_no_recogniser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is none at all, the message says how to get one and how to name one."""
    monkeypatch.setattr(locate, "_MODELS", tmp_path / "none")
    with pytest.raises(BundleError) as caught:
        locate.recogniser(None)
    for hint in ("speechrec train", "--model", "$SPEECHREC_MODEL"):
        assert hint in str(caught.value)


def test_run_folder_stands_for_its_recogniser(monkeypatch: pytest.MonkeyPatch) -> None:
    """--model and $SPEECHREC_MODEL take a run folder as well as a file."""
    touch("runs/a/a.speechrec")
    touch("runs/a/report.json")
    assert locate.recogniser(Path("runs/a"))[0] == Path("runs/a/a.speechrec")
    monkeypatch.setenv("SPEECHREC_MODEL", "runs/a")
    assert locate.recogniser(None)[0] == Path("runs/a/a.speechrec")


@pytest.mark.parametrize("names", [[], ["a.speechrec", "b.speechrec"]])
def test_folder_without_one_recogniser(names: list[str]) -> None:
    """A folder with none or several is not guessed from."""
    Path("folder").mkdir()
    for name in names:
        touch(f"folder/{name}")
    with pytest.raises(BundleError, match=f"folder: expected one .* found {len(names)}"):
        locate.recogniser(Path("folder"))


def test_speech_commands_come_first() -> None:
    """data/speech_commands is used where it is there, among other folders too."""
    touch("data/speech_commands/yes/a.wav")
    touch("data/mine/on/a.wav")
    assert locate.default_recordings() == Path("data/speech_commands")


def test_only_folder_of_recordings() -> None:
    """A single folder of word folders is the one; files and plain folders do not count."""
    touch("data/mine/on/a.wav")
    touch("data/README.md")
    touch("data/papers/a.pdf")
    touch("data/noise/_background_noise_/a.wav")
    assert locate.default_recordings() == Path("data/mine")


def test_several_folders_of_recordings() -> None:
    """Of several the user has to choose; the message names them."""
    touch("data/b/on/a.wav")
    touch("data/a/on/a.wav")
    with pytest.raises(DatasetError, match="found data/a, data/b; name one"):
        locate.default_recordings()


@pytest.mark.parametrize("prepare", ["nothing", "empty", "readme"])
def test_no_recordings(prepare: str) -> None:
    """Where there are none, the message names the three ways to get some."""
    if prepare == "empty":
        Path("data").mkdir()
    elif prepare == "readme":
        touch("data/README.md")
    with pytest.raises(DatasetError) as caught:
        locate.default_recordings()
    message = str(caught.value)
    assert "Three ways" in message
    for way in ("data/NAME/WORD/*.wav", "data/speech_commands", "speechrec synth"):
        assert way in message


def test_sounds_of_folders() -> None:
    """Folders become the sound files below them, in a fixed order; the rest stays as it is."""
    for name in ("in/b.wav", "in/a.FLAC", "in/deep/c.ogg", "in/notes.txt", "in/.hidden.wav"):
        touch(name)
    found = list(locate.sounds(["x.wav", "in", "-", "none.wav"]))
    assert [path for path, _ in found] == [
        "x.wav", "in/a.FLAC", "in/b.wav", "in/deep/c.ogg", "-", "none.wav",
    ]  # fmt: skip
    assert all(problem is None for _, problem in found)


def test_a_pipe_in_a_folder_is_not_waited_for() -> None:
    """It comes with its error; one that is named is meant, since sound may come through it."""
    Path("in").mkdir()
    os.mkfifo("in/a.wav")
    touch("in/b.wav")
    (pipe, problem), after, named = locate.sounds(["in", "in/a.wav"])
    assert (pipe, after, named) == ("in/a.wav", ("in/b.wav", None), ("in/a.wav", None))
    assert "expected a file, found a pipe or a device" in str(problem)


def test_folder_without_sounds_does_not_stop_the_others() -> None:
    """An empty folder comes with its error; what stands behind it still comes."""
    Path("empty").mkdir()
    (first, none), (folder, problem), (last, nothing) = locate.sounds(["a.wav", "empty", "b.wav"])
    assert (first, none, folder, last, nothing) == ("a.wav", None, "empty", "b.wav", None)
    assert problem is not None
    assert problem.kind == "missing"
    assert str(problem).startswith("empty: expected sound files")


@pytest.mark.parametrize("secret", ["in", "in/b"])
def test_folder_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    """A folder that may not be listed is an error of its own; the sounds around it still come."""

    def scandir(folder: str) -> object:
        if folder == secret:
            raise PermissionError(13, "Permission denied", folder)
        return original(folder)

    touch("in/a.wav")
    touch("in/c/c.wav")
    Path("in/b").mkdir()
    # As root, who may run the tests, everything can be listed.
    original = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    (_, problem), *found = locate.sounds(["in"])
    assert problem is not None
    assert problem.kind == "unreadable"
    assert f"{secret}: cannot be listed: Permission denied" in str(problem)
    heard = [] if secret == "in" else [("in/a.wav", None), ("in/c/c.wav", None)]
    assert found == heard


def test_cores() -> None:
    """At least one, and never more than the machine has."""
    assert 1 <= locate.cores() <= (os.cpu_count() or 1)


def test_what_is_no_file_is_no_recogniser() -> None:
    """Neither a dangling link nor a folder of that name stops the bare commands."""
    good = touch("runs/good/good.speechrec", age_s=100)
    Path("runs/link").mkdir()
    Path("runs/link/link.speechrec").symlink_to("nowhere")
    Path("runs/folder/folder.speechrec").mkdir(parents=True)
    assert locate.recogniser(None)[0] == good
