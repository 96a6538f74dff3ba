"""Encoders and heads that do not say they stack: vmap gives what each gives alone, to 1e-8, or refuses in a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from causalrec.config.component import load_class
from causalrec.config.compose import package_folder
from causalrec.encoders.base import AbstractAnyEncoder, EncoderInputs
from causalrec.encoders.knowledge.base import AbstractKnowledgeEncoder
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.naive import Naive
from causalrec.heads.base import AbstractHead
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.training.fit_request import FitRequest
from causalrec.training.stacked import stacked_trainer
from causalrec.training.stacked.stack_key import reason_to_fit_alone
from causalrec.training.stacked.stacked_trainer import fit_stacked
from causalrec.training.stacked.vmap import vmap_refusal
from causalrec.training.trainer import TrainerSettings
from causalrec.types import Link
from tests.encoders.tiny_models import write_bert, write_decoder, write_gpt2
from tests.training.test_stacked import ARMED, ITEMS, TRAIN, USERS, VALIDATION, VIEW, largest, objective_of, task

CONF = package_folder("conf")
TEXTS = ("the film of war", "a comedy of love", "the new film", "old drama")
SHORT = ("mf", "mlp", "neumf", "bert", "bert4rec")
TAKEN = {
    "cfkg",
    "cke",
    "mf",
    "mlp",
    "neumf",
}  # the encoders that vmap takes; the others read texts once each, or histories
SMALL: dict[str, dict[str, Any]] = {"classes": {"num_classes": 3}, "dot": {}, "descn": {"width": 8, "arm_width": 4}}
SMALL |= {"prompt": {}, "dragonnet": SMALL["descn"], "tarnet": SMALL["descn"]}


def stems(group: str) -> list[str]:
    return [path.stem for path in sorted((CONF / group).glob("*.yaml"))]


def class_of(group: str, stem: str) -> type[Any]:
    node = yaml.safe_load((CONF / group / f"{stem}.yaml").read_text())
    return load_class(node["_target_"])


def request_of(
    folder: Path,
    encoder: Callable[[], AbstractAnyEncoder],
    head: Callable[[], AbstractHead],
    objective: AbstractObjective,
    link: Link = "logit",
) -> FitRequest:
    def model() -> CausalModel:
        return CausalModel({role: RoleNetwork(encoder(), head()) for role in objective.roles}, link)  # type: ignore[arg-type]

    return task(folder, objective, model=model)


def mf() -> MF:
    return MF(EncoderInputs(USERS, ITEMS, (), Path(), Path()), width=3)


def objective_for(head: type[AbstractHead]) -> AbstractObjective:
    for name in ("naive", "factual", "dragonnet", "descn", "dr_learner"):
        objective = objective_of(name)
        if objective.required_head_outputs <= head.head_outputs and bool(objective.required_head_outputs) == bool(
            head.head_outputs
        ):
            return objective
    raise AssertionError(head)


@pytest.mark.parametrize("stem", stems("head"))
def test_every_head_is_taken_and_gives_the_weights_of_fits_made_alone(
    stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head_class = class_of("head", stem)
    objective, sizes = objective_for(head_class), [5] * head_class.reads_width + [2] * bool(head_class.head_outputs)
    link: Link = "softmax" if stem == "classes" else "logit"
    settings = SMALL.get(stem, {"width": 8})
    brief = TrainerSettings(progress=False, max_epochs=2, precision="64-true")
    request = request_of(tmp_path, mf, lambda: head_class(len(VIEW), *sizes, **settings), objective, link)
    if head_class.head_outputs:
        request = replace(request, train=ARMED[0], validation=ARMED[1])
    requests = [replace(request, seed=seed, folder=tmp_path / str(seed), trainer=brief) for seed in (0, 1)]
    alone = [each.fit() for each in requests]
    monkeypatch.setattr(head_class, "vectorizable", False)
    assert reason_to_fit_alone(request) is None
    used = []
    monkeypatch.setattr(stacked_trainer, "VmappedModel", lambda *models: used.append(1) or VmappedModel(*models))
    packed = fit_stacked(requests, lambda size: 9)
    assert used == [1]
    for mine, other in zip(packed, alone, strict=True):
        assert not isinstance(mine, Exception), mine
        assert largest(mine.state, other.state) < 1e-8


VmappedModel = stacked_trainer.VmappedModel


@pytest.mark.parametrize(
    "stem", [name if name in SHORT else pytest.param(name, marks=pytest.mark.long) for name in stems("encoder")]
)
def test_every_encoder_is_taken_or_refused_in_a_line(
    stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder_class = class_of("encoder", stem)
    write = {"gpt": write_gpt2, "prompt": write_decoder}.get(stem, write_bert)
    folder = write(tmp_path / "model") if encoder_class.reads_text else None
    settings: dict[str, Any] = (
        {} if folder is None else {"model": str(folder), "max_tokens": 200 if stem == "prompt" else 20}
    )
    settings |= {"graph": "interactions"} if issubclass(encoder_class, AbstractKnowledgeEncoder) else {}
    texts = tuple(TEXTS[k % 4] for k in range(ITEMS))
    vectors = {side: {side: np.random.default_rng(0).normal(size=(n, 3))} for side, n in (("u", USERS), ("i", ITEMS))}
    inputs = EncoderInputs(USERS, ITEMS, texts, tmp_path, tmp_path / "cache", history_log=TRAIN, training_log=TRAIN)
    inputs = replace(inputs, user_vectors=vectors["u"], item_vectors=vectors["i"])
    request = request_of(tmp_path / "fit", lambda: encoder_class(inputs, **settings), lambda: Dot(len(VIEW)), Naive())
    request = replace(request, validation=VALIDATION)
    monkeypatch.setattr(encoder_class, "vectorizable", False)
    refusal = vmap_refusal(request, request.model())
    assert (refusal is None) == (stem in TAKEN), refusal
    if refusal is None:
        requests = [replace(request, seed=seed, folder=tmp_path / str(seed)) for seed in (0, 1)]
        for mine, other in zip(fit_stacked(requests, lambda size: 9), [each.fit() for each in requests], strict=True):
            assert not isinstance(mine, Exception) and largest(mine.state, other.state) < 1e-8
    else:
        assert refusal and "\n" not in refusal


def test_a_random_layer_is_refused_and_a_state_in_python_is_seen(tmp_path: Path) -> None:
    class Dropping(Dot):  # type: ignore[misc]
        vectorizable = False

        def forward(self, user: torch.Tensor, item: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
            return super().forward(torch.nn.functional.dropout(user), item, features)

    class Scaled(Dot):  # type: ignore[misc]
        vectorizable = False

        def __init__(self, count: int) -> None:
            super().__init__(count)
            self.scale = float(torch.rand(()))  # which no stack of parameters holds

        def forward(self, user: torch.Tensor, item: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
            return self.scale * super().forward(user, item, features)

    for head, said in ((Dropping, "random"), (Scaled, "it gives other values than alone")):
        reason = reason_to_fit_alone(request_of(tmp_path, mf, lambda head=head: head(len(VIEW)), Naive()))  # type: ignore[misc]
        assert reason is not None and said in reason and "\n" not in reason
