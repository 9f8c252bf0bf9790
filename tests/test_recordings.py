"""Every known layout of recordings gives words, speakers and parts; the rest is reported."""

import csv
import functools
import io
import json
import os
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechrec.config import UNKNOWN
from speechrec.errors import AUDIO_FAULTS, AudioError, ConfigError, DatasetError
from speechrec.listing import sound_files
from speechrec.recording import Fault, Recording
from speechrec.recordings import Corpus


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def recordings(corpus: Corpus) -> list[Recording]:
    items = list(corpus)
    assert not [item for item in items if isinstance(item, Fault)], items
    return [item for item in items if isinstance(item, Recording)]


def faults(corpus: Corpus) -> list[Fault]:
    return [item for item in corpus if isinstance(item, Fault)]


def short(corpus: Corpus) -> list[tuple[str, str, str | None]]:
    return [(item.word, item.speaker, item.part) for item in recordings(corpus)]


def test_speech_commands_lists_are_honoured(tmp_path: Path) -> None:
    """Files in the lists have their part, all others are for training; speakers come from names."""
    touch(
        tmp_path,
        *(f"{word}/{who}_nohash_0.wav" for word in ("no", "yes") for who in ("a1", "b2", "c3")),
    )
    touch(tmp_path, "_background_noise_/hum.wav", "README.md", ".hidden/x.wav", "yes/.DS_Store")
    (tmp_path / "validation_list.txt").write_text("yes/b2_nohash_0.wav\r\nno/b2_nohash_0.wav\r\n")
    (tmp_path / "testing_list.txt").write_text("\nyes/c3_nohash_0.wav\nno/c3_nohash_0.wav")
    corpus = Corpus(tmp_path)
    assert corpus.is_speech_commands
    assert short(corpus) == [
        ("no", "a1", "training"), ("no", "b2", "validation"), ("no", "c3", "testing"),
        ("yes", "a1", "training"), ("yes", "b2", "validation"), ("yes", "c3", "testing"),
    ]  # fmt: skip
    assert corpus.noise_files() == [tmp_path / "_background_noise_" / "hum.wav"]


def test_a_file_in_both_lists_is_an_error(tmp_path: Path) -> None:
    """Lists that contradict each other are refused with the file in question."""
    for name in ("validation_list.txt", "testing_list.txt"):
        (tmp_path / name).write_text("yes/a_nohash_0.wav\n")
    with pytest.raises(DatasetError, match=r"yes/a_nohash_0\.wav is in both lists"):
        Corpus(tmp_path)


