"""Classes of third parties named in YAML: judged by their name before they are imported, their arguments after."""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

from causalrec.errors import CausalRecError, DataError, RequestError, did_you_mean
from causalrec.estimators.effect.fit_log import FitLog

Scalar = bool | int | float | str | None
Plain = Scalar | list[Scalar]
Model = Mapping[str, Plain]  # estimator: a class of scikit-learn, and arguments of its constructor
Kind = Literal["regressor", "classifier", "transformer"]
NOT_PUBLIC = {"tests", "conftest", "externals"}  # folders of a package that hold other people's code, or tests


def import_class(where: str, name: object, package: str) -> type[Any]:
    """Import a public class of one package by full path, such as `sklearn.linear_model.LassoCV`.

    Raises RequestError before any import where the name is not below the package, after it where it is no class.

    >>> import_class("models.model_y", "os.system", "sklearn")
    Traceback (most recent call last):
    causalrec.errors.RequestError: models.model_y=os.system: name a public class below sklearn.
    """
    if not isinstance(name, str) or not re.fullmatch(rf"{package}(\.[a-z][a-z0-9_]*)+\.[A-Za-z]\w*", name, re.ASCII):
        raise RequestError(f"{where}={name}: name a public class below {package}.")
    if NOT_PUBLIC & set(name.split(".")):
        raise RequestError(f"{where}={name}: name a public class below {package}.")
    module, _, attribute = name.rpartition(".")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RequestError(f"{where}={name}: there is no such class") from error
    if not inspect.isclass(target) or target.__module__.split(".")[0] != package:
        raise RequestError(f"{where}={name}: is not a class of {package}")
    return target


def constructor_parameters(target: type[Any]) -> dict[str, inspect.Parameter]:
    """Return the named constructor parameters of a class."""
    parameters = inspect.signature(target).parameters.values()
    return {p.name: p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}


def check_keys(where: str, given: Mapping[str, object], allowed: Mapping[str, object]) -> None:
    """Raise RequestError at the first key that is not allowed."""
    for key in given:
        if key not in allowed:
            raise RequestError(f"{where}.{key}: unknown key; {did_you_mean(key, allowed)}")


def check_words(where: str, arguments: Mapping[str, object], words: Mapping[str, Collection[str]]) -> None:
    """Raise RequestError at the first argument that is neither a number nor a word its constructor offers.

    So no text is a path: of a cache that would be unpickled, or of a module that would be imported.

    Args:
        where: the setting that holds the arguments, for messages.
        arguments: by name.
        words: that each argument may be; an argument that is not here takes no text.

    >>> check_words("models.featurizer", {"memory": "received"}, {})
    Traceback (most recent call last):
    causalrec.errors.RequestError: models.featurizer.memory='received': text is not taken here; leave it out
    """
    for key, given in arguments.items():
        for value in given if isinstance(given, list | tuple) else [given]:
            if isinstance(value, str) and value not in words.get(key, ()):
                hint = did_you_mean(value, words[key]) if words.get(key) else "text is not taken here; leave it out"
                raise RequestError(f"{where}.{key}={value!r}: {hint}")
            if not isinstance(value, bool | int | float | str | None):
                raise RequestError(
                    f"{where}.{key}: is {type(value).__name__}; give a number, a word or a list of these"
                )


def _offered_words(target: type[Any]) -> dict[str, set[str]]:
    """Return the words that scikit-learn says an argument may be; `scoring` may be a metric by name."""
    from sklearn.metrics import get_scorer_names

    constraints = getattr(target, "_parameter_constraints", {})
    offered = {
        key: {word for option in options for word in getattr(option, "options", ()) if isinstance(word, str)}
        for key, options in constraints.items()
        if isinstance(options, list)
    }
    return {**offered, "scoring": set(get_scorer_names())}


def build_sklearn_model(where: str, model: Model, kind: Kind, seed: int = 0, log: FitLog | None = None) -> Any:
    """Construct the scikit-learn model that a mapping names.

    Raises RequestError where it is not of scikit-learn, not of the kind, has no such argument, or the argument is text
    other than the words that scikit-learn offers for it.

    Args:
        where: the setting that names the model, for messages.
        model: `estimator`, the path of its class, and arguments of the class's constructor.
        kind: what it must be.
        seed: its `random_state`, unless the mapping has one.
        log: counts its fits and those of its clones; None: nobody does.

    >>> model = {"estimator": "sklearn.linear_model.LogisticRegression", "C": 0.5}
    >>> build_sklearn_model("models.model_t", model, "classifier")
    LogisticRegression(C=0.5, random_state=0)
    """
    from sklearn.base import ClassifierMixin, RegressorMixin, TransformerMixin

    if "estimator" not in model:
        raise RequestError(f"{where}.estimator: is mandatory; name a class of sklearn")
    target = import_class(f"{where}.estimator", model["estimator"], "sklearn")
    mixins = {"regressor": RegressorMixin, "classifier": ClassifierMixin, "transformer": TransformerMixin}
    if not issubclass(target, mixins[kind]):
        raise RequestError(f"{where}.estimator={model['estimator']}: is not a {kind}, which {where} must be")
    parameters = constructor_parameters(target)
    arguments: dict[str, Any] = {key: value for key, value in model.items() if key != "estimator"}
    check_keys(where, arguments, parameters)
    check_words(where, arguments, _offered_words(target))
    if "random_state" in parameters:
        arguments.setdefault("random_state", seed)
    chosen = target if log is None else log.logged_class(target, where.removeprefix("learner."))
    return chosen(**arguments)


@contextmanager
def silence_warnings(who: str, log: FitLog | None = None) -> Iterator[None]:
    """Silence the warnings of a third party at work; what it raises becomes one DataError.

    `log`: counts the work as one fit of `who`, for models that it makes by itself.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with nullcontext() if log is None else log.watch(who):
                yield
    except CausalRecError:
        raise
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"effect: {who} failed: {first}") from error
