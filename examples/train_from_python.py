"""Train from Python and ask the model: the same job, record and folder as `causalrec train` makes."""

import causalrec

record = causalrec.train(
    dataset="ml100k_semisynthetic",  # redrawn over MovieLens-100K, so that the truth of every pair is known
    encoder="mf",
    objective="ips",
    trainer="smoke",  # two batches; leave it out to train in earnest
    logger="none",
)
for score in record.scores[:3]:
    print(f"{score.metric}@{score.slice}: {score.value:.4f} [{score.low:.4f}, {score.high:.4f}], n = {score.n}")

run = causalrec.load(record)  # or its folder, from any working directory, also after it was moved
print("user 1, items 50 and 100:", run.predict("1", ["50", "100"]))
print(run.recommend("1", k=5))
