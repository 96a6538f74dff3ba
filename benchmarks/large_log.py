"""A log of 10^8 rows: peak memory of the first load, seconds to open it again, and rows a second of an epoch."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from ingest import OURS, measure, write_interactions

from causalrec.reporting.paste_between_markers import paste

BATCH = 8192
EPOCH = """
import numpy as np, logging, tempfile, warnings
import pytorch_lightning as pl
from causalrec.data.datasets.csv import CsvTables
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.training.datamodule import LogDataModule
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamWRows
from causalrec.training.trainer import TrainerSettings
from dataclasses import replace
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
warnings.simplefilter("ignore")
log = CsvTables(threshold=4, time="time", repeats="allowed").load(Path(sys.argv[1])).logged
log = replace(log, propensity=np.broadcast_to(np.float32(0.01), len(log)).copy())
inputs = EncoderInputs(log.num_users, log.num_items, (), Path(), Path())
model = CausalModel({role: RoleNetwork(MF(inputs, width=16), Dot(0)) for role in Naive().roles}, "logit")
empty = [np.zeros((count, 0), np.float32) for count in (log.num_users, log.num_items)]
features = FeatureMatrix((), ("item", "user"), *empty, ())
data = LogDataModule(log, log.take(np.arange(1000)), features, Balanced(batch_size=BATCH), Naive().space, 0)
data.limit = LIMIT
rows = LIMIT * BATCH
class Clock(pl.Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if index == 0:
            self.first = time.perf_counter()
        self.last = time.perf_counter()
clock = Clock()
with tempfile.TemporaryDirectory() as folder:
    module = CausalRecModule(model, Naive(), AdamWRows(lr=0.01))
    TrainerSettings(max_epochs=1).build(None, [clock], folder=Path(folder)).fit(module, datamodule=data)
started = time.perf_counter() - (clock.last - clock.first)
"""


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=100_000_000)
    arguments.add_argument("--batches", type=int, default=1000, help="of the epoch that is timed")
    arguments.add_argument("--folder", type=Path, help="where the temporary folder is made (about 60 bytes per row)")
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    epoch = EPOCH.replace("LIMIT", str(options.batches)).replace("BATCH", str(BATCH))
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="causalrec-large-") as folder:
        write_interactions(Path(folder) / "csv" / "interactions.csv", options.rows)
        ingest, reopen, trained = (measure(body, Path(folder)) for body in (OURS, OURS, epoch))
    speed = trained[2] / trained[0]
    users, items = options.rows // 20, options.rows // 200
    text = "\n".join(
        [
            f"| {options.rows:,} rows, {users:,} users, {items:,} items | seconds | peak memory, GiB |",
            "|---|---|---|",
            f"| first load: every row checked | {ingest[0]:.0f} | {ingest[1]:.2f} |",
            f"| opened again | {reopen[0]:.2f} | {reopen[1]:.2f} |",
            f"| an epoch, width 16, batch {BATCH:,}, from {trained[2]:,} of its rows: {speed:,.0f} rows a second "
            f"| {options.rows / speed:.0f} | {trained[1]:.1f} |",
        ]
    )
    print(text)
    if options.paste:
        paste(options.paste, "large_log", text)


if __name__ == "__main__":
    main()
