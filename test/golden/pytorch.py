"""Writes pytorch.json: what PyTorch 1.13 computes, in float64, on inputs that the tests make again from the same generator.

Run: /usr/bin/python3 test/golden/pytorch.py (Debian's python3-torch).
"""
import json
import pathlib
import torch
import torch.nn.functional as F


def values(shape, seed, low=-1.0, high=1.0):
    """The generator of test/ops/pytorch.test.ts: a 32-bit linear congruence, upper 24 bits."""
    count = 1
    for dim in shape:
        count *= dim
    out, state = [], seed
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2**32
        out.append(low + (high - low) * ((state >> 8) / 2**24))
    return torch.tensor(out, dtype=torch.float64).reshape(shape)


def case(name, shapes, call, attributes=None, **options):
    inputs = [values(shape, 100 + i, **options).requires_grad_() for i, shape in enumerate(shapes)]
    y = call(*inputs)
    weights = values(list(y.shape), 99)
    gradients = torch.autograd.grad((y * weights).sum(), inputs)
    return {
        'name': name,
        'shapes': shapes,
        'attributes': attributes or {},
        'shape': list(y.shape),
        'y': y.detach().flatten().tolist(),
        'gradients': [g.flatten().tolist() for g in gradients],
    }


def sgd(options):
    w = values([5], 1).requires_grad_()
    optimizer = torch.optim.SGD([w], **options)
    path = []
    for _ in range(6):
        optimizer.zero_grad()
        (w ** 2 * values([5], 2)).sum().backward()
        optimizer.step()
        path.append(w.detach().tolist())
    return {'options': options, 'path': path}


def lenet():
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.Tanh(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(6, 16, 5), torch.nn.Tanh(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(400, 120), torch.nn.Tanh(), torch.nn.Linear(120, 84), torch.nn.Tanh(), torch.nn.Linear(84, 10),
    ).double()
    for i, p in enumerate(net.parameters()):
        p.data = values(list(p.shape), 200 + i, -0.1, 0.1)
    logits = net(values([3, 1, 28, 28], 300, 0.0, 1.0))
    loss = F.cross_entropy(logits, torch.tensor([7, 0, 3]))
    loss.backward()
    return {
        'logits': logits.detach().flatten().tolist(),
        'loss': loss.item(),
        'gradients': [
            {'name': name, 'sum': p.grad.sum().item(), 'squares': (p.grad ** 2).sum().item(), 'first': p.grad.flatten()[:3].tolist()}
            for name, p in net.named_parameters()
        ],
    }


targets = torch.tensor([2, -100, 0, 3])
cases = [
    case('conv2d', [[2, 2, 6, 5], [3, 2, 3, 2], [3]], lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), padding=(1, 1)), {'stride': [2, 1], 'padding': [1, 1]}),
    case('conv2d', [[1, 3, 5, 5], [2, 3, 3, 3]], lambda x, w: F.conv2d(x, w), {'stride': [1, 1], 'padding': [0, 0]}),
    case('maxPool2d', [[2, 2, 5, 6]], lambda x: F.max_pool2d(x, 3, stride=2, padding=1), {'kernel': [3, 3], 'stride': [2, 2], 'padding': [1, 1]}),
    case('maxPool2d', [[1, 1, 4, 4]], lambda x: F.max_pool2d(torch.round(x).detach() + 0 * x + (x - x.detach()), 2), {'kernel': [2, 2], 'stride': [2, 2], 'padding': [0, 0], 'ties': 1}),
    case('linear', [[2, 3, 4], [5, 4], [5]], F.linear),
    case('matmul', [[3, 4], [4, 2]], torch.matmul),
    case('logSoftmax', [[3, 5]], lambda x: F.log_softmax(10 * x, 1)),
    case('softmaxDim0', [[3, 5]], lambda x: F.softmax(x, 0)),
    case('crossEntropy', [[4, 5]], lambda x: F.cross_entropy(10 * x, targets)),
    case('crossEntropySum', [[4, 5]], lambda x: F.cross_entropy(10 * x, targets, reduction='sum')),
    case('nllLoss', [[4, 5]], lambda x: F.nll_loss(x, targets)),
    case('mseLoss', [[4, 5], [4, 5]], F.mse_loss),
    case('sigmoidTanhRelu', [[20]], lambda x: torch.sigmoid(5 * x) + torch.tanh(3 * x) + torch.relu(x)),
    case('geluSiluSoftplus', [[20]], lambda x: F.gelu(4 * x) + F.gelu(3 * x, approximate='tanh') + F.silu(5 * x) + F.softplus(9 * x, 2, 12)),
    case('erfSinCosPow', [[20], [20]], lambda a, b: torch.erf(2 * a) + torch.sin(30 * a) * torch.cos(7 * b) + (a.abs() + 0.1) ** (3 * b) + (a + 2) ** -1.5 + torch.expm1(a) * torch.log1p(b.abs())),
    case('expLogSqrtAbs', [[20]], lambda x: torch.exp(x) + torch.log(x.abs() + 1) + torch.sqrt(x ** 2 + 1)),
    case('broadcastDiv', [[4, 1, 3], [2, 1]], lambda a, b: a / (b + 3) - a * b),
    case('meanKeepdim', [[2, 3, 4]], lambda x: x - x.mean(dim=(0, 2), keepdim=True)),
    case('amax', [[4, 5]], lambda x: x.max(dim=0).values),
    case('indexSelectCat', [[4, 3], [2, 3]], lambda a, b: torch.cat([a.index_select(0, torch.tensor([3, 0, 3])), b.narrow(1, 0, 3)], 0).transpose(0, 1)),
]
optimizers = [sgd(options) for options in [
    {'lr': 0.1},
    {'lr': 0.1, 'momentum': 0.9},
    {'lr': 0.1, 'momentum': 0.9, 'dampening': 0.4, 'weight_decay': 0.1},
    {'lr': 0.05, 'momentum': 0.8, 'nesterov': True, 'weight_decay': 0.02},
]]
path = pathlib.Path(__file__).with_name('pytorch.json')
path.write_text(json.dumps({'torch': torch.__version__, 'cases': cases, 'sgd': optimizers, 'lenet': lenet()}) + '\n')