def test_an_unreadable_list_is_an_error(tmp_path: Path) -> None:
    """A list that is no text is refused, not taken for an absent one."""
    (tmp_path / "testing_list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match=r"testing_list\.txt: cannot be read"):
        Corpus(tmp_path)


def test_a_plain_folder_has_words_and_no_parts(tmp_path: Path) -> None:
    """Without lists the layout says the word only; files keep a fixed order."""
    touch(tmp_path, "yes/2.wav", "yes/1.wav", "no/1.flac")
    corpus = Corpus(tmp_path)
    assert not corpus.is_speech_commands
    assert short(corpus) == [("no", "", None), ("yes", "", None), ("yes", "", None)]
    assert [Path(item.path).name for item in recordings(corpus)] == ["1.flac", "1.wav", "2.wav"]
    assert corpus.noise_files() == []


def test_nested_speaker_folders(tmp_path: Path) -> None:
    """``word/speaker/take.wav`` is read with a pattern over the path below the corpus."""
    touch(tmp_path, "yes/anna/1.wav", "yes/bob/1.wav", "no/anna/x/deep.wav")
    corpus = Corpus(tmp_path, speaker_pattern=r"^[^/]+/([^/]+)/")
    assert short(corpus) == [("no", "anna", None), ("yes", "anna", None), ("yes", "bob", None)]


def test_nested_folders_keep_their_first_folder_as_word(tmp_path: Path) -> None:
    """Without a pattern, deeper folders change neither word nor speaker."""
    touch(tmp_path, "yes/anna/1.wav", "yes/2.wav")
    assert short(Corpus(tmp_path)) == [("yes", "", None), ("yes", "", None)]


def test_a_flat_folder_with_a_pattern(tmp_path: Path) -> None:
    """Files named like 0_jackson_12.wav are split by groups ``word`` and ``speaker``."""
    touch(tmp_path, "0_jackson_12.wav", "1_theo_3.wav")
    corpus = Corpus(tmp_path, speaker_pattern=r"^(?P<word>\d)_(?P<speaker>[a-z]+)_")
    assert short(corpus) == [("0", "jackson", None), ("1", "theo", None)]


def test_a_word_group_alone_names_no_speaker(tmp_path: Path) -> None:
    """Where groups are named, an unnamed or other group is not taken for the speaker."""
    touch(tmp_path, "0_jackson_12.wav")
    assert short(Corpus(tmp_path, speaker_pattern=r"^(?P<word>\d)_([a-z]+)")) == [("0", "", None)]


def test_the_file_name_is_searched_before_the_path(tmp_path: Path) -> None:
    """A pattern that fits both is read from the file's own name."""
    touch(tmp_path, "yes/s9/s1_take.wav", "yes/s9/take.wav")
    assert [s for _, s, _ in short(Corpus(tmp_path, speaker_pattern=r"(s\d)"))] == ["s1", "s9"]


def test_files_the_pattern_does_not_fit_are_reported(tmp_path: Path) -> None:
    """A name without the speaker, or without the word, is a fault with the reason."""
    touch(tmp_path, "yes/anna-1.wav", "yes/noname.wav")
    (fault,) = faults(Corpus(tmp_path, speaker_pattern=r"^([a-z]+)-"))
    assert fault.kind == "no_speaker"
    assert fault.path.endswith("noname.wav")
    assert "does not match" in fault.message
    flat = touch(tmp_path / "flat", "7_x.wav", "_x.wav")
    (fault,) = faults(Corpus(flat, speaker_pattern=r"^(?P<word>\d?)_(?P<speaker>x)"))
    assert (fault.kind, Path(fault.path).name) == ("no_label", "_x.wav")


def test_sound_outside_any_word_folder_is_reported(tmp_path: Path) -> None:
    """A recording at the top has no word; a text there is not taken for a recording."""
    touch(tmp_path, "yes/1.wav", "lost.wav", "LOST.FLAC", "LICENSE", "notes.txt")
    found = faults(Corpus(tmp_path))
    assert [Path(fault.path).name for fault in found] == ["LOST.FLAC", "lost.wav"]
    assert {fault.kind for fault in found} == {"no_label"}
    assert "folder named after its word" in found[0].message


def test_names_that_are_no_utf8_are_reported(tmp_path: Path) -> None:
    """A file named in another encoding is a fault with a name that can be printed."""
    touch(tmp_path, "yes/1.wav")
    for name in (b"yes/gr\xfcn.wav", b"gr\xfcn.wav"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    found = faults(Corpus(tmp_path))
    assert sorted(fault.kind for fault in found) == ["no_label", "unreadable"]
    mined = touch(tmp_path / "mined", "1.wav")
    Path(os.fsdecode(os.fsencode(mined) + b"/gr\xfcn.wav")).touch()
    found += faults(Corpus(tmp_path / "yes", unknown=mined, speaker_pattern="(?P<word>.)"))
    assert len(found) == 4
    for fault in found:
        assert r"gr\xfcn.wav" in fault.path
        (fault.path + fault.message).encode()


def test_a_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder without permission is told by name, not by a traceback."""
    touch(tmp_path, "yes/1.wav")

    def scandir(path: str) -> object:
        if path.endswith("yes"):
            raise PermissionError(13, "Permission denied", path)
        return original(path)

    original = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DatasetError, match=r"yes: cannot be listed: Permission denied"):
        list(Corpus(tmp_path))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("([a-z", "no regular expression"),
        ("[a-z]+_", "expected a group"),
        ("(?:a)", "expected a group"),
    ],
)
def test_a_pattern_that_cannot_work_is_a_config_error(
    pattern: str, words: str, tmp_path: Path
) -> None:
    """No regular expression, and one without a group, are refused with the pattern."""
    with pytest.raises(ConfigError, match=words) as caught:
        Corpus(tmp_path, speaker_pattern=pattern)
    assert repr(pattern) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "found nothing there"),
        ("notes.txt", "found a file of another kind"),
        ("gone.csv", "cannot read this manifest"),
    ],
)
def test_a_source_of_another_kind_is_an_error(name: str, words: str, tmp_path: Path) -> None:
    """Neither folder nor manifest: the error says what was expected and what was there."""
    touch(tmp_path, "notes.txt")
    with pytest.raises(DatasetError, match=words):
        list(Corpus(tmp_path / name))


def test_sound_files_go_by_their_ending(tmp_path: Path) -> None:
    """All sound below a folder in a fixed order, hidden files and texts left out."""
    touch(tmp_path, "b.WAV", "a/z.mp3", "a/notes.txt", ".x.wav", "a/.y/z.wav", "c.flac")
    assert sound_files(tmp_path) == [tmp_path / "a/z.mp3", tmp_path / "b.WAV", tmp_path / "c.flac"]


def test_noise_files_are_sound_only(tmp_path: Path) -> None:
    """The README in the noise folder of Speech Commands is no noise."""
    touch(
        tmp_path,
        "_background_noise_/README.md",
        "_background_noise_/b.wav",
        "_background_noise_/a.flac",
    )
    assert [path.name for path in Corpus(tmp_path).noise_files()] == ["a.flac", "b.wav"]


def test_a_csv_manifest(tmp_path: Path) -> None:
    """Columns give everything; paths are relative to the manifest; a BOM is fine."""
    manifest = tmp_path / "all.csv"
    manifest.write_text(
        "path,label,speaker,split,offset,duration,remark\n"
        "a.wav,yes,anna,train,,,x\n"
        "sub/b.wav,no,bob,dev,1.5,0.75,\n"
        "/abs/c.wav,no,,,,,\n"
        '"d, e.wav", no ,cleo,TEST,0,2\n',
        encoding="utf-8-sig",
    )
    assert recordings(Corpus(manifest)) == [
        Recording(str(tmp_path / "a.wav"), "yes", "anna", "training"),
        Recording(str(tmp_path / "sub/b.wav"), "no", "bob", "validation", 1.5, 0.75),
        Recording("/abs/c.wav", "no"),
        Recording(str(tmp_path / "d, e.wav"), "no", "cleo", "testing", 0.0, 2.0),
    ]


def test_a_jsonl_manifest(tmp_path: Path) -> None:
    """JSON lines give the same, with numbers as numbers and other names for columns."""
    manifest = tmp_path / "all.jsonl"
    rows = [
        {"path": "a.wav", "label": "yes", "part": "testing", "offset_s": 0.25, "duration_s": 1},
        {"path": "b.wav", "label": 5, "speaker": 7, "split": None},
    ]
    manifest.write_text("\ufeff" + "\n\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    assert recordings(Corpus(manifest)) == [
        Recording(str(tmp_path / "a.wav"), "yes", "", "testing", 0.25, 1.0),
        Recording(str(tmp_path / "b.wav"), "5", "7"),
    ]


@pytest.mark.parametrize(
    ("alias", "part"),
    [
        ("train", "training"), ("training", "training"), ("Train", "training"),
        ("val", "validation"), ("valid", "validation"), ("dev", "validation"),
        ("validation", "validation"), ("test", "testing"), ("testing", "testing"),
        ("eval", "testing"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("column", ["split", "part"])
def test_parts_have_the_usual_names(alias: str, part: str, column: str, tmp_path: Path) -> None:
    """The names of parts that people use are understood."""
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"path,label,{column}\na.wav,yes,{alias}\n")
    assert recordings(Corpus(manifest))[0].part == part


GOOD = '{"path": "a.wav", "label": "yes"}'


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "m.csv",
            "file,word\na.wav,yes\n",
            "m.csv:2: expected columns path and label, got file, word",
        ),
        (
            "m.csv",
            "path,label\na.wav,yes\nb.wav,\n",
            "m.csv:3: expected a label, its field is empty",
        ),
        ("m.csv", "path,label\n,yes\n", "m.csv:2: expected a path, its field is empty"),
        ("m.csv", "path,label\na.wav\n", "m.csv:2: expected a label, its field is empty"),
        (
            "m.csv",
            "path,label,split\na.wav,yes,middle\n",
            "m.csv:2: split 'middle': expected one of",
        ),
        (
            "m.csv",
            "path,label,offset\na.wav,yes,-1\n",
            "m.csv:2: offset: expected seconds from 0, got '-1'",
        ),
        ("m.csv", "path,label,offset\na.wav,yes,nan\n", "m.csv:2: offset"),
        ("m.csv", "path,label,offset\na.wav,yes,1_0\n", "m.csv:2: offset: expected seconds"),
        ("m.csv", "path,label,duration\na.wav,yes,soon\n", "m.csv:2: duration"),
        ("m.csv", "path,label,duration\na.wav,yes,0\n", "m.csv:2: duration: expected more than 0"),
        ("m.csv", 'path,label\na.wav,"yes\nb.wav,no\n', ": not CSV: unexpected end of data"),
        ("m.csv", 'path,label\na.wav,"yes\nb"\n', "m.csv:3: expected path, label and speaker"),
        ("m.csv", "path,label\na,b.wav,yes\n", "m.csv:2: expected 2 fields, got more; put quotes"),
        ("m.csv", "path,label,label\na.wav,yes,no\n", "m.csv:1: expected the column label once"),
        ("m.jsonl", '{"path": "a", "label": NaN}', "m.jsonl:1: label: expected text, got nan"),
        ("m.jsonl", GOOD + "\n{oops\n", "m.jsonl:2: expected a JSON object"),
        ("m.jsonl", GOOD + "\n\n[1]\n", "m.jsonl:3: expected a JSON object, got [1]"),
        (
            "m.jsonl",
            GOOD + '\n{"path": "a"}\n',
            "m.jsonl:2: expected columns path and label, got path",
        ),
        ("m.jsonl", '{"path": "a", "label": "b", "offset": 1e9}', "m.jsonl:1: offset"),
        ("m.jsonl", '{"path": "a\\u0000b", "label": "b"}', "m.jsonl:1: expected path"),
        ("m.jsonl", '{"path": "a", "label": "\\ud800"}', "m.jsonl:1: expected path"),
    ],
)
def test_a_bad_row_names_its_line(name: str, content: str, words: str, tmp_path: Path) -> None:
    """Errors in a manifest come with file, line, what was expected and what came."""
    manifest = tmp_path / name
    manifest.write_text(content)
    with pytest.raises(DatasetError, match=re.escape(words)):
        list(Corpus(manifest))


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("m.csv", "", "path,label, and below it a row"),
        # Its only recording is taken for the header.
        ("m.csv", "a.wav,yes\n", "path,label, and below it a row"),
        ("m.jsonl", "\n\n", "a line for each recording"),
    ],
)
def test_a_manifest_without_rows_is_an_error(
    name: str, content: str, wanted: str, tmp_path: Path
) -> None:
    """It says what a manifest looks like."""
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=f"{name}: expected .*{wanted}"):
        list(Corpus(tmp_path / name))


@pytest.mark.parametrize(
    "content",
    ["path,label,,\na.wav,yes,,\n", "path,label\na.wav,yes,\n\n", ",,path,label\n0,0,a.wav,yes\n",
     "note,path,label,note\n1,a.wav,yes,2\n", "path,label,more\na.wav,yes,x\n"],
)  # fmt: skip
def test_what_spreadsheets_write_is_read(content: str, tmp_path: Path) -> None:
    """Empty columns and fields, columns of their own, and unlisted ones twice are passed over."""
    (tmp_path / "m.csv").write_text(content)
    assert [item.word for item in recordings(Corpus(tmp_path / "m.csv"))] == ["yes"]


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl"])
def test_a_manifest_that_is_no_text_is_an_error(name: str, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are a `DatasetError` with the manifest's name."""
    (tmp_path / name).write_bytes(b"path,label\n\xff\xfe\xfd\n")
    with pytest.raises(DatasetError, match=rf"{name}: expected text in UTF-8: .*; save it as that"):
        list(Corpus(tmp_path / name))


def test_noise_lies_beside_a_manifest(tmp_path: Path) -> None:
    """A manifest's background noise is in the folder it lies in."""
    touch(tmp_path, "_background_noise_/hum.wav", "m.csv")
    corpus = Corpus(tmp_path / "m.csv")
    assert corpus.noise_files() == [tmp_path / "_background_noise_" / "hum.wav"]


cell = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\n"), min_size=1, max_size=8
).filter(lambda text: text.strip() == text and not text.startswith("/"))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(cell, cell, cell, st.sampled_from(["training", "validation", "testing"]),
                  st.floats(0, 1e5), st.floats(1e-3, 1e3)),
        min_size=1, max_size=4,
    ),
)  # fmt: skip
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_written_manifest_reads_back(
    kind: str,
    rows: list[tuple[str, str, str, str, float, float]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whatever text of one line stands in the cells, commas and quotes included, comes back."""
    names = ["path", "label", "speaker", "part", "offset_s", "duration_s"]
    manifest = tmp_path_factory.mktemp("manifests") / f"m.{kind}"
    if kind == "csv":
        buffer = io.StringIO()
        csv.writer(buffer).writerows([names, *rows])
        manifest.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    else:
        lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
        manifest.write_text("\n".join(lines), encoding="utf-8")
    plain = functools.partial(unicodedata.normalize, "NFC")
    expected = [
        (str(manifest.parent / path), plain(word), plain(speaker), *rest)
        for path, word, speaker, *rest in rows
    ]
    got = [
        (item.path, item.word, item.speaker, item.part, item.offset_s, item.duration_s)
        for item in recordings(Corpus(manifest))
    ]
    assert got == expected


@settings(max_examples=150, deadline=None)
@given(content=st.text(max_size=60) | st.binary(max_size=60).map(lambda b: b.decode("latin-1")))
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_any_manifest_gives_recordings_or_a_dataset_error(
    kind: str, content: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No manifest brings the reader down with anything but a `DatasetError`."""
    manifest = tmp_path_factory.getbasetemp() / f"any.{kind}"
    head = "path,label,offset\na,b," if kind == "csv" else '{"path": "a", "label": "b", "offset": '
    manifest.write_bytes((head + content).encode("utf-8", "surrogatepass"))
    try:
        items = list(Corpus(manifest))
    except DatasetError:
        return
    assert all(isinstance(item, Recording) for item in items)


def test_a_fault_carries_the_error_of_its_file() -> None:
    """A `Fault` made of an `AudioError` keeps kind and message."""
    for kind in AUDIO_FAULTS:
        fault = Fault.of("a.wav", AudioError(kind, "a.wav: broken"))
        assert fault == Fault("a.wav", kind, "a.wav: broken")


def test_a_pattern_finds_speakers_of_a_manifest_that_names_none(tmp_path: Path) -> None:
    """Rows without a speaker get one from the file's name; rows with one keep it."""
    manifest = tmp_path / "clips.csv"
    manifest.write_text(
        "path,label,speaker\n0_ann_1.wav,zero,\n0_ben_1.wav,zero,eve\nodd.wav,zero,\n"
    )
    items = list(Corpus(manifest, speaker_pattern="_([a-z]+)_"))
    assert [getattr(item, "speaker", None) for item in items] == ["ann", "eve", None]
    assert isinstance(items[2], Fault)
    assert items[2].kind == "no_speaker"


def test_a_folder_without_sound_is_no_word(tmp_path: Path) -> None:
    """Notes beside the words are told as faults, and so is a stray file beside sounds.

    Nobody speaks in it, so it has no say in how parts are made.
    """
    touch(tmp_path, "yes/a.wav", "yes/list.txt", "notes/readme.txt", "notes/old/todo.md")
    items = list(Corpus(tmp_path))
    faults = [item for item in items if isinstance(item, Fault)]
    assert [Path(fault.path).name for fault in faults] == ["todo.md", "readme.txt", "list.txt"]
    assert {fault.kind for fault in faults} == {"not_audio"}
    assert {item.word for item in items if isinstance(item, Recording)} == {"yes"}


def test_a_further_folder_is_unknown_words(tmp_path: Path) -> None:
    """Its sound files, however deep, are unknown words of the speakers in their names."""
    touch(tmp_path / "own", "yes/amy_nohash_0.wav")
    touch(tmp_path / "mined", "bob_nohash_1.wav", "deep/er/cid.flac", "notes.txt", ".hidden.wav")
    corpus = Corpus(tmp_path / "own", unknown=tmp_path / "mined")
    assert recordings(corpus) == [
        Recording(str(tmp_path / "own" / "yes" / "amy_nohash_0.wav"), "yes", "amy"),
        Recording(str(tmp_path / "mined" / "bob_nohash_1.wav"), UNKNOWN, "bob", added=True),
        Recording(str(tmp_path / "mined" / "deep" / "er" / "cid.flac"), UNKNOWN, "", added=True),
    ]
    # A corpus is walked more than once.
    assert recordings(corpus) == recordings(corpus)


def test_further_unknown_words_are_for_training_where_parts_are_given(tmp_path: Path) -> None:
    """Testing stays what the lists of the source say."""
    touch(tmp_path / "own", "yes/a_nohash_0.wav", "yes/b_nohash_0.wav")
    (tmp_path / "own" / "testing_list.txt").write_text("yes/b_nohash_0.wav")
    touch(tmp_path / "mined", "c_nohash_0.wav")
    corpus = Corpus(tmp_path / "own", unknown=tmp_path / "mined")
    assert short(corpus) == [
        ("yes", "a", "training"), ("yes", "b", "testing"), (UNKNOWN, "c", "training"),
    ]  # fmt: skip


def test_a_speaker_pattern_is_for_the_source_alone(tmp_path: Path) -> None:
    """Mined clips keep the speakers that mining gave them."""
    touch(tmp_path / "own", "yes/1-amy.wav")
    touch(tmp_path / "mined", "bob_nohash_0.wav")
    corpus = Corpus(tmp_path / "own", speaker_pattern=r"-(.*)\.", unknown=tmp_path / "mined")
    assert short(corpus) == [("yes", "amy", None), (UNKNOWN, "bob", None)]


def test_further_unknown_words_beside_a_manifest(tmp_path: Path) -> None:
    """A manifest takes a further folder as a folder does."""
    (tmp_path / "m.csv").write_text("path,label\na.wav,yes\n")
    touch(tmp_path / "mined", "bob_nohash_0.wav")
    assert short(Corpus(tmp_path / "m.csv", unknown=tmp_path / "mined")) == [
        ("yes", "", None), (UNKNOWN, "bob", None),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_a_further_folder_without_sound_is_an_error(tmp_path: Path, kind: str) -> None:
    """It is refused by name, not taken for a folder of nothing."""
    touch(tmp_path / "own", "yes/a.wav")
    folder = tmp_path / "mined"
    if kind == "empty":
        folder.mkdir()
    if kind == "file":
        folder.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"mined: expected a folder of sound files, found none"):
        Corpus(tmp_path / "own", unknown=folder)


def test_what_is_also_given_is_for_training_alone(tmp_path: Path) -> None:
    """A second folder's words keep their labels; nobody in it is validated or tested on."""
    touch(tmp_path / "own", "yes/a_nohash_0.wav", "yes/b_nohash_0.wav")
    (tmp_path / "own" / "testing_list.txt").write_text("yes/b_nohash_0.wav")
    touch(tmp_path / "voices", "yes/v_nohash_0.wav", "_unknown_/w_nohash_0.wav", "stray.wav")
    # Its own lists are not asked.
    (tmp_path / "voices" / "testing_list.txt").write_text("yes/v_nohash_0.wav")
    corpus = Corpus(tmp_path / "own", also=tmp_path / "voices")
    items = list(corpus)
    said = [(i.word, i.speaker, i.part) for i in items if isinstance(i, Recording)]
    assert said == [
        ("yes", "a", "training"), ("yes", "b", "testing"),
        (UNKNOWN, "w", "training"), ("yes", "v", "training"),
    ]  # fmt: skip
    assert [item.kind for item in items if isinstance(item, Fault)] == ["no_label"]
    assert list(corpus) == items


def test_the_pattern_is_for_what_is_also_given_too(tmp_path: Path) -> None:
    """Whose voice is learnt from there is not tested; other names there are no faults."""
    touch(tmp_path / "own", "yes/0_anna.wav")
    touch(tmp_path / "more", "yes/1_anna.wav", "yes/pico_nohash_0.wav", "yes/someone.wav")
    corpus = Corpus(tmp_path / "own", speaker_pattern=r"^\d_([a-z]+)", also=tmp_path / "more")
    assert [item.speaker for item in corpus if isinstance(item, Recording)] == [
        "anna", "anna", "pico", "",
    ]  # fmt: skip


def test_an_accent_is_one_letter_however_it_is_written(tmp_path: Path) -> None:
    """A speaker and a word are the same in names from a Mac, and in lists of parts."""
    split, whole = "e\u0301", "\u00e9"
    touch(tmp_path, f"caf{split}/jos{split}_nohash_0.wav", f"caf{whole}/jos{whole}_nohash_1.wav")
    (tmp_path / "testing_list.txt").write_text(f"caf{whole}/jos{whole}_nohash_0.wav")
    items = [item for item in Corpus(tmp_path) if isinstance(item, Recording)]
    assert {(item.word, item.speaker) for item in items} == {(f"caf{whole}", f"jos{whole}")}
    assert sorted(str(item.part) for item in items) == ["testing", "training"]


def test_what_is_also_given_must_be_there(tmp_path: Path) -> None:
    """A folder that is missing is an error that names it."""
    touch(tmp_path / "own", "yes/a.wav")
    with pytest.raises(DatasetError, match=r"voices: expected a folder of recordings"):
        Corpus(tmp_path / "own", also=tmp_path / "voices")


def test_lists_from_elsewhere_are_understood(tmp_path: Path) -> None:
    """With a byte-order mark, the separators of Windows, or a dot in front."""
    touch(tmp_path, "yes/a_nohash_0.wav", "yes/b_nohash_0.wav", "yes/c_nohash_0.wav")
    content = "\ufeffyes\\a_nohash_0.wav\r\n./yes/b_nohash_0.wav\r\nyes/z_nohash_0.wav\r\n"
    (tmp_path / "testing_list.txt").write_text(content, encoding="utf-8")
    corpus = Corpus(tmp_path)
    assert short(corpus) == [
        ("yes", "a", "testing"), ("yes", "b", "testing"), ("yes", "c", "training"),
    ]  # fmt: skip
    assert corpus.unmet() == ["yes/z_nohash_0.wav"]


def test_noise_is_found_in_folders_below(tmp_path: Path) -> None:
    """Rooms may have folders of their own."""
    touch(tmp_path, "yes/a.wav", "_background_noise_/kitchen/x.wav", "_background_noise_/y.wav")
    found = Corpus(tmp_path).noise_files()
    assert [path.name for path in found] == ["x.wav", "y.wav"]


@pytest.mark.parametrize("label", ['{"x": 1}', "false", "[]", "9" * 5 + "[" * 200_000])
def test_a_label_that_is_no_text_is_an_error(tmp_path: Path, label: str) -> None:
    """A JSON value of another kind is no word by accident."""
    (tmp_path / "m.jsonl").write_text(f'{{"path": "a.wav", "label": {label}}}\n')
    with pytest.raises(DatasetError, match=r"m\.jsonl:1"):
        list(Corpus(tmp_path / "m.jsonl"))


def test_links_that_lead_nowhere_stop_nothing(tmp_path: Path) -> None:
    """Round in a circle, to themselves, or to what is gone."""
    touch(tmp_path, "yes/a.wav", "no/b.wav")
    (tmp_path / "yes" / "round").symlink_to(tmp_path / "yes")
    (tmp_path / "yes" / "itself.wav").symlink_to("itself.wav")
    (tmp_path / "self").symlink_to("self")
    items = [Path(item.path).name for item in Corpus(tmp_path)]
    assert items == ["b.wav", "a.wav", "itself.wav"]
    assert [path.name for path in sound_files(tmp_path)] == ["b.wav", "a.wav", "itself.wav"]
