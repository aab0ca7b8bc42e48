"""Writes pytorch-optim.json: 20 steps of PyTorch 1.13's optimizers, in float64, on the sum of factor * w^2.

Run: /usr/bin/python3 test/golden/pytorch-optim.py (Debian's python3-torch).
"""
import json
import pathlib
import torch


def path_of(name, options):
    # Away from 0, where Adam's step would hang on the sign of a rounding error.
    w = torch.tensor([0.5, -1.25, 0.75, 1.5, -0.625], dtype=torch.float64, requires_grad=True)
    factor = torch.tensor([1.0, 0.25, 2.0, -0.5, 0.75], dtype=torch.float64)
    optimizer = getattr(torch.optim, name)([w], **options)
    path = []
    for _ in range(20):
        optimizer.zero_grad()
        (factor * w ** 2).sum().backward()
        optimizer.step()
        path.append(w.detach().tolist())
    return {'name': name, 'options': options, 'path': path}


runs = [
    path_of('Adam', {}),
    path_of('Adam', {'lr': 0.01, 'betas': [0.8, 0.99], 'weight_decay': 0.1, 'eps': 0.001}),
    path_of('Adam', {'lr': 0.01, 'betas': [0.25, 0.5]}),
    path_of('AdamW', {}),
    path_of('AdamW', {'lr': 0.01, 'weight_decay': 0.5, 'eps': 0.001}),
    path_of('RMSprop', {}),
    path_of('RMSprop', {'lr': 0.002, 'alpha': 0.9, 'eps': 0.01, 'weight_decay': 0.1, 'momentum': 0.8}),
    path_of('RMSprop', {'lr': 0.002, 'alpha': 0.9, 'eps': 0.01, 'centered': True}),
    path_of('RMSprop', {'lr': 0.002, 'alpha': 0.9, 'eps': 0.01, 'momentum': 0.5, 'centered': True}),
    path_of('Adagrad', {}),
    path_of('Adagrad', {'lr': 0.05, 'lr_decay': 0.1, 'weight_decay': 0.1, 'initial_accumulator_value': 0.5, 'eps': 0.001}),
]
path = pathlib.Path(__file__).with_name('pytorch-optim.json')
path.write_text(json.dumps({'torch': torch.__version__, 'runs': runs}) + '\n')
