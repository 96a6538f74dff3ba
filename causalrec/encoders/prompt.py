"""A language model that is asked: the log-odds of yes against no after a prompt (Bao et al., TALLRec, RecSys 2023)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import torch
from pydantic import Field
from torch import Tensor

from causalrec.data.checked_file import load_or_make
from causalrec.data.removal import output_folder
from causalrec.data.sources import Source
from causalrec.encoders.base import AbstractPairEncoder, EncoderInputs, Submodel, user_ids
from causalrec.encoders.finetuning.finetuned_model import FineTunedModel
from causalrec.encoders.finetuning.frozen import Frozen
from causalrec.encoders.history import Histories
from causalrec.encoders.language.checksums import key_of
from causalrec.encoders.language.embedding import usable_precision
from causalrec.encoders.language.folder import model_folder
from causalrec.encoders.language.model import Precision, load
from causalrec.encoders.prompting.answers import answer_tokens, mirrored_log_odds, require_different
from causalrec.encoders.prompting.contamination import (
    Completion,
    Contamination,
    contamination,
    row_completions,
    shifted_ids,
    title_completions,
)
from causalrec.encoders.prompting.output_layer import OutputLayer
from causalrec.encoders.prompting.prompt_texts import Event, PromptTemplates, PromptTexts
from causalrec.encoders.prompting.reader import AnswerReader, Prompt
from causalrec.encoders.prompting.score_cache import BLOCK, ScoreCache
from causalrec.encoders.prompting.template import Template
from causalrec.encoders.text_projection import check_precision, load_finetuned_model, stamp_of
from causalrec.progress import progress
from causalrec.types import Batch, Count, Depth

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

RECIPE = 1  # raise it when the same prompt and model shall give another number
YES = ("yes", " yes", "Yes", " Yes", "YES", " YES")
NO = ("no", " no", "No", " No", "NO", " NO")


class PromptEncoder(AbstractPairEncoder):
    """`log-odds(yes) = logsumexp(logits of yes) - logsumexp(logits of no)` of the token after the prompt, `[B,1]`.

    A prompt is the user's profile, the events strictly before the row (never its own item), and a question that names
    the item; each a template in which `{name}` stands for a column of the outcome view, `{item}` and `{user}` for the
    data set's own texts of them. `head=prompt` takes the number as log-odds, with a scale and a shift that are trained,
    or as it is (`head.trained=false`: nothing is trained, zero-shot). A frozen decoder reads each distinct prompt once
    and keeps its number on disk; prompts that begin alike share what they begin with. What the number describes is the
    model's answer, not an effect.

    Args:
        inputs: what the run hands it.
        model: source, folder, `.gguf` file or hub name of a decoder with its output layer.
        question: template of the question, about columns of the item and of the user.
        opposite: the opposite question, which `mirrored` asks too.
        mirrored: `p = (P(yes | question) + 1 - P(yes | opposite)) / 2`, so that a leaning to yes drops out; twice the
            prompts.
        profile: template of the user's columns in front; empty: none.
        event: template of an item of the history.
        liked: phrase of the events that were liked, `{events}` in it.
        disliked: phrase of the other events.
        between: between two events.
        history_length: number of the latest events that are read; 0: none.
        yes: spellings of yes; those that are one token of the model are summed.
        no: spellings of no.
        chat: written by the tokenizer's chat template; None: where it has one.
        answer: what follows the question where there is no chat.
        max_tokens: number of tokens of a prompt at most; the oldest events are left out first.
        layers: number of the model's first layers that are used, before its last norm; None: all.
        precision: number type of a frozen model.
        completions: titles, and rows, that the decoder is asked to complete, to see whether it has read the data
            before; 0: none.
        max_pairs: the most pairs that a run may ask about; None: as many as there are.

    Raises RequestError for a template that names no column of the view, a model that answers in no single token, reads
    both ways or lacks its output layer, and prompts that are too long without any event.
    """

    reads_text = True
    reads_pair_text = True
    writes_texts = True
    rows_at_once = 1024

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        model: str | Source,
        question: str = "Answer yes or no. Will the user like this item: {item}?",
        opposite: str = "Answer yes or no. Will the user dislike this item: {item}?",
        mirrored: bool = False,
        profile: str = "",
        event: str = "{item}",
        liked: str = "The user liked: {events}.",
        disliked: str = "The user did not like: {events}.",
        between: str = "; ",
        history_length: Annotated[int, Field(ge=0)] = 10,
        yes: tuple[str, ...] = YES,
        no: tuple[str, ...] = NO,
        chat: bool | None = None,
        answer: str = "\nAnswer:",
        max_tokens: Count = 512,
        layers: Depth | None = None,
        precision: Precision = "float32",
        completions: Annotated[int, Field(ge=0)] = 100,
        max_pairs: Count | None = 20_000,
    ) -> None:
        super().__init__()
        check_precision(inputs, precision)
        parsed = {"profile": profile, "event": event, "liked": liked, "disliked": disliked}
        templates = {name: Template.parse(f"encoder.{name}", text) for name, text in parsed.items()}
        questions = {"question": question} | ({"opposite": opposite} if mirrored else {})
        folder = model_folder(model, inputs.data, inputs.cache)
        tuned = _decoder(folder, inputs, layers, precision)
        language = tuned.language
        language.check(max_tokens)
        self.texts = [
            PromptTexts(
                language.tokenizer,
                inputs,
                PromptTemplates(question=Template.parse(f"encoder.{name}", text), between=between, **templates),
                max_tokens=max_tokens,
                chat=chat,
                answer=answer,
            )
            for name, text in questions.items()
        ]
        of_yes = answer_tokens(language.tokenizer, "encoder.yes", yes)
        of_no = answer_tokens(language.tokenizer, "encoder.no", no)
        require_different(of_yes, of_no)
        self.reader = AnswerReader(tuned, OutputLayer(language, folder, [*of_yes, *of_no]), len(of_yes))
        majors = [version(name).split(".")[0] for name in ("torch", "transformers")]
        self.stamp = key_of([RECIPE, tuned.stamp, precision, of_yes, of_no, majors])
        self.cache = None if inputs.finetuning.trains else ScoreCache(inputs.cache, self.stamp)
        reads_events = history_length > 0 and inputs.history_log is not None
        self.histories = Histories(inputs.history_log, history_length) if reads_events else None
        self.reads_time, self.threshold, self.max_tokens = reads_events, inputs.positive_threshold, max_tokens
        self._is_cut: dict[Prompt, bool] = {}
        self._pretrained = partial(_frozen, folder, stamp_of(folder, inputs.cache, layers), layers, precision)
        self._completions, self._inputs, self._folder = completions, inputs, folder

    @classmethod
    def reads_histories(cls, settings: Mapping[str, object]) -> bool:
        return settings.get("history_length", 10) != 0

    @classmethod
    def submodels(cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]) -> Mapping[str, Submodel]:
        return {"no_history": Submodel(settings={"history_length": 0})} if cls.reads_histories(settings) else {}

    @classmethod
    def has_weights(cls, settings: Mapping[str, object], trains: bool) -> bool:
        return trains

    @classmethod
    def pair_limit(cls, settings: Mapping[str, object]) -> int | None:
        limit = settings.get("max_pairs", 20_000)
        return None if limit is None else int(str(limit))

    def pairs(self, batch: Batch) -> Tensor:
        """Return the log-odds of yes, float32[B,1]."""
        questions = [self._ask(prompts, batch.item.device) for prompts in self.prompts(batch)]
        return (questions[0] if len(questions) == 1 else mirrored_log_odds(*questions))[:, None]

    def pair_tokens(self, batch: Batch) -> int:
        return sum(len(prompt) for prompts in self.prompts(batch) for prompt in prompts)

    def prompts(self, batch: Batch) -> list[list[Prompt]]:
        """Return the prompt of each row, of each question."""
        item, user, events = batch.item.tolist(), user_ids(batch).tolist(), self._events(batch)
        by_question = []
        for texts in self.texts:
            prompts, cut = texts(item, user, events)
            if not self.training:
                self._is_cut.update(zip(prompts, cut, strict=True))
            by_question.append(prompts)
        return by_question

    def _events(self, batch: Batch) -> list[list[Event]]:
        if self.histories is None:
            return [[] for _ in range(len(batch))]
        history = self.histories(batch)
        rows = zip(history.items.tolist(), (history.outcomes >= self.threshold).tolist(), strict=True)
        return [[(item, liked) for item, liked in zip(*row, strict=True) if item >= 0] for row in rows]

    def _ask(self, prompts: Sequence[Prompt], device: torch.device) -> Tensor:
        """Return the log-odds of each prompt, every distinct one read once; a frozen decoder's come from the disk."""
        distinct = sorted(set(prompts), key=lambda prompt: (len(prompt), prompt))
        index = torch.tensor([{prompt: k for k, prompt in enumerate(distinct)}[prompt] for prompt in prompts])
        if self.cache is None:
            return cast(Tensor, self.reader(distinct, device))[index.to(device)]
        scores = self.cache.get(distinct)
        self._read(sorted(set(distinct) - set(scores)), scores, device)  # sorted: those that begin alike together
        return torch.tensor([scores[prompt] for prompt in prompts], device=device)

    @torch.no_grad()
    def _read(self, missing: Sequence[Prompt], scores: dict[Prompt, float], device: torch.device) -> None:
        assert self.cache is not None
        with progress("prompts", len(missing), "prompts", shown=len(missing) > BLOCK) as step:
            for start in range(0, len(missing), BLOCK):
                block = missing[start : start + BLOCK]
                read = dict(zip(block, self.reader(block, device).tolist(), strict=True))
                self.cache.add(read)
                scores |= read
                step.advance(len(block))

    def warnings(self) -> tuple[str, ...]:
        cut, lines = sum(self._is_cut.values()), list[str]()
        if cut:
            share = f"{cut / len(self._is_cut):.0%} of {len(self._is_cut):,} prompts"
            lines = [
                f"{share} were longer than encoder.max_tokens={self.max_tokens}: their oldest events were left out"
            ]
        return (*lines, *(map(str, self.contaminations()) if self._completions else ()))

    def contaminations(self) -> list[Contamination]:
        """Return how often the decoder, as it was pretrained, completes titles and rows of the data; kept on disk."""
        inputs, count = self._inputs, self._completions
        titles = title_completions([self.texts[0].event_text(k) for k in range(len(inputs.item_text))], count)
        rows, twins = self._rows(lambda ids: ids), self._rows(shifted_ids)
        key = key_of([RECIPE, self.stamp, repr(titles), repr(rows), repr(twins)])

        def make() -> bytes:
            tuned = self._pretrained()
            output = OutputLayer(tuned.language, self._folder, list(range(len(self._tokenizer))))
            output.to(next(tuned.parameters()).device)
            of_titles = contamination(tuned, output, "titles", titles)
            results = (of_titles, contamination(tuned, output, "rows", rows, twins))
            return json.dumps([vars(result) for result in results if result is not None]).encode()

        path = output_folder(inputs.cache, "contamination") / f"{key}.json"
        return load_or_make(path, make, lambda content: [Contamination(**fields) for fields in json.loads(content)])

    def _rows(self, rename: Callable[[Sequence[str]], Sequence[str]]) -> list[Completion]:
        """Return the rows that are to be completed, under the names that ids are given."""
        log, ids = self._inputs.history_log, self._inputs.raw_ids
        if log is None or not all(ids.get(side) for side in ("user", "item")):
            return []
        return row_completions(log, rename(ids["user"]), rename(ids["item"]), self._completions)

    @property
    def _tokenizer(self) -> PreTrainedTokenizerBase:
        return self.reader.tuned.language.tokenizer

    def text_encoders(self) -> Mapping[str, FineTunedModel]:
        return {"reader.tuned": self.reader.tuned}

    def extra_repr(self) -> str:
        templates = [(texts.templates, texts.frame, texts.max_tokens) for texts in self.texts]
        return f"answers={self.stamp}, prompts={key_of([repr(templates), *_contents(self.texts[0])])}"


def _contents(texts: PromptTexts) -> list[object]:
    return [[*side.items()] for side in (texts.items, texts.users)]


def _decoder(folder: Path, inputs: EncoderInputs, layers: int | None, precision: Precision) -> FineTunedModel:
    """Load a decoder; one that is frozen is shared by the networks of a run."""
    if inputs.finetuning.trains:
        return load_finetuned_model(folder, inputs, layers, precision)
    return _frozen(folder, stamp_of(folder, inputs.cache, layers), layers, precision)


@lru_cache(maxsize=1)
def _frozen(folder: Path, stamp: str, layers: int | None, precision: Precision) -> FineTunedModel:
    return FineTunedModel(load(folder, layers=layers, dtype=usable_precision(precision)), Frozen(), stamp)
