"""A perceptron over fixed vectors, and the vectors of a finished run that it reads."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from causalrec import cli
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mlp import VectorMLP, standardise
from causalrec.errors import RequestError
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel, inference_batch
from causalrec.role_network import RoleNetwork
from causalrec.training.stacked.stacked_fitter import fit_stacked, reason_to_fit_alone
from tests.data.test_csv import put
from tests.training import test_stacked

VIEW = FeatureMatrix((), ("user", "item"), np.zeros((2, 0), np.float32), np.zeros((2, 0), np.float32), ())
USER_VECTORS, ITEM_VECTORS = np.array([[1.0], [3.0]]), np.array([[2.0], [6.0]])  # -1 and 1 once standardised


def inputs(user: Any = USER_VECTORS, item: Any = ITEM_VECTORS) -> EncoderInputs:
    sides = {"user_vectors": {} if user is None else {"p": user}, "item_vectors": {} if item is None else {"q": item}}
    return dataclasses.replace(EncoderInputs(2, 2, (), Path(), Path()), **sides)


def pair_vectors(encoder: VectorMLP) -> torch.Tensor:
    """Return the vectors of the pairs (0, 0), (0, 1), (1, 0), (1, 1)."""
    return encoder.pairs(inference_batch(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), VIEW))


@torch.no_grad()
def fill(encoder: VectorMLP, *weights: list[list[float]]) -> VectorMLP:
    for layer, weight in zip(encoder.layers, weights, strict=True):
        assert isinstance(layer, torch.nn.Linear)
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.zero_()
    return encoder


def test_two_layers_by_hand() -> None:
    """u, v in {-1, 1}: the hidden layer is (ReLU(u + v), ReLU(u - v)), the vector the first minus twice the second."""
    encoder = fill(VectorMLP(inputs(), hidden=(2,), width=1), [[1.0, 1.0], [1.0, -1.0]], [[1.0, -2.0]])
    torch.testing.assert_close(pair_vectors(encoder)[:, 0], torch.tensor([0.0, 0.0, -4.0, 2.0]))


def test_without_hidden_layers_it_is_linear_and_with_the_product_a_factorisation() -> None:
    linear = pair_vectors(VectorMLP(inputs(), hidden=(), width=3))
    torch.testing.assert_close(linear[0] + linear[3], linear[1] + linear[2])
    product = fill(VectorMLP(inputs(), hidden=(), width=1, product=True), [[0.0, 0.0, 1.0]])
    torch.testing.assert_close(pair_vectors(product)[:, 0], torch.tensor([1.0, -1.0, -1.0, 1.0]))
    curved = pair_vectors(fill(VectorMLP(inputs(), hidden=(1,), width=1), [[1.0, 1.0]], [[1.0]]))
    assert (curved[0] + curved[3] - curved[1] - curved[2]).abs().min() > 1


def test_a_column_as_short_as_noise_stays_short() -> None:
    values = np.array([[1.0, 0.0], [3.0, 0.02], [2.0, 0.01]])
    np.testing.assert_allclose(standardise(values).std(0), [1.0, 0.01], rtol=1e-6)
    assert standardise(np.full((2, 3), np.nan)).tolist() == [[0.0] * 3] * 2 == standardise(np.ones((2, 3))).tolist()


def test_an_id_without_a_vector_is_read_at_the_mean_and_moves_no_other() -> None:
    gone = np.array([[1.0], [3.0], [np.nan]])
    encoder = VectorMLP(inputs(user=gone), hidden=(), width=2)
    three = encoder.pairs(inference_batch(np.array([0, 1, 2]), np.zeros(3, np.int64), VIEW_OF_THREE))
    torch.testing.assert_close(three[2], (three[0] + three[1]) / 2)


VIEW_OF_THREE = dataclasses.replace(VIEW, user_block=np.zeros((3, 0), np.float32))


@pytest.mark.parametrize(
    ("given", "settings", "message"),
    [
        (inputs(user=None), {}, r"no vectors of the user; name a file under dataset\.user_vectors, and its node"),
        (inputs(item=None), {}, r"no vectors of the item; name a file under dataset\.vectors, and its node"),
        (inputs(user=np.ones((2, 3))), {"product": True}, r"user vectors have 3 numbers, item vectors 1; take both"),
    ],
)
def test_what_it_cannot_read_is_refused_in_one_line(given: EncoderInputs, settings: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        VectorMLP(given, **settings)
    assert "\n" not in str(caught.value)


def test_stacked_fits_are_those_made_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = (test_stacked.USERS, test_stacked.ITEMS)
    user, item = ({"x": rng.normal(size=(n, 4)).astype(np.float32)} for n in sizes)
    given = EncoderInputs(*sizes, (), Path(), Path(), item_vectors=item, user_vectors=user)

    def network() -> CausalModel:
        width = len(test_stacked.VIEW)
        return CausalModel({r: RoleNetwork(VectorMLP(given, hidden=(5, 4)), Dot(width)) for r in DRJL().roles}, "logit")

    request = test_stacked.task(tmp_path / "fit", DRJL(), model=network)
    assert reason_to_fit_alone(request) is None
    requests = [dataclasses.replace(request, seed=seed, folder=tmp_path / str(seed)) for seed in (0, 1)]
    for mine, other in zip(fit_stacked(requests, lambda size: 9), [each.fit() for each in requests], strict=True):
        assert not isinstance(mine, Exception) and test_stacked.largest(mine.state, other.state) < 1e-8


# --- from one run to another

NODES = ("user -> outcome", "item -> outcome", "taste -> outcome", "taste -> exposure", "exposure -> outcome")
VECTORS = ("p -> outcome", "q -> outcome")
LOGGED = "user,item,rating\n" + "".join(
    f"u{u},i{i},{1 + (u * i + u) % 5}\n" for u in range(14) for i in range(12) if (u + 2 * i) % 3
)
QUICK = ["train", "dataset=csv", "trainer=smoke", "selection.folds=1", "trainer.progress=false", "logger=none"]
QUICK += ["objective=naive", "selection.candidates={optimizer.weight_decay:[0.1]}", "evaluation.replicates=5"]
QUICK += ["propensity=popularity", "evaluation.submodels=false"]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAUSALREC_DATA", str(put(tmp_path, text=LOGGED)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edges(*more: str) -> str:
    return "graph.edges=[" + ",".join(f"'{edge}'" for edge in (*NODES, *more)) + "]"


def files_of(folder: str) -> list[str]:
    sides = (("user_vectors.p", "user"), ("vectors.q", "item"))
    return [f"+dataset.{key}={{file:{folder}/{side}_vectors.npy,ids:{side}_ids.npy}}" for key, side in sides]


def test_vectors_of_a_run_are_read_by_a_run_on_half_of_the_ids(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = [*QUICK, edges(), "encoder=mf", "encoder.width=3", "split=sampled_ids", "split.user_share=0.8", "name=mf"]
    assert cli.main(first) == 0, capsys.readouterr().err
    (run,) = (shop / "runs/default/mf").iterdir()
    assert cli.main(["vectors", str(run), "--out", "out"]) == 0
    said = capsys.readouterr().out
    user, names = np.load("out/user_vectors.npy"), np.load("out/user_ids.npy")
    assert user.shape == (14, 5) and names.dtype.kind == "U" and set(names) == {f"u{u}" for u in range(14)}
    there = np.isfinite(user).all(1)
    assert there.sum() == 11 and "users: 11 of 14 have a vector of 5 numbers" in said, "three were not seen"
    assert np.isnan(user[~there]).all() and (user[there, 4] == 1).all(), "as the encoder has it: [p, b, 1]"
    second = [*QUICK, edges(*VECTORS), "encoder=mlp", "split=sampled_ids", "name=mlp", *files_of("./out")]
    assert cli.main(second) == 0, capsys.readouterr().err
    printed = " ".join(capsys.readouterr().out.split())
    assert "of 7 users outside have a p of a run that saw them" in printed
    (other,) = (shop / "runs/default/mlp").iterdir()
    assert cli.main(["vectors", str(other), "--out", "new"]) == 2
    assert "reads user and item together, so that neither has a vector" in capsys.readouterr().err
    assert cli.main(["vectors", str(run), "--out", "out"]) == 2
    assert "--out out: is there already; name a folder that is not" in capsys.readouterr().err
    assert not Path("new").exists()


def test_vectors_are_written_whole_or_not_at_all(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main([*QUICK, edges(), "encoder=mf", "encoder.width=3", "split=random", "name=mf"]) == 0
    (run,) = (shop / "runs/default/mf").iterdir()
    capsys.readouterr()
    before = sorted(path.name for path in shop.iterdir())
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "user_ids.npy":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert cli.main(["vectors", str(run), "--out", "out"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("causalrec: out: no space left") and said.count("\n") == 1
    assert sorted(path.name for path in shop.iterdir()) == before, "nothing is left, so that it can be run again"
    assert cli.main(["vectors", str(run), "--out", "out"]) == 0 and len(list(Path("out").iterdir())) == 4
    assert cli.main(["vectors", str(run), "--out", "out/user_ids.npy/below"]) == 2
    assert "user_ids.npy is no folder; name a folder below one of yours" in capsys.readouterr().err


def test_vectors_of_other_ids_are_warned_of(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side, mine in (("user", "u0"), ("item", "i0")):
        np.save(f"{side}_vectors.npy", np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
        np.save(f"{side}_ids.npy", np.array([mine, "a", "b", "c", "d"]))
    arguments = [*QUICK, edges(*VECTORS), "encoder=mlp", "split=random", "name=mlp", *files_of(".")]
    assert cli.main(arguments) == 0, capsys.readouterr().err
    printed = " ".join(capsys.readouterr().out.split())
    assert "1 of 14 users with training rows have a vector p, the others are read without one" in printed


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "has none of the user; name a file under dataset.user_vectors"),
        (files_of("./out"), "out/item_vectors.npy: there is no such file; name the file of the vectors q, or make it"),
    ],
)
def test_a_run_without_vectors_is_refused_before_it_starts(
    shop: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert cli.main([*QUICK, edges(*(VECTORS if more else ())), "encoder=mlp", "split=sampled_ids", *more]) == 2
    said = capsys.readouterr().err
    assert message in said and "running" not in said and not (shop / "runs").exists()
