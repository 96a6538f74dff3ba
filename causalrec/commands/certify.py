"""`causalrec certify`: is what a training objective claims to estimate true? Judged on populations that are known."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.commands.terminal import check_overrides, log, print_json, print_text_table
from causalrec.errors import CausalRecError, RequestError

if TYPE_CHECKING:
    from causalrec.config.component import ComponentConfig
    from causalrec.estimators.certificate.certificate import Certificate
    from causalrec.estimators.certificate.check import Check
    from causalrec.estimators.objective.base import AbstractObjective

    Objectives = dict[str, ComponentConfig[AbstractObjective]]

MARKER = "certificates"  # of the page that a table is pasted into
HEADER = ("check", "result", "measured", "allowed", "smallest bias seen")
CONTRACT = (
    "finite gradients",
    "each term reaches its role alone",
    "gradients are finite differences",
    "stacked = alone",
)


def certify(options: argparse.Namespace) -> int:
    """`causalrec certify objective=NAME | --all`: judge one objective or each; exit code 1 where a check fails."""
    overrides = check_overrides(options.overrides)
    if options.all == bool(overrides):
        raise RequestError("certify: name one objective, objective=NAME, or all of them by --all")
    for text in overrides:
        if text.partition("=")[0].partition(".")[0] != "objective":
            raise RequestError(f"{text}: a certificate reads the objective alone; drop it")
    components = _all_components(options.config_dir) if options.all else _component(overrides, options.config_dir)
    if options.paste:
        from causalrec.reporting.paste_between_markers import paste, read_page

        read_page(options.paste, MARKER)  # refused before minutes of work
    certificates = list(_certify_each(components, progress=options.all))
    if options.paste:
        paste(options.paste, MARKER, "\n".join(markdown(certificates)))
    if options.json:
        documents = [{**vars(certificate), "checks": list(certificate.checks)} for certificate in certificates]
        print_json(documents if options.all else documents[0])
    else:
        _print(certificates)
    return int(any(certificate.failures for certificate in certificates))


def _component(overrides: Sequence[str], config_dirs: Sequence[Path]) -> Objectives:
    from causalrec.config.compose import compose_and_check, normalise_overrides, validate_group

    plain = compose_and_check(normalise_overrides(overrides, config_dirs))
    return {plain["choices"]["objective"]: validate_group(plain, "objective")}


def _all_components(config_dirs: Sequence[Path]) -> Objectives:
    """Return every objective that has a YAML, by its name."""
    from causalrec.config.component import load_class, validate_component
    from causalrec.config.compose import normalise_overrides, package_folder
    from causalrec.config.schema import GROUPS
    from causalrec.config.yaml_reading import read_yaml

    normalise_overrides([], config_dirs)  # refuses a folder that is none
    paths = [path for root in (package_folder("conf"), *config_dirs) for path in (root / "objective").glob("*.yaml")]
    contract = load_class(GROUPS["objective"])
    return {
        path.stem: validate_component("objective", read_yaml(path), contract)
        for path in sorted(paths, key=lambda path: path.stem)
    }


def _certify_each(components: Objectives, *, progress: bool) -> Iterator[Certificate]:
    from causalrec.estimators.certificate.certificate import Certificate
    from causalrec.estimators.certificate.certificate import certify as judge
    from causalrec.estimators.certificate.check import Check

    for name, component in components.items():
        if progress:
            log(f"certifying {name}")
        try:
            yield judge(component.build(), name)
        except CausalRecError as error:
            if not progress:
                raise
            why = Check(name="terms", result="FAILS", detail=str(error))
            yield Certificate(name, (), (why,))


def _print(certificates: Sequence[Certificate]) -> None:
    from causalrec.reporting.text_table import TextTable

    for certificate in certificates:
        details = [(check.name, check.detail) for check in certificate.checks if check.detail]
        table = TextTable(
            title=f"{certificate.name}: claims {', '.join(certificate.claims) or 'nothing'}",
            header=HEADER,
            rows=tuple(map(_cells, certificate.checks)),
            left=frozenset({0, 1}),
            notes=tuple(text if text.startswith(name) else f"{name}: {text}" for name, text in details),
        )
        print_text_table(table)


def _cells(check: Check) -> tuple[str, ...]:
    measured = "" if check.measured is None else f"{check.measured:.3g} {check.unit}"
    allowed = "" if check.allowed is None else f"{check.allowed:g}"
    return check.name, check.result, measured, allowed, _smallest(check)


def _smallest(check: Check) -> str:
    return "" if check.smallest is None else f"{100 * check.smallest:.2g} %"


def markdown(certificates: Sequence[Certificate]) -> Iterator[str]:
    """Yield the lines of a table of all certificates, a row each: a claim with the smallest bias it would have seen."""
    from causalrec.reporting.escapes import markdown_text

    yield "| objective | given | unbiased | consistent | doubly robust | gradient only | contract | sampled weights |"
    yield "|---|---|---|---|---|---|---|---|"
    for certificate in certificates:
        cells = [markdown_text(_assumption(certificate))]
        cells += [
            _claim_cell(certificate, claim) for claim in ("unbiased", "consistent", "doubly robust", "gradient only")
        ]
        contract = [check for check in certificate.checks if check.name in CONTRACT]
        failed = [check.name for check in contract if check.failed]
        cells.append("FAILS: " + ", ".join(failed) if failed else f"{len(contract)} pass")
        yield f"| {' | '.join([markdown_text(certificate.name), *cells, _claim_cell(certificate, 'weights of')])} |"


def _assumption(certificate: Certificate) -> str:
    """Return the nuisances that must be true: all that are read, or one of them."""
    given = next((check.detail for check in certificate.checks if check.detail.startswith("given ")), "")
    names = given.removeprefix("given ")
    return names.replace(" and ", " or ") if "doubly_robust" in certificate.claims else names


def _claim_cell(certificate: Certificate, name: str) -> str:
    """Return how the checks whose name begins so came out, in a cell."""
    checks = [check for check in certificate.checks if check.name.startswith(name)]
    texts = []
    for check in checks:
        what = check.name.partition(", ")[2]
        seen = f" ({_smallest(check)})" if check.smallest is not None else ""
        result = "" if check.result == "not claimed" else check.result
        texts.append(f"{what + ': ' if what else ''}{result}{seen}")
    return "; ".join(texts)
