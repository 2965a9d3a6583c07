"""Writes nn_layers.safetensors and nn_nets.safetensors: what PyTorch makes of the layers, losses, optimisers,
schedules and networks of nn/, in f64. Tensors are named <case>.<tensor>; test_nn.cpp has the same cases.

    python tests/oracles/nn_oracles.py        (from any folder; needs torch, numpy and safetensors)
"""
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = Path(__file__).parent
torch.set_default_dtype(torch.float64)
out = {}


def put(case, **tensors):
    for name, t in tensors.items():
        out[f"{case}.{name}"] = torch.as_tensor(t).detach().clone().contiguous()


def rand(*shape):
    return torch.randn(*shape, requires_grad=True)


def put_function(case, f, **inputs):
    """f(**inputs) and its gradients for a random cotangent gy: y, gy, and g<name> for each float input."""
    y = f(**inputs)
    gy = torch.randn_like(y)
    wanted = {k: v for k, v in inputs.items() if v.requires_grad}
    grads = torch.autograd.grad(y, list(wanted.values()), gy)
    put(case, y=y, gy=gy, **inputs, **{"g" + k: g for k, g in zip(wanted, grads)})


def layers():
    torch.manual_seed(1)
    conv = [  # stride, pad, dilation, groups, kernel
        (1, 1, 1, 1, 3), (2, 1, 1, 1, 3), (2, 0, 1, 2, 2), (1, 2, 2, 1, 3), (3, 4, 2, 4, 3), (1, 0, 1, 1, 1)]
    for i, (s, p, d, g, k) in enumerate(conv):
        put_function(f"conv{i}", lambda x, weight, bias: F.conv2d(x, weight, bias, s, p, d, g),
                     x=rand(2, 4, 7, 6), weight=rand(8, 4 // g, k, k), bias=rand(8))
    transpose = [  # stride, pad, output_pad, dilation, groups, kernel
        (2, 1, 0, 1, 1, 4), (2, 1, 1, 1, 1, 3), (3, 0, 2, 1, 2, 2), (1, 2, 0, 2, 4, 3), (3, 2, 1, 2, 1, 3)]
    for i, (s, p, op, d, g, k) in enumerate(transpose):
        put_function(f"transpose{i}", lambda x, weight, bias: F.conv_transpose2d(x, weight, bias, s, p, op, g, d),
                     x=rand(2, 4, 4, 3), weight=rand(4, 8 // g, k, k), bias=rand(8))
    put_function("linear", F.linear, **{"input": rand(5, 7), "weight": rand(3, 7), "bias": rand(3)})
    out["linear.x"], out["linear.gx"] = out.pop("linear.input"), out.pop("linear.ginput")
    put_function("prelu", lambda x, weight: F.prelu(x, weight), x=rand(2, 3, 4, 5), weight=rand(3))
    for name, shape, module in (("bn2d", (3, 4, 5, 3), nn.BatchNorm2d), ("bn1d", (6, 4), nn.BatchNorm1d)):
        bn = module(4)
        with torch.no_grad():
            for t in (bn.weight, bn.bias, bn.running_mean):
                t.copy_(torch.randn(4))
            bn.running_var.copy_(torch.rand(4) + 0.5)
        put(name + "_before", **bn.state_dict())
        for mode in ("eval", "train", "train2"):  # train2: a second batch
            bn.train(mode != "eval")
            x = rand(*shape)
            y = bn(x)
            gy = torch.randn_like(y)
            gx, gw, gb = torch.autograd.grad(y, [x, bn.weight, bn.bias], gy)
            put(f"{name}_{mode}", x=x, y=y, gy=gy, gx=gx, gweight=gw, gbias=gb)
        put(name + "_after", **bn.state_dict())
    sizes = {"up": ((4, 5), (7, 11)), "down": ((9, 8), (4, 5)), "twice": ((3, 4), (6, 8))}
    for name, (before, after) in sizes.items():
        for mode, align in (("nearest", None), ("bilinear", False), ("bilinear", True)):
            put_function(f"resize_{name}_{mode}{'_aligned' if align else ''}",
                         lambda x: F.interpolate(x, size=after, mode=mode, align_corners=align),
                         x=rand(2, 3, *before))
    pool = [(3, 2, 0, False), (3, 2, 1, False), (3, 2, 1, True), (2, 2, 0, True), (3, 3, 1, True)]
    for i, (k, s, p, ceil) in enumerate(pool):
        put_function(f"max_pool{i}", lambda x: F.max_pool2d(x, k, s, p, 1, ceil), x=rand(2, 3, 8, 7))
        put_function(f"avg_pool{i}", lambda x: F.avg_pool2d(x, k, s, p, ceil, False), x=rand(2, 3, 8, 7))
        put_function(f"avg_pool_padded{i}", lambda x: F.avg_pool2d(x, k, s, p, ceil, True), x=rand(2, 3, 8, 7))


def arcface_loss(embeddings, weight, labels, scale, margin):
    """Equation 3 of arXiv 1801.07698 by way of the angle itself, with the usual continuation beyond pi."""
    cosines = F.normalize(embeddings) @ F.normalize(weight).T
    theta = torch.acos(cosines)
    target = torch.where(theta + margin > math.pi, cosines - margin * math.sin(math.pi - margin),
                         torch.cos(theta + margin))
    hot = F.one_hot(labels, weight.shape[0]).bool()
    return F.cross_entropy(scale * torch.where(hot, target, cosines), labels)


def ssim_plain(a, b):
    """Wang et al. 2004, eq. 13, window by window: (H,W) images, numpy, no convolution."""
    d = np.arange(11) - 5
    w = np.exp(-(d[:, None] ** 2 + d[None, :] ** 2) / (2 * 1.5 ** 2))
    w /= w.sum()
    values = []
    for i in range(a.shape[0] - 10):
        for j in range(a.shape[1] - 10):
            p, q = a[i:i + 11, j:j + 11], b[i:i + 11, j:j + 11]
            mp, mq = (w * p).sum(), (w * q).sum()
            vp, vq = (w * (p - mp) ** 2).sum(), (w * (q - mq) ** 2).sum()
            cov = (w * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + 1e-4) * (2 * cov + 9e-4) /
                          ((mp ** 2 + mq ** 2 + 1e-4) * (vp + vq + 9e-4)))
    return np.mean(values)


def ssim_torch(a, b):
    """The same formula on unfolded windows, for its gradient."""
    d = torch.arange(11) - 5.0
    w = torch.exp(-(d[:, None] ** 2 + d[None, :] ** 2) / (2 * 1.5 ** 2)).flatten()
    w = (w / w.sum())[None, :, None]
    n, c, h, width = a.shape
    p, q = (F.unfold(t.reshape(n * c, 1, h, width), 11) for t in (a, b))
    mp, mq = (w * p).sum(1, keepdim=True), (w * q).sum(1, keepdim=True)
    vp, vq = (w * (p - mp) ** 2).sum(1), (w * (q - mq) ** 2).sum(1)
    cov = (w * (p - mp) * (q - mq)).sum(1)
    mp, mq = mp[:, 0], mq[:, 0]
    s = (2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp ** 2 + mq ** 2 + 1e-4) * (vp + vq + 9e-4))
    return s.mean(1).reshape(n, c).mean(1)


def losses():
    torch.manual_seed(2)
    labels = torch.tensor([0, 5, 2, 2, 3], dtype=torch.int32)
    put("cross_entropy", labels=labels)
    put_function("cross_entropy", lambda x: F.cross_entropy(x, labels.long()), x=(3 * torch.randn(5, 6)).requires_grad_())
    embeddings, weight = rand(6, 7), rand(4, 7)
    labels = torch.tensor([0, 3, 2, 2, 1, 0], dtype=torch.int32)
    with torch.no_grad():
        embeddings[1] = -2 * weight[3] + 0.05 * torch.randn(7)  # theta + margin > pi
    put("arcface", labels=labels)
    put_function("arcface", lambda x, weight: arcface_loss(x, weight, labels.long(), 32, 0.5), x=embeddings, weight=weight)
    a = torch.rand(2, 3, 18, 15)
    b = (a + 0.2 * torch.randn_like(a)).clamp(0, 1).requires_grad_()
    plain = [np.mean([ssim_plain(a[n, c].numpy(), b[n, c].detach().numpy()) for c in range(3)]) for n in range(2)]
    assert np.allclose(plain, ssim_torch(a, b).detach().numpy(), rtol=1e-12)
    put_function("ssim", ssim_torch, a=a, b=b)
    put("ssim", y=np.array(plain))
    put_function("l1", F.l1_loss, **{"input": rand(3, 4), "target": torch.randn(3, 4)})
    put_function("mse", F.mse_loss, **{"input": rand(3, 4), "target": torch.randn(3, 4)})


def optimisers():
    torch.manual_seed(3)
    start = [torch.randn(3, 4), torch.randn(5)]
    grads = [[torch.randn(3, 4), torch.randn(5)] for _ in range(5)]
    put("optim", p0=start[0], p1=start[1], **{f"g{t}_{i}": g for t, pair in enumerate(grads) for i, g in enumerate(pair)})
    makers = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
        "sgd_momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
        "sgd_nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, weight_decay=0.01, nesterov=True),
        "adam": lambda p: torch.optim.Adam(p, lr=0.05),
        "adam_decay": lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.5, 0.99), weight_decay=0.1),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1),
    }
    for name, make in makers.items():
        params = [nn.Parameter(s.clone()) for s in start]
        optimiser = make(params)
        for t, pair in enumerate(grads):
            for p, g in zip(params, pair):
                p.grad = g.clone()
            optimiser.param_groups[0]["lr"] *= 0.9 if t else 1.0  # the rate changes from step to step
            optimiser.step()
            put(name, **{f"p{t}_{i}": p for i, p in enumerate(params)})
    params = [nn.Parameter(s.clone()) for s in start]
    for p, g in zip(params, grads[0]):
        p.grad = g.clone()
    norm = nn.utils.clip_grad_norm_(params, 1.5)
    put("clip", norm=norm, g0=params[0].grad, g1=params[1].grad)

    def rates(make, steps):
        optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
        schedule = make(optimiser)
        values = []
        for _ in range(steps):
            values.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            schedule.step()
        return torch.tensor(values)

    S = torch.optim.lr_scheduler
    put("schedule",
        one_cycle=rates(lambda o: S.OneCycleLR(o, max_lr=0.3, total_steps=41), 40),
        one_cycle_late=rates(lambda o: S.OneCycleLR(o, 0.3, 21, pct_start=0.5, div_factor=10, final_div_factor=100), 20),
        cosine=rates(lambda o: S.CosineAnnealingLR(o, 30, eta_min=0.003), 31),
        warm=rates(lambda o: S.SequentialLR(o, [S.LinearLR(o, 1 / 5, 1, 4), S.CosineAnnealingLR(o, 25, 0.003)], [5]), 31))


