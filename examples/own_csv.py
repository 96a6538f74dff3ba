"""Tables of your own: name the columns in a YAML, the edges between them in another; no Python class is written."""

from pathlib import Path

import causalrec

# own_data/trust/conf/dataset/trust.yaml names the files and columns, conf/graph/trust.yaml draws the graph.
conf = Path("examples/own_data/trust/conf")  # its folder is named from the checkout, where this script is run

data = causalrec.load_dataset("trust", config_dirs=[conf])
print(data.logged)
print(data.item_table.head(3))

record = causalrec.train(
    dataset="trust", encoder="mf", objective="ips", trainer="smoke", logger="none", config_dirs=[conf]
)
print("adjusted for:", ", ".join(record.adjustment.training.columns))
for score in record.scores[:4]:
    print(f"{score.model:12} {score.metric}@{score.slice} {score.value:.3f}")

run = causalrec.load(record)
print(run.recommend(user=run.prepared.dataset.user_ids[0], k=3))
