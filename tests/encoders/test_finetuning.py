"""Gradients reach exactly the parameters a tuning names, at its rates, through the real training step."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from refusal import assert_refused
from tiny_models import WRITERS
from torch import Tensor

from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.finetuning.adalora import AdaLoRA, Budget, keep_orthogonal
from causalrec.encoders.finetuning.adapters import Adapters
from causalrec.encoders.finetuning.base import AbstractFinetuning
from causalrec.encoders.finetuning.finetuned_model import FineTunedModel
from causalrec.encoders.finetuning.frozen import Frozen
from causalrec.encoders.finetuning.full import Full
from causalrec.encoders.finetuning.ia3 import IA3
from causalrec.encoders.finetuning.last_layers import LastLayers
from causalrec.encoders.finetuning.layers import depths, layers_of
from causalrec.encoders.finetuning.lora import LoRA
from causalrec.encoders.language.model import load
from causalrec.encoders.text_towers import TextTowers
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel, inference_batch
from causalrec.role_network import RoleNetwork
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import SGD, AbstractOptimizer, AdamW
from causalrec.types import IMPUTATION, OUTCOME, Batch

TEXTS = ("the film of war", "love", "a comedy of the old city", "drama", "the new film", "love")
USERS, ITEMS = 4, len(TEXTS)
MODELS = list(WRITERS)
LAST = {"bert": "encoder.layer.1.", "roberta": "encoder.layer.1.", "gpt2": "h.1.", "llama": "layers.1."}
NORM = {"bert": (), "roberta": (), "gpt2": ("ln_f.",), "llama": ("norm.",)}
LORA = {"bert": "value.lora_", "roberta": "value.lora_", "gpt2": "c_attn.lora_", "llama": "v_proj.lora_"}
MODES: dict[str, tuple[AbstractFinetuning, Callable[[str, str], bool]]] = {  # tuning, and whether it names a parameter
    "frozen": (Frozen(), lambda model, name: False),
    "last_layers": (LastLayers(count=1), lambda model, name: name.startswith((LAST[model], *NORM[model]))),
    "full": (Full(), lambda model, name: True),
    "adapters": (Adapters(width=4), lambda model, name: ".adapter." in name),
    "lora": (LoRA(rank=2), lambda model, name: ".lora_A." in name or ".lora_B." in name),
    "dora": (LoRA(rank=2, dora=True), lambda model, name: ".lora_" in name),
    "rslora": (LoRA(rank=2, rslora=True), lambda model, name: ".lora_" in name),
    "adalora": (AdaLoRA(rank=3, final_rank=1), lambda model, name: ".lora_" in name),
    "ia3": (IA3(), lambda model, name: ".ia3_l." in name),
}
ALIVE = "word_embeddings.weight", "wte.weight", "embed_tokens.weight"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in WRITERS.items()}


def text_towers(folder: Path, tuning: AbstractFinetuning, **settings: Any) -> TextTowers:
    where = {"data": folder / "data", "cache": folder.parent / "cache"}
    inputs = EncoderInputs(USERS, ITEMS, TEXTS, **where, finetuning=tuning)
    return TextTowers(inputs, model=str(folder), width=3, **{"pooling": "attention", "max_tokens": 20, **settings})


def view() -> FeatureMatrix:
    none = [np.zeros((count, 0), np.float32) for count in (USERS, ITEMS)]
    return FeatureMatrix((), ("user", "item"), *none, ())


def batch(rows: int = 12) -> Batch:
    rng = np.random.default_rng(0)
    unlabelled = inference_batch(rng.integers(0, USERS, rows), np.arange(rows) % ITEMS, view())
    outcome = torch.from_numpy((rng.random(rows) < 0.5).astype(np.float32))
    return Batch(**{**vars(unlabelled), "outcome": outcome, "observed": (torch.arange(rows) % 3 > 0).float()})


def build_module(
    folder: Path,
    tuning: AbstractFinetuning,
    objective: AbstractObjective | None = None,
    optimizer: AbstractOptimizer | None = None,
    **settings: Any,
) -> CausalRecModule:
    """The module without a trainer: its own optimizers and a plain backward pass."""
    run_objective = objective or Naive()
    torch.manual_seed(0)
    networks = {role: RoleNetwork(text_towers(folder, tuning, **settings), Dot(0)) for role in run_objective.roles}
    module: Any = CausalRecModule(CausalModel(networks, "logit"), run_objective, optimizer or AdamW(lr=0.01))
    built = module.configure_optimizers()
    module.optimizers = lambda **_: built
    module.manual_backward = Tensor.backward
    typed_module: CausalRecModule = module
    return typed_module


def language_parameters(module: CausalRecModule, role: Any = OUTCOME) -> dict[str, torch.nn.Parameter]:
    encoder = module.model.network(role).encoder
    assert isinstance(encoder, TextTowers) and encoder.item_text is not None and encoder.item_text.tuned is not None
    return dict(encoder.item_text.tuned.model.named_parameters())


def copies(parameters: dict[str, torch.nn.Parameter]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in parameters.items()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", MODELS)
def test_steps_change_exactly_the_parameters_that_the_tuning_names(
    folders: dict[str, Path], model: str, mode: str
) -> None:
    tuning, names = MODES[mode]
    module = build_module(folders[model], tuning, DRJL())
    before = {role: copies(language_parameters(module, role)) for role in (OUTCOME, IMPUTATION)}
    for _ in range(3):  # where one factor is zero at first, the other moves from the second step on
        module.training_step(batch(), 0)
    for role, was in before.items():
        now = language_parameters(module, role)
        assert {name for name, parameter in now.items() if parameter.requires_grad} == {
            n for n in now if names(model, n)
        }
        moved = {name for name, parameter in now.items() if not torch.equal(parameter, was[name])}
        assert moved <= {name for name in now if names(model, name)}
        asleep = {name for name in now if names(model, name)} - moved
        assert all(is_unread(name) for name in asleep), asleep
        assert mode == "frozen" or moved
        assert all(parameter.grad is None for name, parameter in now.items() if not names(model, name))


def is_unread(name: str) -> bool:
    """Whether a trained parameter has no say in the vectors: softmax is blind to what all keys share."""
    return name.endswith("key.bias")


@pytest.mark.parametrize("mode", ["full", "lora", "adapters"])
def test_roles_share_no_parameter(folders: dict[str, Path], mode: str) -> None:
    module = build_module(folders["bert"], MODES[mode][0], DRJL())
    owned = [{id(p) for p in module.model.network(role).parameters()} for role in (OUTCOME, IMPUTATION)]
    assert owned[0] and not owned[0] & owned[1]
    other = copies(language_parameters(module, IMPUTATION))
    terms = module.objective.terms(batch(), module.model(batch()))
    sum(module.reduce(term, batch()) for term in terms.values() if term.trains == OUTCOME).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is None for parameter in language_parameters(module, IMPUTATION).values())
    assert any(parameter.grad is not None for parameter in language_parameters(module, OUTCOME).values())
    assert all(
        torch.equal(parameter, other[name]) for name, parameter in language_parameters(module, IMPUTATION).items()
    )


@pytest.mark.parametrize("mode", sorted(set(MODES) - {"frozen"}))
@pytest.mark.parametrize("model", MODELS)
def test_a_tuned_model_starts_as_the_model(folders: dict[str, Path], model: str, mode: str) -> None:
    language = load(folders[model])
    tokens = language.tokens(TEXTS, 20)
    with torch.no_grad():
        plain = language.backbone(input_ids=tokens.ids, attention_mask=tokens.mask).last_hidden_state
        hidden = FineTunedModel(language, MODES[mode][0]).eval()(tokens.ids, tokens.mask)
    seen = tokens.mask.bool()
    torch.testing.assert_close(hidden[seen], plain[seen], atol=1e-6, rtol=0)


@pytest.mark.parametrize("model", MODELS)
def test_depth_runs_from_the_embeddings_to_the_last_layer(folders: dict[str, Path], model: str) -> None:
    backbone = load(folders[model]).backbone
    depth_of = depths(backbone)
    stack, layers = layers_of(backbone)
    assert len(layers) == 2 and stack == LAST[model].removesuffix(".1.")
    assert {depth for name, depth in depth_of.items() if name.startswith(f"{stack}.0.")} == {1}
    assert {depth for name, depth in depth_of.items() if name.startswith((LAST[model], *NORM[model]))} == {2}
    assert {depth for name, depth in depth_of.items() if name.endswith(ALIVE)} == {0}
    assert {name for name, depth in depth_of.items() if depth == 0}.isdisjoint(
        n for n in depth_of if n.startswith(stack)
    )


def groups_of(module: CausalRecModule) -> list[tuple[float, set[str]]]:
    names = {id(parameter): name for name, parameter in module.model.named_parameters()}
    groups = [group for optimizer in module.optimizers() for group in optimizer.param_groups]
    return [(group["lr"], {names[id(parameter)] for parameter in group["params"]}) for group in groups]


@pytest.mark.parametrize("optimizer", [AdamW(lr=0.01), SGD(lr=0.01)])
def test_rates_fall_by_layer_and_reach_the_optimizer(folders: dict[str, Path], optimizer: AbstractOptimizer) -> None:
    module = build_module(folders["bert"], Full(lr=1e-3, layer_decay=0.5), None, optimizer)
    rate = {name: lr for lr, names in groups_of(module) for name in names}
    language = "networks.outcome.encoder.item_text.reader.tuned.model."
    assert {lr for name, lr in rate.items() if language not in name} == {0.01}
    assert {lr for name, lr in rate.items() if f"{language}encoder.layer.1." in name} == {1e-3}
    assert {lr for name, lr in rate.items() if f"{language}encoder.layer.0." in name} == {0.5e-3}
    assert {lr for name, lr in rate.items() if f"{language}embeddings." in name} == {0.25e-3}
    assert set(rate) == {name for name, _ in module.model.named_parameters()}


def test_without_a_rate_of_its_own_the_language_model_takes_the_optimizers(folders: dict[str, Path]) -> None:
    assert {lr for lr, _ in groups_of(build_module(folders["gpt2"], LoRA(lr=None)))} == {0.01}
    assert {lr for lr, _ in groups_of(build_module(folders["gpt2"], LoRA()))} == {0.01, 4e-4}


@pytest.mark.parametrize("mode", ["full", "lora", "adapters", "last_layers"])
@pytest.mark.parametrize("model", MODELS)
def test_gradient_checkpointing_gives_the_same_gradients(folders: dict[str, Path], model: str, mode: str) -> None:
    gradients, calls = [], []
    for checkpointing in (False, True):
        tuning = type(MODES[mode][0])(**{**vars(MODES[mode][0]), "gradient_checkpointing": checkpointing})
        module = build_module(folders[model], tuning)
        language = module.model.network(OUTCOME).encoder.item_text.tuned.model  # type: ignore[union-attr]
        count = [0]
        count_call = lambda *_, count=count: count.__setitem__(0, count[0] + 1)  # noqa: E731
        next(layers_of(language)[1][-1].children()).register_forward_pre_hook(count_call)
        torch.manual_seed(3)  # dropout is on, and drawn again alike
        module.training_step(batch(), 0)
        calls.append(count[0])
        gradients.append({n: p.grad for n, p in module.model.named_parameters() if p.grad is not None})
    assert calls[1] == 2 * calls[0]  # it was in fact run again
    assert set(gradients[0]) == set(gradients[1])
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-5)


def test_a_checkpoint_holds_what_is_trained_and_gives_the_model_back(folders: dict[str, Path]) -> None:
    module = build_module(folders["bert"], LoRA(rank=2))
    for _ in range(2):
        module.training_step(batch(), 0)
    state = {name: value.clone() for name, value in module.model.state_dict().items()}
    assert {name for name in state if ".tuned." in name} == {
        name for name, parameter in module.model.named_parameters() if ".tuned." in name and parameter.requires_grad
    }
    fresh = build_module(folders["bert"], LoRA(rank=2)).model.eval()
    module.eval()
    assert not torch.equal(fresh(batch())[OUTCOME], module.model(batch())[OUTCOME])
    fresh.load_state_dict(state)
    assert torch.equal(fresh(batch())[OUTCOME], module.model(batch())[OUTCOME])
    del state[next(name for name in state if "lora_B" in name)]
    with pytest.raises(RuntimeError, match="lora_B"):
        fresh.load_state_dict(state)


def test_a_frozen_model_stays_in_evaluation_mode_and_draws_nothing(folders: dict[str, Path]) -> None:
    model = build_module(folders["bert"], Frozen()).model.train()
    states = torch.get_rng_state()
    first = model(batch())[OUTCOME]
    assert torch.equal(torch.get_rng_state(), states)
    assert torch.equal(model(batch())[OUTCOME], first) and first.requires_grad
    tuned = build_module(folders["bert"], Full()).model.train()
    assert not torch.equal(tuned(batch())[OUTCOME], tuned(batch())[OUTCOME]), "dropout is on"


# --- AdaLoRA


def singular_values(module: CausalRecModule) -> Tensor:
    values = [parameter for name, parameter in language_parameters(module).items() if ".lora_E." in name]
    return torch.cat([value.detach().flatten() for value in values])


@pytest.mark.parametrize("model", ["bert", "gpt2", "llama"])
def test_adalora_shrinks_its_ranks_on_schedule_and_moves_them_about(folders: dict[str, Path], model: str) -> None:
    tuning = AdaLoRA(rank=4, final_rank=1, steps=20, warmup=4, final=6, every=2, lr=1e-2, dropout=0)
    module = build_module(folders[model], tuning, item=("text",))
    modules = len(singular_values(module)) // 4
    left = []
    for _ in range(22):
        module.training_step(batch(), 0)
        left.append(int((singular_values(module) != 0).sum()))
    assert left[:4] == [4 * modules] * 4  # the warm-up
    budgets = [modules + int(3 * modules * (1 - (step - 4) / 10) ** 3) for step in (6, 8, 10, 12)]
    assert [left[step - 1] for step in (6, 8, 10, 12)] == budgets
    assert left[13:] == [modules] * 9
    ranks = singular_values(module).view(modules, 4).ne(0).sum(1)
    assert ranks.sum() == modules and (modules == 2 or len(set(ranks.tolist())) > 1)  # where they count, not alike


def test_adaloras_importance_is_smoothed_sensitivity(folders: dict[str, Path]) -> None:
    module = build_module(folders["bert"], AdaLoRA(rank=3, final_rank=1))
    module.training_step(batch(), 0)
    budget = module.model.network(OUTCOME).encoder.item_text.tuned.model.budget  # type: ignore[union-attr]
    assert isinstance(budget, Budget) and int(budget.get_buffer("step")) == 1
    index = next(k for k, name in enumerate(budget.names) if ".lora_B." in name)
    parameter = language_parameters(module)[budget.names[index]]
    sensitivity = (parameter * parameter.grad).abs()
    torch.testing.assert_close(budget.get_buffer(f"ipt{index}"), 0.15 * sensitivity)
    torch.testing.assert_close(budget.get_buffer(f"unc{index}"), 0.15 * 0.85 * sensitivity)
    assert any(name.endswith(f"budget.ipt{index}") for name in module.model.state_dict())  # so that a fit can go on


def test_the_orthogonality_gradient_is_autograds() -> None:
    torch.manual_seed(0)
    shapes = [("x.lora_A.default", (2, 5)), ("x.lora_E.default", (2, 1)), ("x.lora_B.default", (4, 2))]
    parameters = [(name, torch.nn.Parameter(torch.randn(shape))) for name, shape in shapes]
    expected = [torch.ones_like(parameter) for _, parameter in parameters]
    for index in (0, 2):
        parameter = parameters[index][1].detach().clone().requires_grad_()
        gram = parameter @ parameter.T if index == 0 else parameter.T @ parameter
        (0.3 * torch.linalg.norm(gram - torch.eye(2)) / 2).backward()
        expected[index] += parameter.grad
    keep_orthogonal(parameters, 0.3)
    sum(parameter.sum() for _, parameter in parameters).backward()  # type: ignore[union-attr]
    for (_, parameter), gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


# --- bad requests


def test_more_layers_than_there_are(folders: dict[str, Path]) -> None:
    assert_refused(
        lambda: text_towers(folders["llama"], LastLayers(count=3)), "finetuning.count=3: the model has 2 layers"
    )


@pytest.mark.parametrize("kind", [LoRA, AdaLoRA])
def test_targets_that_are_not_there(folders: dict[str, Path], kind: Any) -> None:
    call = lambda: text_towers(folders["gpt2"], kind(targets=("query",)))  # noqa: E731
    assert_refused(call, "finetuning.targets=['query']", "c_attn, c_fc, c_proj")


def test_targets_can_be_named(folders: dict[str, Path]) -> None:
    module = build_module(folders["gpt2"], LoRA(targets=("c_fc",)))
    trained = [name for name, parameter in language_parameters(module).items() if parameter.requires_grad]
    assert trained and all(".c_fc.lora_" in name for name in trained)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rank": 4, "final_rank": 4}, "finetuning.final_rank=4: must be below finetuning.rank=4"),
        ({"steps": 100, "warmup": 50, "final": 50}, "finetuning.steps=100: leaves none between"),
    ],
)
def test_a_schedule_that_never_shrinks(wrong: dict[str, int], said: str) -> None:
    assert_refused(lambda: AdaLoRA(**wrong), said)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [LoRA, AdaLoRA, IA3])
def test_without_peft_one_line_names_the_extra(
    folders: dict[str, Path], kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def import_without_peft(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] == "peft":
            raise ImportError("No module named 'peft'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", import_without_peft)
    assert_refused(lambda: text_towers(folders["bert"], kind()), "pip install causalrec[peft]")


def test_a_precision_that_cannot_be_trained_in(folders: dict[str, Path]) -> None:
    assert_refused(
        lambda: text_towers(folders["bert"], Full(), precision="bfloat16"), "encoder.precision=bfloat16", "trainer=bf16"
    )


def test_a_tuning_without_text(folders: dict[str, Path]) -> None:
    assert_refused(lambda: text_towers(folders["bert"], Full(), item=("id",)), "reads no text", "finetuning=frozen")
