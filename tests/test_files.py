"""Writing is all or nothing."""

import json
import os
import re
from pathlib import Path

import pytest

from speechrec.errors import DatasetError
from speechrec.files import (
    Kind,
    locked,
    new_folder,
    refuse_content,
    refuse_inside,
    refuse_unwritable,
    replace_folder,
    replacing,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_target_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    """Until the block is left, the target is as it was; then it has the new content alone."""
    target = tmp_path / "notes.txt"
    target.write_text("old")
    with replacing(target) as partial:
        partial.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert names(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_everything_as_it_was(
    error: type[BaseException], existed: bool, tmp_path: Path
) -> None:
    """A block that fails half-way keeps the old content and leaves no temporary file."""
    target = tmp_path / "notes.txt"
    if existed:
        target.write_text("old")

    def fail() -> None:
        with replacing(target) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == (["notes.txt"] if existed else [])
    assert not existed or target.read_text() == "old"


def test_a_new_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was there stays until the block ends, and for ever where the block fails."""
    target = tmp_path / "corpus"
    with new_folder(target) as folder:
        (folder / "one").touch()
        assert not target.exists()

    def stop() -> None:
        with new_folder(target) as folder:
            (folder / "two").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert (names(tmp_path), names(target)) == (["corpus"], ["one"])
    kind = Kind("a corpus", "one", re.compile("one"))
    target.chmod(0o700)
    with new_folder(target, kind=kind) as folder:
        (folder / "three").touch()
        assert names(target) == ["one"]
    assert (names(tmp_path), names(target)) == (["corpus"], ["three"])
    assert target.stat().st_mode & 0o777 == 0o700


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    """Also where every process has the same number, as in containers."""
    target = tmp_path / "corpus"
    kind = Kind("a corpus", "one", re.compile("one"))
    for left in ("partial", "old"):
        (tmp_path / f".corpus.{os.getpid()}.{left}" / "half").mkdir(parents=True)
    for _ in range(2):
        with new_folder(target, kind=kind) as folder:
            (folder / "one").touch()
        assert names(target) == ["one"]
    assert len(names(tmp_path)) == 3


@pytest.mark.parametrize("kind", [None, Kind("a corpus", "one", re.compile("one"))])
def test_what_came_meanwhile_stays_and_so_does_what_was_made(
    kind: Kind | None, tmp_path: Path
) -> None:
    """Hours of work are kept under another name where somebody put something in their place."""
    target, taken = tmp_path / "corpus", tmp_path / "corpus-2"
    taken.mkdir()

    def make() -> None:
        with new_folder(target, kind=kind) as folder:
            (folder / "one").touch()
            target.mkdir()
            (target / "somebody's").touch()

    with pytest.raises(DatasetError, match=r"corpus: expected a new .*what was made is in .*-3$"):
        make()
    assert names(tmp_path) == ["corpus", "corpus-2", "corpus-3"]
    assert (names(target), names(tmp_path / "corpus-3")) == (["somebody's"], ["one"])


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    """Forgetting to write is noticed and keeps the old content."""
    target = tmp_path / "notes.txt"
    target.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(target):
        pass
    assert target.read_text() == "old"


@pytest.mark.parametrize("name", ["model.keras", "curves.png", "two.dots.npz"])
def test_the_temporary_name_keeps_folder_and_ending(name: str, tmp_path: Path) -> None:
    """Writers that choose their format by the ending see the target's; the disk is the same."""
    target = tmp_path / "deep" / "folder" / name
    with replacing(target) as partial:
        assert partial.suffix == target.suffix
        assert partial.parent == target.parent
        assert partial != target
        partial.write_bytes(b"x")
    assert target.read_bytes() == b"x"


def test_json_round_trips_and_stays_readable(tmp_path: Path) -> None:
    """JSON is indented UTF-8 with letters as they are, and reads back equal."""
    target = tmp_path / "value.json"
    value = {"word": "grün", "counts": [1, 2.5, None]}
    write_json(target, value)
    text = target.read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert "grün" in text
    assert text.endswith("}\n")


def test_text_is_utf8(tmp_path: Path) -> None:
    """Text is written as UTF-8 whatever the locale."""
    write_text(tmp_path / "a.txt", "señal")
    assert (tmp_path / "a.txt").read_bytes() == "señal".encode()


@pytest.mark.parametrize("existed", [True, False])
def test_a_folder_takes_the_place_of_another(existed: bool, tmp_path: Path) -> None:
    """The new folder stands under the target's name; nothing of the old one is left."""
    new, target = tmp_path / "new", tmp_path / "target"
    new.mkdir()
    (new / "fresh").write_text("fresh")
    if existed:
        (target / "deep").mkdir(parents=True)
        (target / "deep" / "stale").write_text("stale")
        (target / "whole").touch()
    replace_folder(new, target, kind=Kind("an old one", "whole", re.compile("deep|whole")))
    assert names(tmp_path) == ["target"]
    assert names(target) == ["fresh"]


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    """The temporary name is no longer than the target's."""
    target = tmp_path / ("n" * 250 + ".txt")
    write_text(target, "new")
    assert target.read_text() == "new"


def test_a_folders_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    """When it takes the place of another, too."""
    target = tmp_path / ("n" * 255)
    for text in ("old", "new"):
        with new_folder(target, kind=Kind("a corpus", "a.txt", re.compile("a.txt"))) as folder:
            (folder / "a.txt").write_text(text)
    assert (target / "a.txt").read_text() == "new"
    assert names(tmp_path) == [target.name]
    with (
        pytest.raises(DatasetError, match=r"what was made is in .*[0-9a-f]{8}-2$"),
        new_folder(target),
    ):
        pass


def test_a_link_stays_one(tmp_path: Path) -> None:
    """What it points to is replaced, in the other's folder."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to(Path("real") / "a")
    with replacing(link) as partial:
        # Where the writer looks for its format.
        assert partial.suffix == ".txt"
        partial.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "a").read_text() == "new"
    assert names(tmp_path / "real") == ["a"]


def test_a_file_that_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    """The error names what was asked for, and what is there is left alone."""
    (tmp_path / "file").write_text("old")
    refuse_unwritable(tmp_path / "file")
    refuse_unwritable(tmp_path / "new")
    assert names(tmp_path) == ["file"]
    target = tmp_path / "file" / "a.txt"
    for attempt in (refuse_unwritable, lambda path: write_text(path, "new")):
        with pytest.raises(OSError, match="file"):
            attempt(target)
    assert names(tmp_path) == ["file"]


def test_an_error_names_the_target(tmp_path: Path) -> None:
    """What was asked for, not the temporary name."""
    target = tmp_path / "a.txt"
    target.mkdir()
    with pytest.raises(OSError, match=r"/a\.txt'$") as caught:
        write_text(target, "new")
    assert "partial" not in str(caught.value)
    assert names(tmp_path) == ["a.txt"]


def test_two_targets_at_once_do_not_meet(tmp_path: Path) -> None:
    """Files of one folder that are written at the same time have temporary names of their own."""
    with replacing(tmp_path / "a.jsonl") as one, replacing(tmp_path / "b.jsonl") as other:
        one.write_text("a")
        other.write_text("b")
    assert (tmp_path / "a.jsonl").read_text() == "a"
    assert (tmp_path / "b.jsonl").read_text() == "b"


def test_a_folder_is_for_one_at_a_time(tmp_path: Path) -> None:
    """Whoever comes second is told so; afterwards the folder is free."""
    pytest.importorskip("fcntl")
    with locked(tmp_path), pytest.raises(DatasetError, match="is writing there"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("name", [".", "..", ""])
def test_the_current_folder_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Nobody wants to stand in a folder that is gone."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(DatasetError, match="got the current one or one around it"):
        refuse_content(Path(name))


def test_a_file_written_over_keeps_its_permissions(tmp_path: Path) -> None:
    """What was private before is private afterwards."""
    target = tmp_path / "mine.speechrec"
    target.touch()
    target.chmod(0o600)
    with replacing(target) as partial:
        partial.write_text("new")
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("new", 0o600)


KIND = Kind("a result", "done.json", re.compile(r"done\.json|shard-\d+|recordings"))


def test_what_is_read_is_not_replaced(tmp_path: Path) -> None:
    """A result must not take the place of a folder that it is made from, or is around it."""
    (tmp_path / "old" / "recordings").mkdir(parents=True)
    (tmp_path / "old" / "done.json").touch()
    refuse_content(tmp_path / "old", kind=KIND, read=[tmp_path / "elsewhere"])
    for inside in ("old", "old/recordings"):
        with pytest.raises(DatasetError, match="apart from what is read"):
            refuse_content(tmp_path / "old", kind=KIND, read=[tmp_path / inside])


def test_what_somebody_put_beside_a_result_is_not_lost(tmp_path: Path) -> None:
    """An earlier result is replaced only where nothing else is in it; the desktop's files aside."""
    for name in ("done.json", "shard-1", ".DS_Store"):
        (tmp_path / name).touch()
    refuse_content(tmp_path, kind=KIND)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DatasetError, match=r"notes\.txt in it is no part of one; move it"):
        refuse_content(tmp_path, kind=KIND)


@pytest.mark.parametrize("out", ["kit", "kit/mix", "elsewhere/../kit/a/b", "link/mix"])
def test_results_do_not_lie_among_what_is_read(tmp_path: Path, out: str) -> None:
    """The next time they would be read as well; beside it they may lie."""
    (tmp_path / "kit").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("kit")
    refuse_inside(tmp_path / "kit-mix", None, tmp_path / "kit")
    with pytest.raises(DatasetError, match="expected a folder outside of"):
        refuse_inside(tmp_path / out, None, tmp_path / "kit")
