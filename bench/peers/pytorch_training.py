"""Training steps in PyTorch, as fast as plain eager PyTorch does them: the same models, data, batch sizes and optimizers as our rows."""
from pathlib import Path

import numpy as np
import torch
from torch import nn


def load(folder):
    """The training set as it lies in the files: bytes [60000, 28 * 28], labels [60000]."""
    images = np.fromfile(Path(folder) / "train-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 28 * 28)
    labels = np.fromfile(Path(folder) / "train-labels-idx1-ubyte", np.uint8, offset=8)
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


class Training:
    """A step on one batch after the other, in a new order each epoch; it goes on from call to call."""

    def __init__(self, model, shape, folder, batch, lr):
        torch.manual_seed(1)
        self.images, self.labels = load(folder)
        self.model, self.loss = model, nn.CrossEntropyLoss()
        self.shape, self.batch = shape, batch
        self.optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
        self.order, self.at = torch.randperm(len(self.images)), 0

    def __call__(self):
        if self.at + self.batch > len(self.order):
            self.order, self.at = torch.randperm(len(self.images)), 0
        chosen = self.order[self.at : self.at + self.batch]
        self.at += self.batch
        # Records lie there as bytes and are normalised on the fly, as in shoal.
        pixels = self.images[chosen].float().mul_(1 / (255 * 0.3081)).sub_(0.1307 / 0.3081)
        self.step(pixels.view(self.shape), self.labels[chosen])

    def step(self, inputs, labels):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.model(inputs), labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def lenet(folder, batch):
    """A step of LeNet-5 with its data, as the Trainer's."""
    return Training(lenet5(), (-1, 1, 28, 28), folder, batch, 0.05)


def mlp(folder, batch, hidden):
    """A step of an MLP on one batch that lies ready as floats: the step alone."""
    training = Training(nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10)), (-1, 784), folder, batch, 0.05)
    pixels = training.images[:batch].float().mul_(1 / (255 * 0.3081)).sub_(0.1307 / 0.3081)
    labels = training.labels[:batch]
    return lambda: training.step(pixels, labels)


OPERATIONS = {"lenet": lenet, "mlp": mlp}
