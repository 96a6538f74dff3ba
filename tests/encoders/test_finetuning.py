"""Gradients reach exactly the parameters a tuning names, at its rates, through the real training step."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from refusal import refused
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
from causalrec.encoders.towers import TextTowers
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel, RoleNetwork, inference_batch
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


def towers(folder: Path, tuning: AbstractFinetuning, **settings: Any) -> TextTowers:
    where = {"data": folder / "data", "cache": folder.parent / "cache"}
    inputs = EncoderInputs(USERS, ITEMS, TEXTS, **where, finetuning=tuning)
    return TextTowers(inputs, model=str(folder), width=3, **{"pooling": "attention", "max_tokens": 20, **settings})


def view() -> FeatureMatrix:
    none = [np.zeros((count, 0), np.float32) for count in (USERS, ITEMS)]
    return FeatureMatrix((), ("user", "item"), *none, ())


def batch(rows: int = 12) -> Batch:
    rng = np.random.default_rng(0)
    made = inference_batch(rng.integers(0, USERS, rows), np.arange(rows) % ITEMS, view())
    outcome = torch.from_numpy((rng.random(rows) < 0.5).astype(np.float32))
    return Batch(**{**vars(made), "outcome": outcome, "observed": (torch.arange(rows) % 3 > 0).float()})


def loop(
    folder: Path,
    tuning: AbstractFinetuning,
    objective: AbstractObjective | None = None,
    optimizer: AbstractOptimizer | None = None,
    **settings: Any,
) -> CausalRecModule:
    """The module without a trainer: its own optimizers and a plain backward pass."""
    asked = objective or Naive()
    torch.manual_seed(0)
    networks = {role: RoleNetwork(towers(folder, tuning, **settings), Dot(0)) for role in asked.roles}
    module: Any = CausalRecModule(CausalModel(networks, "logit"), asked, optimizer or AdamW(lr=0.01))
    built = module.configure_optimizers()
    module.optimizers = lambda **_: built
    module.manual_backward = Tensor.backward
    found: CausalRecModule = module
    return found


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
    module = loop(folders[model], tuning, DRJL())
    before = {role: copies(language_parameters(module, role)) for role in (OUTCOME, IMPUTATION)}
    for _ in range(3):  # where one factor is zero at first, the other moves from the second step on
        module.training_step(batch(), 0)
    for role, was in before.items():
        now = language_parameters(module, role)
        assert {name for name, part in now.items() if part.requires_grad} == {n for n in now if names(model, n)}
        moved = {name for name, part in now.items() if not torch.equal(part, was[name])}
        assert moved <= {name for name in now if names(model, name)}
        asleep = {name for name in now if names(model, name)} - moved
        assert all(unread(name) for name in asleep), asleep
        assert mode == "frozen" or moved
        assert all(part.grad is None for name, part in now.items() if not names(model, name))


def unread(name: str) -> bool:
    """Whether a trained parameter has no say in the vectors: softmax is blind to what all keys share."""
    return name.endswith("key.bias")


@pytest.mark.parametrize("mode", ["full", "lora", "adapters"])
def test_roles_share_no_parameter(folders: dict[str, Path], mode: str) -> None:
    module = loop(folders["bert"], MODES[mode][0], DRJL())
    owned = [{id(p) for p in module.model.network(role).parameters()} for role in (OUTCOME, IMPUTATION)]
    assert owned[0] and not owned[0] & owned[1]
    other = copies(language_parameters(module, IMPUTATION))
    terms = module.objective.terms(batch(), module.model(batch()))
    sum(module.reduced(term, batch()) for term in terms.values() if term.trains == OUTCOME).backward()  # type: ignore[union-attr]
    assert all(part.grad is None for part in language_parameters(module, IMPUTATION).values())
    assert any(part.grad is not None for part in language_parameters(module, OUTCOME).values())
    assert all(torch.equal(part, other[name]) for name, part in language_parameters(module, IMPUTATION).items())


@pytest.mark.parametrize("mode", sorted(set(MODES) - {"frozen"}))
@pytest.mark.parametrize("model", MODELS)
def test_a_tuned_model_starts_as_the_model(folders: dict[str, Path], model: str, mode: str) -> None:
    language = load(folders[model])
    tokens = language.tokens(TEXTS, 20)
    with torch.no_grad():
        plain = language.backbone(input_ids=tokens.ids, attention_mask=tokens.mask).last_hidden_state
        found = FineTunedModel(language, MODES[mode][0]).eval()(tokens.ids, tokens.mask)
    seen = tokens.mask.bool()
    torch.testing.assert_close(found[seen], plain[seen], atol=1e-6, rtol=0)


@pytest.mark.parametrize("model", MODELS)
def test_depth_runs_from_the_embeddings_to_the_last_layer(folders: dict[str, Path], model: str) -> None:
    backbone = load(folders[model]).backbone
    found = depths(backbone)
    stack, layers = layers_of(backbone)
    assert len(layers) == 2 and stack == LAST[model].removesuffix(".1.")
    assert {depth for name, depth in found.items() if name.startswith(f"{stack}.0.")} == {1}
    assert {depth for name, depth in found.items() if name.startswith((LAST[model], *NORM[model]))} == {2}
    assert {depth for name, depth in found.items() if name.endswith(ALIVE)} == {0}
    assert {name for name, depth in found.items() if depth == 0}.isdisjoint(n for n in found if n.startswith(stack))


def groups_of(module: CausalRecModule) -> list[tuple[float, set[str]]]:
    names = {id(part): name for name, part in module.model.named_parameters()}
    groups = [group for optimizer in module.optimizers() for group in optimizer.param_groups]
    return [(group["lr"], {names[id(part)] for part in group["params"]}) for group in groups]


@pytest.mark.parametrize("optimizer", [AdamW(lr=0.01), SGD(lr=0.01)])
def test_rates_fall_by_layer_and_reach_the_optimizer(folders: dict[str, Path], optimizer: AbstractOptimizer) -> None:
    module = loop(folders["bert"], Full(lr=1e-3, layer_decay=0.5), None, optimizer)
    rate = {name: lr for lr, names in groups_of(module) for name in names}
    language = "networks.outcome.encoder.item_text.reader.tuned.model."
    assert {lr for name, lr in rate.items() if language not in name} == {0.01}
    assert {lr for name, lr in rate.items() if f"{language}encoder.layer.1." in name} == {1e-3}
    assert {lr for name, lr in rate.items() if f"{language}encoder.layer.0." in name} == {0.5e-3}
    assert {lr for name, lr in rate.items() if f"{language}embeddings." in name} == {0.25e-3}
    assert set(rate) == {name for name, _ in module.model.named_parameters()}


def test_without_a_rate_of_its_own_the_language_model_takes_the_optimizers(folders: dict[str, Path]) -> None:
    assert {lr for lr, _ in groups_of(loop(folders["gpt2"], LoRA(lr=None)))} == {0.01}
    assert {lr for lr, _ in groups_of(loop(folders["gpt2"], LoRA()))} == {0.01, 4e-4}


@pytest.mark.parametrize("mode", ["full", "lora", "adapters", "last_layers"])
@pytest.mark.parametrize("model", MODELS)
def test_gradient_checkpointing_gives_the_same_gradients(folders: dict[str, Path], model: str, mode: str) -> None:
    found, calls = [], []
    for saving in (False, True):
        tuning = type(MODES[mode][0])(**{**vars(MODES[mode][0]), "gradient_checkpointing": saving})
        module = loop(folders[model], tuning)
        language = module.model.network(OUTCOME).encoder.item_text.tuned.model  # type: ignore[union-attr]
        count = [0]
        counting = lambda *_, count=count: count.__setitem__(0, count[0] + 1)  # noqa: E731
        next(layers_of(language)[1][-1].children()).register_forward_pre_hook(counting)
        torch.manual_seed(3)  # dropout is on, and drawn again alike
        module.training_step(batch(), 0)
        calls.append(count[0])
        found.append({n: p.grad for n, p in module.model.named_parameters() if p.grad is not None})
    assert calls[1] == 2 * calls[0]  # it was in fact run again
    assert set(found[0]) == set(found[1])
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-6, rtol=1e-5)


def test_a_checkpoint_holds_what_is_trained_and_gives_the_model_back(folders: dict[str, Path]) -> None:
    module = loop(folders["bert"], LoRA(rank=2))
    for _ in range(2):
        module.training_step(batch(), 0)
    state = {name: value.clone() for name, value in module.model.state_dict().items()}
    assert {name for name in state if ".tuned." in name} == {
        name for name, part in module.model.named_parameters() if ".tuned." in name and part.requires_grad
    }
    fresh = loop(folders["bert"], LoRA(rank=2)).model.eval()
    module.eval()
    assert not torch.equal(fresh(batch())[OUTCOME], module.model(batch())[OUTCOME])
    fresh.load_state_dict(state)
    assert torch.equal(fresh(batch())[OUTCOME], module.model(batch())[OUTCOME])
    del state[next(name for name in state if "lora_B" in name)]
    with pytest.raises(RuntimeError, match="lora_B"):
        fresh.load_state_dict(state)


def test_a_frozen_model_stays_in_evaluation_mode_and_draws_nothing(folders: dict[str, Path]) -> None:
    model = loop(folders["bert"], Frozen()).model.train()
    states = torch.get_rng_state()
    first = model(batch())[OUTCOME]
    assert torch.equal(torch.get_rng_state(), states)
    assert torch.equal(model(batch())[OUTCOME], first) and first.requires_grad
    tuned = loop(folders["bert"], Full()).model.train()
    assert not torch.equal(tuned(batch())[OUTCOME], tuned(batch())[OUTCOME]), "dropout is on"


# --- AdaLoRA


def singular(module: CausalRecModule) -> Tensor:
    values = [part for name, part in language_parameters(module).items() if ".lora_E." in name]
    return torch.cat([value.detach().flatten() for value in values])


@pytest.mark.parametrize("model", ["bert", "gpt2", "llama"])
def test_adalora_shrinks_its_ranks_on_schedule_and_moves_them_about(folders: dict[str, Path], model: str) -> None:
    tuning = AdaLoRA(rank=4, final_rank=1, steps=20, warmup=4, final=6, every=2, lr=1e-2, dropout=0)
    module = loop(folders[model], tuning, item=("text",))
    modules = len(singular(module)) // 4
    left = []
    for _ in range(22):
        module.training_step(batch(), 0)
        left.append(int((singular(module) != 0).sum()))
    assert left[:4] == [4 * modules] * 4  # the warm-up
    budgets = [modules + int(3 * modules * (1 - (step - 4) / 10) ** 3) for step in (6, 8, 10, 12)]
    assert [left[step - 1] for step in (6, 8, 10, 12)] == budgets
    assert left[13:] == [modules] * 9
    kept = singular(module).view(modules, 4).ne(0).sum(1)
    assert kept.sum() == modules and (modules == 2 or len(set(kept.tolist())) > 1)  # where they count, not alike


def test_adaloras_importance_is_smoothed_sensitivity(folders: dict[str, Path]) -> None:
    module = loop(folders["bert"], AdaLoRA(rank=3, final_rank=1))
    module.training_step(batch(), 0)
    budget = module.model.network(OUTCOME).encoder.item_text.tuned.model.budget  # type: ignore[union-attr]
    assert isinstance(budget, Budget) and int(budget.get_buffer("step")) == 1
    place = next(k for k, name in enumerate(budget.names) if ".lora_B." in name)
    part = language_parameters(module)[budget.names[place]]
    sensitivity = (part * part.grad).abs()
    torch.testing.assert_close(budget.get_buffer(f"ipt{place}"), 0.15 * sensitivity)
    torch.testing.assert_close(budget.get_buffer(f"unc{place}"), 0.15 * 0.85 * sensitivity)
    assert any(name.endswith(f"budget.ipt{place}") for name in module.model.state_dict())  # so that a fit can go on


def test_the_orthogonality_gradient_is_autograds() -> None:
    torch.manual_seed(0)
    parts = [("x.lora_A.default", (2, 5)), ("x.lora_E.default", (2, 1)), ("x.lora_B.default", (4, 2))]
    made = [(name, torch.nn.Parameter(torch.randn(shape))) for name, shape in parts]
    expected = [torch.ones_like(part) for _, part in made]
    for place in (0, 2):
        part = made[place][1].detach().clone().requires_grad_()
        gram = part @ part.T if place == 0 else part.T @ part
        (0.3 * torch.linalg.norm(gram - torch.eye(2)) / 2).backward()
        expected[place] += part.grad
    keep_orthogonal(made, 0.3)
    sum(part.sum() for _, part in made).backward()  # type: ignore[union-attr]
    for (_, part), gradient in zip(made, expected, strict=True):
        torch.testing.assert_close(part.grad, gradient)


# --- bad requests


def test_more_layers_than_there_are(folders: dict[str, Path]) -> None:
    refused(lambda: towers(folders["llama"], LastLayers(count=3)), "finetuning.count=3: the model has 2 layers")


@pytest.mark.parametrize("kind", [LoRA, AdaLoRA])
def test_targets_that_are_not_there(folders: dict[str, Path], kind: Any) -> None:
    call = lambda: towers(folders["gpt2"], kind(targets=("query",)))  # noqa: E731
    refused(call, "finetuning.targets=['query']", "c_attn, c_fc, c_proj")


def test_targets_can_be_named(folders: dict[str, Path]) -> None:
    module = loop(folders["gpt2"], LoRA(targets=("c_fc",)))
    trained = [name for name, part in language_parameters(module).items() if part.requires_grad]
    assert trained and all(".c_fc.lora_" in name for name in trained)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rank": 4, "final_rank": 4}, "finetuning.final_rank=4: must be below finetuning.rank=4"),
        ({"steps": 100, "warmup": 50, "final": 50}, "finetuning.steps=100: leaves none between"),
    ],
)
def test_a_schedule_that_never_shrinks(wrong: dict[str, int], said: str) -> None:
    refused(lambda: AdaLoRA(**wrong), said)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [LoRA, AdaLoRA, IA3])
def test_without_peft_one_line_names_the_extra(
    folders: dict[str, Path], kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def lacking(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] == "peft":
            raise ImportError("No module named 'peft'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", lacking)
    refused(lambda: towers(folders["bert"], kind()), "pip install causalrec[peft]")


def test_a_precision_that_cannot_be_trained_in(folders: dict[str, Path]) -> None:
    refused(lambda: towers(folders["bert"], Full(), precision="bfloat16"), "encoder.precision=bfloat16", "trainer=bf16")


def test_a_tuning_without_text(folders: dict[str, Path]) -> None:
    refused(lambda: towers(folders["bert"], Full(), item=("id",)), "reads no text", "finetuning=frozen")