class Stem(nn.Module):
    def __init__(self, features, channels, grid):
        super().__init__()
        self.shape = (channels, grid, grid)
        self.linear = nn.Linear(features, channels * grid * grid)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.relu(self.bn(self.linear(x).unflatten(1, self.shape)))


class DeconvBlock(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv = nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(o)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class ResidualUpBlock(nn.Module):
    """The skip after the upsampling here, before it in nn/: the two commute."""

    def __init__(self, i, o):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, padding=1, bias=False), nn.BatchNorm2d(o)
        self.skip = nn.Conv2d(i, o, 1, bias=False)

    def forward(self, x):
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.skip(x))


class Decoder(nn.Module):
    def __init__(self, block, features, size, width):
        super().__init__()
        self.stem = Stem(features, width, size // 16)
        self.up = nn.ModuleList(block(width >> i, width >> (i + 1)) for i in range(4))
        self.head = nn.Conv2d(width >> 4, 3, 3, padding=1)

    def forward(self, x):
        x = self.stem(x)
        for block in self.up:
            x = block(x)
        return torch.sigmoid(self.head(x))


class Unit(nn.Module):
    def __init__(self, i, o, k, stride=1, pad=0, groups=1, linear=False):
        super().__init__()
        self.conv = nn.Conv2d(i, o, k, stride, pad, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(o)
        self.prelu = nn.Identity() if linear else nn.PReLU(o)

    def forward(self, x):
        return self.prelu(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, i, o, t, stride):
        super().__init__()
        self.expand, self.depthwise = Unit(i, i * t, 1), Unit(i * t, i * t, 3, stride, 1, i * t)
        self.project, self.residual = Unit(i * t, o, 1, linear=True), stride == 1 and i == o

    def forward(self, x):
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class SmallStage(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.down, self.conv = Unit(i, o, 3, 2, 1), Unit(o, o, 3, 1, 1)

    def forward(self, x):
        y = self.down(x)
        return y + self.conv(y)


class Recogniser(nn.Module):
    def __init__(self, body, channels, grid, embedding):
        super().__init__()
        self.body = nn.ModuleList(body)
        self.add_module("global", Unit(channels, channels, grid, groups=channels, linear=True))
        self.embed, self.bn = nn.Linear(channels, embedding, bias=False), nn.BatchNorm1d(embedding)

    def forward(self, x):
        for block in self.body:
            x = block(x)
        return self.bn(self.embed(getattr(self, "global")(x).flatten(1)))


def mobilefacenet(size, embedding, c64, c128, c512):
    body, i = [Unit(3, c64, 3, 2, 1), Unit(c64, c64, 3, 1, 1, c64)], c64
    for t, c, n, s in ((2, c64, 5, 2), (4, c128, 1, 2), (2, c128, 6, 1), (4, c128, 1, 2), (2, c128, 2, 1)):
        for k in range(n):
            body.append(Bottleneck(i, c, t, s if k == 0 else 1))
            i = c
    return Recogniser(body + [Unit(i, c512, 1)], c512, size // 16, embedding)


def patterned(name, t):
    """Values both sides can compute, so that no weights are stored: test_nn.cpp has the same line."""
    i = torch.arange(t.numel(), dtype=torch.float64)
    v = torch.sin(1.3 * i * i + 0.7 * len(name) + 0.1).reshape(t.shape)
    if name.endswith("running_var"):
        return 1 + 0.5 * v
    fan = t[0].numel() if t.dim() > 1 else 4
    return v * math.sqrt(2 / fan)


def nets():
    torch.manual_seed(4)
    for name, block in (("deconv", DeconvBlock), ("resup", ResidualUpBlock)):
        net = Decoder(block, 10, 32, 16)
        with torch.no_grad():
            for m in net.modules():  # batch norms that are not the identity
                if isinstance(m, nn.BatchNorm2d):
                    m.weight.uniform_(0.5, 1.5), m.bias.normal_(0, 0.3)
                    m.running_mean.normal_(0, 0.3), m.running_var.uniform_(0.5, 1.5)
        put(name + "_weights", **net.state_dict())
        for mode in ("eval", "train"):
            net.train(mode == "train")
            x = rand(1 if mode == "eval" else 2, 10)
            y = net(x)
            gy = torch.randn(y.shape, dtype=torch.float32)
            names, params = zip(*net.named_parameters())
            gx, *grads = torch.autograd.grad(y, [x, *params], gy.double())
            put(f"{name}_{mode}", x=x, y=y, gy=gy, gx=gx, **{"g_" + k: g for k, g in zip(names, grads)})
        put(name + "_after", **{k: v for k, v in net.state_dict().items() if "running" in k or "tracked" in k})
    recognisers = {"mobilefacenet": mobilefacenet(32, 8, 16, 32, 128),
                   "cnn_small": Recogniser([SmallStage(3, 8), SmallStage(8, 16), SmallStage(16, 32), SmallStage(32, 64)],
                                           64, 2, 8)}
    for name, net in recognisers.items():
        with torch.no_grad():
            for key, t in net.state_dict().items():
                if t.is_floating_point():
                    t.copy_(patterned(key, t))
        net.eval()
        x = torch.rand(1, 3, 32, 32, dtype=torch.float32).double().requires_grad_()
        y = net(x)
        gy = torch.randn_like(y)
        names, params = zip(*net.named_parameters())
        gx, *grads = torch.autograd.grad(y, [x, *params], gy)
        put(name, x=x.float(), y=y, gy=gy, gx=gx, norms=torch.stack([g.norm() for g in grads]),
            count=torch.tensor(len(names)))


for make in (layers, losses, optimisers):
    make()
save_file(out, HERE / "nn_layers.safetensors")
out.clear()
nets()
save_file(out, HERE / "nn_nets.safetensors")
