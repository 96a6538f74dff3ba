"""Vectors of images and sounds: tiny random models, what is refused, what is computed once, and who reads them."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from causalrec.cli import main
from causalrec.encoders.media.embed import embed_folder
from causalrec.encoders.media.files import read_image, read_sound
from causalrec.encoders.media.model import MediaModel, load_media_model
from causalrec.errors import DataError, RequestError

RATE = 1_000


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vit")
    config = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=16)
    config.patch_size = 8
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("clip")
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    text = {**small, "vocab_size": 9, "projection_dim": 6}
    vision = {**small, "image_size": 16, "patch_size": 8, "projection_dim": 6}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=6)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def wav2vec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("wav2vec")
    config = Wav2Vec2Config(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        conv_dim=(8, 8),
        conv_stride=(5, 2),
        conv_kernel=(10, 3),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=RATE).save_pretrained(folder)
    return folder


def write_images(folder: Path, count: int = 3) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(count):
        pixels = rng.integers(256, size=(20 + k, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"item{k}.{('png', 'jpg', 'webp')[k % 3]}")
    return folder


def write_sound(path: Path, samples: np.ndarray, rate: int = RATE, width: int = 2) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


def test_vectors_of_images_are_those_of_the_model(vit: Path, clip: Path, tmp_path: Path) -> None:
    from transformers import AutoImageProcessor, AutoModel

    folder = write_images(tmp_path / "images")
    for model, width in ((vit, 8), (clip, 6)):
        ids, vectors = embed_folder(folder, model, tmp_path / "cache")
        assert ids == ["item0", "item1", "item2"] and vectors.shape == (3, width) and vectors.dtype == np.float32
        processor, network = AutoImageProcessor.from_pretrained(model), AutoModel.from_pretrained(model).eval()
        inputs = processor(images=[Image.open(folder / "item0.png").convert("RGB")], return_tensors="pt")
        with torch.no_grad():
            bare = network.get_image_features(**inputs) if model == clip else network(**inputs)
        bare = bare if isinstance(bare, torch.Tensor) else bare.pooler_output
        np.testing.assert_allclose(vectors[:1], bare.numpy(), atol=1e-5)


def test_vectors_of_sounds_are_means_of_the_models_states(wav2vec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, length in (("a", 300), ("b", 500)):
        write_sound(folder / f"{name}.wav", rng.integers(-9000, 9000, size=length).astype("<i2"))
    ids, vectors = embed_folder(folder, wav2vec, tmp_path / "cache")
    assert ids == ["a", "b"] and vectors.shape == (2, 8)
    loaded = load_media_model(wav2vec)
    inputs = loaded.processor(read_sound(folder / "b.wav", RATE), sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        states = loaded.network(**inputs).last_hidden_state
    np.testing.assert_allclose(vectors[1], states.mean(1)[0].numpy(), atol=1e-5)


def test_what_was_computed_is_not_again_and_ids_give_the_order(
    vit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_images(tmp_path / "images")
    _, first = embed_folder(folder, vit, tmp_path / "cache")
    embed, read = MediaModel.embed, []

    def noting(model: MediaModel, paths: list[Path]) -> np.ndarray:
        read.extend(paths)
        return embed(model, paths)

    monkeypatch.setattr(MediaModel, "embed", noting)
    ids, again = embed_folder(folder, vit, tmp_path / "cache", ["item2", "item0"])
    assert ids == ["item2", "item0"] and not read and (again == first[[2, 0]]).all()
    Image.new("RGB", (9, 9)).save(folder / "item1.jpg")
    _, changed = embed_folder(folder, vit, tmp_path / "cache")
    assert [path.name for path in read] == ["item1.jpg"] and (changed[[0, 2]] == first[[0, 2]]).all()
    for stored in (tmp_path / "cache").rglob("*.npy"):
        stored.write_bytes(b"damaged")
    np.testing.assert_allclose(embed_folder(folder, vit, tmp_path / "cache")[1], changed, atol=1e-6)
    assert len(read) == 4


@pytest.mark.parametrize("width", [1, 2, 4])
def test_samples_of_any_width_lie_between_one_and_minus_one(width: int, tmp_path: Path) -> None:
    kind = {1: np.uint8, 2: "<i2", 4: "<i4"}[width]
    largest = 2 ** (8 * width - 1)
    samples = np.array([[0, 0], [-largest, -largest], [largest // 2, 0]]) + (128 if width == 1 else 0)
    write_sound(tmp_path / "a.wav", samples.astype(kind), width=width)
    np.testing.assert_allclose(read_sound(tmp_path / "a.wav", RATE), [0, -1, 0.25], atol=1e-6)


def test_files_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(DataError, match=r"a\.png: cannot be read as an image"):
        read_image(tmp_path / "a.png")
    Image.new("RGB", (40, 40)).save(tmp_path / "b.png")
    (tmp_path / "c.jpg").write_bytes((tmp_path / "b.png").read_bytes())
    with pytest.raises(DataError, match=r"c\.jpg: cannot be read as an image"):
        read_image(tmp_path / "c.jpg")
    monkeypatch.setattr("causalrec.encoders.media.files.MAX_PIXELS", 100)
    with pytest.raises(DataError, match=r"b\.png: has 40 x 40 pixels; at most 100 are read"):
        read_image(tmp_path / "b.png")
    (tmp_path / "d.png").symlink_to(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"d\.png: is no file itself"):
        read_image(tmp_path / "d.png")
    (tmp_path / "e.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"e\.wav: cannot be read as sound"):
        read_sound(tmp_path / "e.wav", RATE)
    write_sound(tmp_path / "f.wav", np.zeros(9, "<i2"), rate=8_000)
    with pytest.raises(DataError, match=r"f\.wav: has 8000 samples a second, and the model takes 1000; resample it"):
        read_sound(tmp_path / "f.wav", RATE)
    write_sound(tmp_path / "g.wav", np.zeros(0, "<i2"))
    with pytest.raises(DataError, match=r"g\.wav: lasts 0 s"):
        read_sound(tmp_path / "g.wav", RATE)


def test_folders_and_models_that_do_not_do_are_one_line(vit: Path, tmp_path: Path) -> None:
    folder, cache = write_images(tmp_path / "images"), tmp_path / "cache"
    with pytest.raises(RequestError, match=r"1 of 2 ids have no file, first 'item9'; did you mean 'item"):
        embed_folder(folder, vit, cache, ["item0", "item9"])
    Image.new("RGB", (4, 4)).save(folder / "item0.bmp")
    with pytest.raises(RequestError, match=r"item0\.bmp and item0\.png are of one id; remove one"):
        embed_folder(folder, vit, cache)
    empty = tmp_path / "empty"
    empty.mkdir()
    write_sound(empty / "a.wav", np.zeros(9, "<i2"))
    with pytest.raises(RequestError, match=r"no file of \.png, .*, and files of \.wav that this model does not"):
        embed_folder(empty, vit, cache)
    for name, content, said in (
        ("preprocessor_config.json", '{"auto_map": {}}', "asks to run code of its own"),
        ("config.json", '{"auto_map": {}}', r"asks to run Python code that comes with the model"),
    ):
        hostile = tmp_path / name
        hostile.mkdir()
        for path in vit.iterdir():
            (hostile / path.name).write_bytes(path.read_bytes())
        (hostile / name).write_text(content)
        with pytest.raises(RequestError, match=said):
            load_media_model(hostile)
    (hostile / "config.json").write_text((vit / "config.json").read_text())
    (hostile / "preprocessor_config.json").unlink()
    with pytest.raises(RequestError, match=r"no preprocessor_config\.json in it"):
        load_media_model(hostile)


def test_the_command_writes_what_a_data_set_reads(
    vit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    folder = write_images(tmp_path / "images", 6)
    words = ["data", "embed", str(folder), "--model", str(vit), "--out", "tables/cover.npy", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 6
    assert np.load("tables/cover_ids.npy").tolist() == [f"item{k}" for k in range(6)]
    assert main(words) == 2 and "is there already" in capsys.readouterr().err
    rows = [f"u{k % 9},item{k % 6},{k * 7 % 2}" for k in range(0, 54)]
    Path("tables/log.csv").write_text("user,item,liked\n" + "\n".join(sorted(set(rows), key=rows.index)))
    conf = tmp_path / "conf"
    (conf / "dataset").mkdir(parents=True)
    (conf / "graph").mkdir()
    (conf / "dataset" / "pictured.yaml").write_text(
        "_target_: causalrec.data.datasets.csv.CsvTables\nname: pictured\nfolder: ./tables\ninteractions: log.csv\n"
        "user: user\nitem: item\noutcome: liked\nkind: click\nthreshold: null\nself_selected: false\n"
        "vectors: {cover: {file: cover.npy, ids: cover_ids.npy}}\n"
    )
    (conf / "graph" / "pictured.yaml").write_text(
        "_target_: causalrec.graph.causal_graph.CausalGraph\n"
        "edges: ['user, item -> exposure, outcome', 'cover -> outcome', 'exposure -> outcome']\n"
    )
    request = ["--config-dir", str(conf), "dataset=pictured", "encoder=hybrid", "encoder.item=[id,vectors]"]
    code = main(["train", *request, "encoder.user=[id]", "objective=naive", "trainer=smoke", "logger=none"])
    said = capsys.readouterr()
    assert code == 0, said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data", "embed"], "data embed: lacks FOLDER"),
        (["data", "embed", "x", "--model", "y"], "data embed: lacks --out FILE.npy"),
        (["data", "embed", "x", "--model", ".", "--out", "v.txt"], "--out v.txt: is no .npy file"),
        (["data", "embed", "x", "--model", "nowhere", "--out", "v.npy"], "--model nowhere: no such folder"),
        (["data", "embed", "nothing", "--model", ".", "--out", "v.npy"], "data embed nothing: is no folder"),
        (
            ["data", "embed", ".", "--model", ".", "--out", "v.npy", "--ids", "none.txt"],
            "--ids none.txt: cannot be read",
        ),
        (["data", "check", "coat", "--out", "v.npy"], "data check: --out is of `data embed` alone"),
    ],
)
def test_wrong_requests_are_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())
