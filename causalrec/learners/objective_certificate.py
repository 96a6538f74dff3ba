"""The certificate of an objective from outside the package, asked for before it trains."""

from __future__ import annotations

import warnings

from causalrec.config.component import ComponentConfig
from causalrec.errors import CausalRecError, RequestError
from causalrec.estimators.certificate.certificate import Certificate, certify
from causalrec.estimators.objective.base import AbstractObjective

OURS = __name__.partition(".")[0]
_CERTIFICATES: dict[tuple[type[AbstractObjective], str], Certificate | None] = {}  # one to settings and process


def require_certificate(component: ComponentConfig[AbstractObjective], choice: str, *, stacked: bool) -> None:
    """Raise RequestError, in one line, where an objective from outside the package fails its certificate.

    One that claims nothing and whose terms cannot be computed in a simulation is let through with a warning.

    Args:
        component: of the objective.
        choice: `objective=NAME`, for messages.
        stacked: whether fits may train side by side.
    """
    if component.target.__module__.partition(".")[0] == OURS:
        return  # judged by the tests
    key = (component.target, repr(component.to_dict()))
    if key not in _CERTIFICATES:
        _CERTIFICATES[key] = _certificate(component, choice)
    certificate = _CERTIFICATES[key]
    if certificate is None:
        return
    failures = [check for check in certificate.failures if stacked or not check.only_stacked]
    if failures:
        claims = [claim.replace("_", " ") for claim in certificate.claims]
        claimed = any(check.name.startswith(claim) for check in failures for claim in claims)
        raise RequestError(
            f"{choice}: fails its certificate: {'; '.join(check.sentence for check in failures)}; "
            f"{'fix it, or drop the claim' if claimed else 'fix it'} (causalrec certify {choice} prints all of it)"
        )


def _certificate(component: ComponentConfig[AbstractObjective], choice: str) -> Certificate | None:
    objective = component.build()
    try:
        return certify(objective, choice.partition("=")[2])
    except CausalRecError as error:
        if isinstance(error, RequestError) or objective.claimed:
            raise
        warnings.warn(f"{choice}: trains without a certificate, as {error}", stacklevel=2)
        return None
