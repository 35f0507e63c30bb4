"""Zip archives that nobody vouches for."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import pytest

from app.errors import Unreadable
from app.sources.archive import Limits, is_archive, opened

LIMITS = Limits()


def made(*entries: tuple[str, bytes], packed: bool = True) -> bytes:
    out = io.BytesIO()
    how = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", how) as file:
        warnings.simplefilter("ignore")  # the library warns of two entries of one name
        for name, data in entries:
            file.writestr(name, data)
    return out.getvalue()


def special(name: str, mode: int, data: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        entry = zipfile.ZipInfo(name)
        entry.create_system, entry.external_attr = 3, mode << 16
        file.writestr(entry, data)
    return out.getvalue()


def refusal(data: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(Unreadable) as refused, opened(data, name="x.zip", limits=limits):
        pass
    return str(refused.value)


def test_a_harmless_archive_is_read() -> None:
    data = made(("good.md", b"# Good\n"), ("folder/", b""), ("folder/b.md", b"bytes"))
    assert is_archive(data)
    with opened(data) as archive:
        assert archive.names == ["good.md", "folder/b.md"]
        assert archive.read("folder/b.md") == b"bytes"
        assert archive.size("good.md") == 7


def test_an_archive_on_disk_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(made(("a.md", b"a" * 3_000_000), packed=False))
    with opened(path) as archive:
        assert sum(len(piece) for piece in archive.pieces("a.md")) == 3_000_000


def test_names_with_backslashes_are_paths() -> None:
    data = made(("folder/b.md", b"b")).replace(b"folder/b.md", b"folder\\b.md")
    with opened(data) as archive:
        assert archive.names == ["folder/b.md"]


@pytest.mark.parametrize(
    "name",
    ["../evil.md", "a/../../evil.md", "/tmp/evil.md", "C:evil.md", "c:\\evil.md", "..\\evil.md"],
)
def test_what_would_be_written_outside_is_refused(name: str) -> None:
    placed = made(("good.md", b"good"), ("X" * len(name), b"evil"))
    assert "outside its folder" in refusal(placed.replace(b"X" * len(name), name.encode()))


@pytest.mark.parametrize("name", ["a//b.md", "./b.md", "a\x01b.md", "a/ /b.md", "n" * 1001])
def test_what_is_no_name_is_refused(name: str) -> None:
    assert "no name for a file" in refusal(made((name, b"x")))


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o120777, "a link to another file"),
        (0o010644, "no plain file"),
        (0o020644, "no plain file"),
    ],
)
def test_links_and_devices_are_refused(mode: int, words: str) -> None:
    assert words in refusal(special("link", mode, b"/etc"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.md", "a.md"),
        ("BERT.md", "bert.md"),
        ("caf\u00e9.md", "cafe\u0301.md"),
        ("a/b.md", "a. /b.md"),
        ("Stra\u00dfe.md", "STRASSE.md"),
    ],
)
def test_names_that_would_be_one_file_are_refused(one: str, other: str) -> None:
    assert "would be one file" in refusal(made((one, b"1"), (other, b"2")))


def test_a_name_that_is_file_and_folder_is_refused() -> None:
    assert "as a file and as a folder" in refusal(made(("a", b"1"), ("A/b.md", b"2")))


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = made(("good.md", b"good"), ("big.md", b"\0" * 30_000_000))
    tracemalloc.start()
    said = refusal(bomb)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert "100 times smaller" in said and "“big.md”" in said


def test_more_than_the_limits_is_refused() -> None:
    many = made(*((f"{number}.md", b"x") for number in range(12)), packed=False)
    assert "more than 10 files" in refusal(many, Limits(entries=10))
    large = made(("a", b"a" * 2_000_000), ("b", b"b" * 2_000_000), packed=False)
    assert "more than 3 MB" in refusal(large, Limits(size=3_000_000))


def test_a_count_that_lies_is_refused() -> None:
    data = bytearray(made(*((f"{number}.md", b"x") for number in range(12)), packed=False))
    end = data.rfind(b"PK\x05\x06")
    struct.pack_into("<HH", data, end + 8, 1, 1)
    assert "files" in refusal(bytes(data), Limits(entries=10))


def test_a_size_that_lies_is_refused() -> None:
    data = bytearray(made(("a.md", bytes(range(256)) * 40)))
    contents = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, contents + 24, 5)  # bytes unpacked, as the contents say
    struct.pack_into("<I", data, 22, 5)
    assert "cannot be unpacked" in refusal(bytes(data))


def test_entries_that_share_bytes_are_refused() -> None:
    data = bytearray(made(("a.md", b"a" * 100), ("b.md", b"b" * 100), packed=False))
    second = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, second + 42, 0)  # where its bytes begin
    assert "share the same bytes" in refusal(bytes(data))


@pytest.mark.parametrize("cut", [1, 10, 30, 90])
def test_a_cut_off_archive_is_refused(cut: int) -> None:
    assert "damaged" in refusal(made(("a.md", b"text " * 50), ("b.md", b"more"))[:-cut])


def test_damaged_bytes_are_refused() -> None:
    data = bytearray(made(("a.md", bytes(range(256)) * 40)))
    data[60:70] = bytes(10)
    assert "damaged" in refusal(bytes(data))


def test_what_is_locked_is_refused() -> None:
    data = bytearray(made(("a.md", b"text")))
    data[6] |= 1
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    assert "password" in refusal(bytes(data))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"no archive" * 9])
def test_what_is_none_or_empty(data: bytes) -> None:
    if data.startswith(b"PK\x05\x06"):
        with opened(data) as archive:
            assert archive.names == []
    else:
        assert "no whole zip archive" in refusal(data)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="cannot be read"), opened(tmp_path / "none.zip"):
        pass


def test_names_in_utf_8_that_do_not_say_so_are_read_as_meant() -> None:
    name = "Émile 漢.md"
    data = bytearray(made((name, b"Text")))
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(start) + flags
        data[at : at + 2] = (int.from_bytes(data[at : at + 2], "little") & ~0x800).to_bytes(
            2, "little"
        )
    with opened(bytes(data), name="x.zip", limits=LIMITS) as archive:
        assert [*archive.names] == [name] and archive.read(name) == b"Text"
