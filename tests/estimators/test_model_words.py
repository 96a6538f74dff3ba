"""Texts in the arguments of third-party models: the words they offer, and nothing that could be a path or a module."""

from __future__ import annotations

from typing import Any

import pytest

from causalrec.errors import RequestError
from causalrec.estimators.effect.nuisance import build_sklearn_model, import_class
from causalrec.learners.dowhy import DoWhy
from causalrec.learners.econml import EconML

AGGLOMERATION = "sklearn.cluster.FeatureAgglomeration"
RIDGE: dict[str, Any] = {"estimator": "sklearn.linear_model.Ridge"}
LOGIT: dict[str, Any] = {"estimator": "sklearn.linear_model.LogisticRegression"}
FOREST: dict[str, Any] = {"learner": "econml.orf.DROrthoForest"}
FOREST["models"] = {"model_Y": RIDGE, "propensity_model": LOGIT}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"estimator": AGGLOMERATION, "memory": "received"}, "memory='received': text is not taken here"),
        ({"estimator": AGGLOMERATION, "memory": ["received"]}, "memory='received': text is not taken here"),
        ({"estimator": AGGLOMERATION, "memory": {"location": "received"}}, "memory: is dict"),
        ({"estimator": AGGLOMERATION, "pooling_func": max}, "pooling_func: is builtin"),
        ({"estimator": AGGLOMERATION, "linkage": "wrad"}, "linkage='wrad': did you mean 'ward'"),
        ({"estimator": "sklearn.tests.test_pipeline.Transf"}, "name a public class below sklearn"),
    ],
)
def test_what_is_no_word_of_scikit_learn_is_refused(model: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        build_sklearn_model("learner.models.featurizer", model, "transformer")
    assert message in str(caught.value)


def test_words_that_scikit_learn_offers_are_taken() -> None:
    built = build_sklearn_model("m", {"estimator": AGGLOMERATION, "linkage": "average", "metric": "l1"}, "transformer")
    assert built.get_params()["linkage"] == "average"
    logit = {**LOGIT, "solver": "newton-cholesky", "class_weight": "balanced"}
    assert build_sklearn_model("m", logit, "classifier").solver == "newton-cholesky"
    trees = {"estimator": "sklearn.ensemble.HistGradientBoostingRegressor", "early_stopping": "auto"}
    trees |= {"scoring": "neg_mean_squared_error", "loss": "absolute_error"}
    assert build_sklearn_model("m", trees, "regressor").loss == "absolute_error"


def test_a_learner_is_given_no_backend_that_starts_processes() -> None:
    for backend in ("loky", "ray", "dask", "multiprocessing"):
        with pytest.raises(RequestError, match=rf"^learner\.arguments\.backend='{backend}': "):
            EconML(**FOREST, arguments={"n_jobs": 2, "backend": backend})
    with pytest.raises(RequestError, match="use_ray: is set by the run"):
        EconML(learner="econml.dml.LinearDML", arguments={"use_ray": True}, models={"model_y": RIDGE, "model_t": LOGIT})
    assert EconML(**FOREST, arguments={"n_jobs": 2, "backend": "threading"}).design == "adjustment"


def test_an_estimator_of_dowhy_takes_its_words_alone() -> None:
    matching = "dowhy.causal_estimators.distance_matching_estimator.DistanceMatchingEstimator"
    with pytest.raises(RequestError, match="distance_metric='received/metric'"):
        DoWhy(estimator=matching, arguments={"distance_metric": "received/metric"})
    assert DoWhy(estimator=matching, arguments={"distance_metric": "manhattan"}).design == "adjustment"
    with pytest.raises(RequestError, match="name a public class below econml"):
        import_class("learner.learner", "econml.tests.test_dml.TestDML", "econml")
