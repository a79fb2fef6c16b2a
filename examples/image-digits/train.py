"""Trains the network, and saves its weights."""

import json
import os
from pathlib import Path

import polars as pl
import torch
from network import Digits

params = json.loads(Path(os.environ["MLBOT_PARAMS"]).read_text(encoding="utf-8"))
torch.set_num_threads(1)  # it is small
torch.manual_seed(int(os.environ["MLBOT_SEED"]))
table = pl.read_csv("data/train.csv")
pixels = torch.tensor(table.drop("digit").to_numpy(), dtype=torch.float32)
digits = torch.tensor(table["digit"].to_numpy(), dtype=torch.int64)
network = Digits()
optimizer = torch.optim.Adam(network.parameters(), lr=params["learning_rate"])
for epoch in range(params["epochs"]):
    for batch in torch.randperm(len(digits)).split(64):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(pixels[batch]), digits[batch])
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}: loss {loss.item():.4f}")
torch.save(network.state_dict(), os.environ["MLBOT_ARTIFACT"])
