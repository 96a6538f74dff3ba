"""Candidates of one user, asked about by SmolLM2-135M: what their prompts share read once, beside one prompt at a time.

20 candidates of 15 tokens after a beginning of 300, tokens drawn at random; both ways in turn, and the same answers.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

import numpy as np
import torch
from full_ranking import seconds

from causalrec.config.component import validate_component
from causalrec.config.compose import compose_config
from causalrec.encoders.finetuning.finetuned_model import FineTunedModel
from causalrec.encoders.finetuning.frozen import Frozen
from causalrec.encoders.language.folder import model_folder
from causalrec.encoders.language.model import load
from causalrec.encoders.prompt import NO, YES
from causalrec.encoders.prompting.answers import answer_tokens
from causalrec.encoders.prompting.output_layer import OutputLayer
from causalrec.encoders.prompting.reader import AnswerReader
from causalrec.reporting.paste_between_markers import paste

PREFIX, REST, CANDIDATES = 300, 15, 20
CACHE = Path.home() / ".cache" / "causalrec"


def smollm2() -> AnswerReader:
    """Return the default decoder of `encoder=prompt`, frozen."""
    model = validate_component("encoder", compose_config(["encoder=prompt", "head=prompt"])["encoder"]).arguments[
        "model"
    ]
    data = Path(os.environ.get("CAUSALREC_DATA", CACHE / "data"))
    folder = model_folder(model.build(), data, Path(os.environ.get("CAUSALREC_CACHE", CACHE / "derived")))
    language = load(folder)
    yes, no = (answer_tokens(language.tokenizer, "answers", spelt) for spelt in (YES, NO))
    return AnswerReader(FineTunedModel(language, Frozen()), OutputLayer(language, folder, [*yes, *no]), len(yes)).eval()


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    reader, rng, device = smollm2(), np.random.default_rng(0), torch.device("cpu")
    user = rng.integers(1000, 20_000, PREFIX).tolist()
    prompts = [(*user, *rng.integers(1000, 20_000, REST).tolist()) for _ in range(CANDIDATES)]
    with torch.no_grad():
        together = reader(prompts, device)
        alone = torch.cat([reader([prompt], device) for prompt in prompts])
        difference = float((together - alone).abs().max())
        pairs = [
            (seconds(lambda: reader(prompts, device)), seconds(lambda: [reader([p], device) for p in prompts]))
            for _ in range(options.rounds)
        ]
    mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    lines = [
        f"| {CANDIDATES} candidates of {REST} tokens after {PREFIX} | seconds | ours is |",
        "|---|---|---|",
        f"| what they share read once | {mine:.2f} | |",
        f"| one at a time | {theirs:.2f} | {ratio:.1f} times as fast |",
        "",
        f"SmolLM2-135M, {options.threads} threads; medians of {options.rounds} alternating rounds; largest difference "
        f"of a log-odds {difference:.0e}.",
    ]
    text = "\n".join(lines)
    print(text)
    if options.paste:
        paste(options.paste, "prompt_prefix", text)


if __name__ == "__main__":
    main()
