"""Asks the network, a row at a time or many: weights alone are loaded, never code."""

import os

import polars as pl
import torch
from network import Digits

torch.set_num_threads(1)  # it is small
rows = pl.read_parquet(os.environ["MLBOT_FEATURES"])
network = Digits()
network.load_state_dict(torch.load(os.environ["MLBOT_ARTIFACT"], weights_only=True))
network.eval()
with torch.no_grad():
    pixels = torch.tensor(rows.drop("row_id").to_numpy(), dtype=torch.float32)
    answers = network(pixels).double().softmax(dim=1).numpy()
columns = {f"p:{digit}": answers[:, digit] for digit in range(10)}
pl.DataFrame({"row_id": rows["row_id"], **columns}).write_parquet(os.environ["MLBOT_PREDICTIONS"])
