"""An estimator in plain torch: what is liked is seen more, so the seen rows' mean error is too low; weights mend it."""

import torch

from causalrec.estimators import functional

users, items = 300, 200
generator = torch.Generator().manual_seed(0)
preference = torch.randn(users, items, generator=generator)
error = (preference - 1).square()  # of a model that predicts 1 for every pair: large where preference is low
propensity = torch.sigmoid(preference - 2)  # what is liked is seen more often
observed = torch.bernoulli(propensity, generator=generator)
imputed = torch.full_like(error, 1.5)  # any guess of the errors: with true propensities DR is unbiased whatever it is

estimates = {
    "truth (all pairs)": error.mean(),
    "naive": functional.naive(error, observed).sum() / observed.sum(),
    "ips": functional.ips(error, observed, propensity).mean(),
    "doubly robust": functional.doubly_robust(error, imputed, observed, propensity).mean(),
}
for name, estimate in estimates.items():
    print(f"{name:18} {estimate:.3f}")
