"""The network: two convolutions over images of 8 x 8 pixels."""

import torch
from torch import nn


class Digits(nn.Module):
    """Takes rows of 64 pixels from 0 to 16; gives a number for each of ten digits."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * width * 16, 10),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The numbers; a softmax makes probabilities of them."""
        answers: torch.Tensor = self.layers(pixels.reshape(-1, 1, 8, 8) / 16)
        return answers
