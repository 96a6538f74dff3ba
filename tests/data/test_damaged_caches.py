"""What is derived carries sums of its content: damaged in path, cut or replaced, it is made anew in one line."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from causalrec.data import checked_folder
from causalrec.data.array_files import load_npy, load_npz
from causalrec.data.checked_file import load_or_make
from causalrec.data.checked_folder import META, open_sealed, seal
from causalrec.encoders.language.cache import embeddings
from causalrec.encoders.language.checksums import file_sha256
from causalrec.encoders.language.gguf_conversion import convert_gguf
from causalrec.errors import DataError
from causalrec.records.sidecars import read_sidecar, write_sidecars

Damage = Callable[[Path], object]


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10])


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def writes(content: bytes) -> Damage:
    return lambda path: path.write_bytes(content)


DAMAGES: list[Damage] = [zeros, cut, pipe, loop, folder, writes(b""), writes(b"\xff\xfe"), writes(b"[" * 50_000)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    (store / "logged").mkdir(parents=True)
    (store / "logged" / "item.npy").write_bytes(b"items" * 100)
    seal(store, {"rows": {"logged": 3}, "left_out": ("a",)})
    return store


@pytest.mark.parametrize("damage", [*DAMAGES, writes(b'{"sizes": {}}'), writes(b"[1]")])
@pytest.mark.parametrize("name", [META, "logged/item.npy"])
def test_a_damaged_store_is_removed_in_one_line(
    name: str, damage: Damage, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meta = open_sealed(store)
    assert meta is not None and meta["rows"] == {"logged": 3} and meta["left_out"] == ["a"]
    damage(store / name)
    assert open_sealed(store) is None and not store.exists()
    err = capsys.readouterr().err
    assert err.startswith(f"causalrec: {store}: damaged ({name}: ") and err.count("\n") == 1
    assert open_sealed(store) is None and capsys.readouterr().err == "", "none is there, which is no damage"


def test_meta_data_of_another_number_are_damaged(store: Path) -> None:
    sealed = json.loads((store / META).read_text())
    sealed["content"]["rows"]["logged"] = 4
    (store / META).write_text(json.dumps(sealed))
    assert open_sealed(store) is None


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_stands_in_the_place_of_a_store_goes_and_what_a_link_leads_to_stays(kind: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    path = tmp_path / "store"
    path.touch() if kind == "file" else path.symlink_to("mine")
    assert open_sealed(path) is None and not os.path.lexists(path) and (tmp_path / "mine").is_dir()


def test_a_file_of_another_size_is_not_read_to_its_end(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with max(store.rglob("*.npy")).open("r+b") as file:
        file.truncate(1 << 40)
    monkeypatch.setattr(checked_folder, "sum_of", lambda path: pytest.fail(f"{path} is read"))
    assert checked_folder.open_sealed(store) is None


def test_a_large_store_is_summed_again_only_where_a_file_was_written(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked_folder, "ALWAYS_SUMMED", 0)
    real, summed = checked_folder.sum_of, list[str]()
    monkeypatch.setattr(checked_folder, "sum_of", lambda path: (summed.append(path.name), real(path))[1])
    assert open_sealed(store) is not None and summed == ["item.npy"]
    assert open_sealed(store) is not None and summed == ["item.npy"], "as it was when it was summed"
    path = store / "logged" / "item.npy"
    state = path.stat()
    path.write_bytes(b"other" * 100)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert open_sealed(store) is None, "the time of the content can be set, that of the change cannot"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cached_file_is_made_anew(damage: Damage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, made_by = tmp_path / "cache" / "x.arrays", list[bytes]()

    def make() -> bytes:
        made_by.append(b"content")
        return made_by[-1]

    assert [load_or_make(path, make, bytes.decode) for _ in range(2)] == ["content"] * 2 and len(made_by) == 1
    damage(path)
    assert load_or_make(path, make, bytes.decode) == "content" and len(made_by) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"causalrec: {path}: damaged (") and err.endswith("so it is made anew\n")
    assert load_or_make(path, make, bytes.decode) == "content" and len(made_by) == 2


def test_a_cached_file_that_holds_something_else_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert load_or_make(path, lambda: b"text", bytes.decode) == "text"
    assert load_or_make(path, lambda: b"12", int) == 12


# Arrays.


def npy(array: object, **header: object) -> bytes:
    out = io.BytesIO()
    if header:
        np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, **header})
        return out.getvalue() + bytes(64)
    np.save(out, array, allow_pickle=True)  # type: ignore[arg-type]
    return out.getvalue()


ARRAYS = {
    "huge": npy(None, shape=(10**12,)),
    "overflowing": npy(None, shape=(2**62, 2**62)),
    "negative": npy(None, shape=(-1,)),
    "objects": npy(np.array([{}, []], object)),
    "cut": npy(np.zeros(100, np.float32))[:200],
    "longer": npy(np.zeros(3, np.float32)) + b"x",
    "empty": b"",
    "garbage": b"\x93NUMPY\x01\x00\xff\xff{",
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("mapped", [True, False])
def test_an_array_that_claims_another_size_is_one_line(mapped: bool, name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(ARRAYS[name])
    with pytest.raises(DataError) as caught:
        load_npy(path, mapped=mapped)
    assert str(caught.value).startswith(f"{path}: not an array as it was written (") and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ARRAYS)
def test_an_archive_of_such_arrays_is_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "replicates.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", ARRAYS[name])
    with pytest.raises(DataError, match="not arrays as they were written"):
        load_npz(path)
    with pytest.raises(DataError, match=r"replicates\.npz: not readable \(.*\); run mf again"):
        read_sidecar(path, "mf")


def test_a_bomb_of_zeros_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "replicates.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy(np.zeros(1_000_000, np.float32)))
    with pytest.raises(DataError, match="compressed, or longer than the file"):
        load_npz(path)


def test_sidecars_come_back_and_other_shapes_are_named(tmp_path: Path) -> None:
    write_sidecars(tmp_path, replicates={"a|b|c": np.arange(3.0)}, jackknife={"a|b|c": np.ones((3, 4))})
    assert read_sidecar(tmp_path / "replicates.npz", "mf")["a|b|c"].tolist() == [0, 1, 2]
    assert read_sidecar(tmp_path / "jackknife.npz", "mf")["a|b|c"].shape == (3, 4)
    write_sidecars(tmp_path, replicates={"a|b|c": np.ones((3, 4))})
    with pytest.raises(DataError, match="of another shape"):
        read_sidecar(tmp_path / "replicates.npz", "mf")


def test_a_sidecar_of_before_holds_a_member_for_each_score(tmp_path: Path) -> None:
    np.savez(tmp_path / "jackknife.npz", **{"a|b|c": np.ones((3, 4), np.float32), "a|b|d": np.zeros((3, 2))})
    arrays = read_sidecar(tmp_path / "jackknife.npz", "mf")
    assert list(arrays) == ["a|b|c", "a|b|d"] and arrays["a|b|c"].dtype == np.float64
    assert [arrays[key].shape for key in arrays] == [(3, 4), (3, 2)] and arrays["a|b|d"].sum() == 0


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (b'["a", "b"]', [2, 2]),
        (b'["a", "a"]', [2, 3]),
        (b'["a"]', [2, 3]),
        (b'["a", "b"]', [6, -1]),
        (b'["a", 1]', [2, 3]),
        (b"{", [2, 3]),
        (b'{"a": 1}', [5]),
        (b"[" * 100_000, [2, 3]),
    ],
)
def test_a_sidecar_whose_names_are_not_those_of_its_numbers_is_one_line(
    names: bytes, sizes: list[int], tmp_path: Path
) -> None:
    members = {"names": np.frombuffer(names, np.uint8), "sizes": np.array(sizes), "numbers": np.ones(5, np.float32)}
    np.savez(tmp_path / "replicates.npz", **members)
    with pytest.raises(DataError, match=r"replicates\.npz: not readable \(.*\); run mf again") as caught:
        read_sidecar(tmp_path / "replicates.npz", "mf")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder_name", ["baselines", "digests", "text", "models"])
def test_a_linked_folder_of_the_cache_is_refused_in_one_line(folder_name: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / folder_name).symlink_to(tmp_path / "mine")
    (tmp_path / "model").mkdir()
    file = tmp_path / "model" / "a.gguf"
    file.write_bytes(b"a")
    write: dict[str, Callable[[Path], object]] = {
        "baselines": lambda cache: load_or_make(cache / "baselines" / "x.arrays", lambda: b"1", bytes),
        "digests": lambda cache: file_sha256(file, cache),
        "text": lambda cache: embeddings(["a"], tmp_path / "model", pooling="mean", max_tokens=4, cache=cache),
        "models": lambda cache: convert_gguf(file, cache),
    }
    with pytest.raises(DataError, match=rf"{folder_name}: a symbolic link, behind which nothing is written"):
        write[folder_name](tmp_path / "cache")
    assert not [*(tmp_path / "mine").iterdir()]
