"""Effects of a treatment: two learners on one simulated outcome of the IHDP trial, judged on the true effects."""

import causalrec

learners = {
    "tarnet": ["head=tarnet", "trainer.max_epochs=30", "selection.folds=1"],  # one part held out, as in the paper
    "linear_dml": ["learner=linear_dml"],  # of EconML, with an interval for each effect
}
for name, overrides in learners.items():
    causalrec.train(
        *overrides,
        task="effect",
        dataset="ihdp",
        metric=["pehe", "ate_error"],
        logger="none",
        name=name,
        sweep="effects",
    )

columns = ["sqrt_pehe@out_of_sample", "ate_error@out_of_sample"]
for table in causalrec.table("runs/effects", columns=columns):
    print(table)
