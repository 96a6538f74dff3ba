"""Read a sweep: train two rows with two seeds, then print the table that a paper would show."""

import causalrec

for objective in ("naive", "ips"):
    for seed in (0, 1):
        causalrec.train(
            dataset="ml100k_semisynthetic",
            encoder="mf",
            objective=objective,
            seed=seed,
            trainer="smoke",  # two batches; leave it out to train in earnest
            logger="none",
            sweep="example",
        )

for table in causalrec.table("runs/example"):  # one for each data set and estimand
    print(table)
