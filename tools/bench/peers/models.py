"""The workloads of advface-bench in PyTorch, with random weights. Each maker returns a function that does one run.
What a run is stands in tools/bench/bench_workloads.h; `compile_` is torch.compile or the identity."""

import torch
import torch.nn.functional as F
from torch import nn

ALPHA, EPSILON = 0.005, 0.02


def norm_relu(channels):
    return [nn.BatchNorm2d(channels), nn.ReLU()]


class Decoder(nn.Module):
    """512 -> 3 x side x side, as nn/nets/decoders.cpp has `deconv`."""

    def __init__(self, width=512, side=112):
        super().__init__()
        self.base = width, side // 16, side // 16
        self.linear = nn.Linear(512, width * (side // 16) ** 2)
        layers = norm_relu(width)
        for i in range(4):
            channels = width >> i
            layers += [nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False), *norm_relu(channels // 2)]
        self.grid = nn.Sequential(*layers, nn.Conv2d(width >> 4, 3, 3, padding=1), nn.Sigmoid())

    def forward(self, z):
        return self.grid(self.linear(z).view(-1, *self.base))


class MapDecoder(nn.Module):
    """64x38x38 -> 3x64x64"""

    def __init__(self):
        super().__init__()
        layers = []
        for channels in (64, 128, 128):
            layers += [nn.Conv2d(channels, 128, 3, padding=1, bias=False), *norm_relu(128)]
        layers += [nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), *norm_relu(64)]
        layers += [nn.Conv2d(64, 64, 3, padding=1, bias=False), *norm_relu(64)]
        self.grid = nn.Sequential(*layers)
        self.head = nn.Conv2d(64, 3, 3, padding=1)

    def forward(self, x):
        y = F.interpolate(self.grid(x), size=(64, 64), mode="bilinear", align_corners=False)
        return torch.sigmoid(self.head(y))


def training_step(compile_):
    net = Decoder()
    z, target = torch.rand(32, 512), torch.rand(32, 3, 112, 112)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    loss = compile_(lambda z, target: F.l1_loss(net(z), target))

    def run():
        adam.zero_grad(set_to_none=True)
        loss(z, target).backward()
        adam.step()
    return run


def _pgd(net, z, normalise, compile_):
    net.eval().requires_grad_(False)

    def distance(z, d, base):
        u = z + d
        return (net(F.normalize(u) if normalise else u) - base).square().sum()
    loss = compile_(distance)
    step = compile_(lambda d, g: (d + ALPHA * g.sign()).clamp(-EPSILON, EPSILON))
    with torch.no_grad():
        base = net(z)
    state = {"d": EPSILON * (2 * torch.rand_like(z) - 1)}

    def run():
        d = state["d"].detach().requires_grad_(True)
        (g,) = torch.autograd.grad(loss(z, d, base), d)
        with torch.no_grad():
            state["d"] = step(d, g)
    return run


def pgd(compile_):
    return _pgd(Decoder(), F.normalize(torch.randn(32, 512)), True, compile_)


def map_pgd(compile_):
    return _pgd(MapDecoder(), torch.rand(8, 64, 38, 38), False, compile_)


def forward(path, batch, side, compile_):
    from onnx_torch import OnnxModule
    net = OnnxModule(path).eval()
    f, x = compile_(net), torch.rand(batch, 3, side, side)

    def run():
        with torch.inference_mode():
            return f(x)
    return run


def _recogniser(path):
    """Images in [0,1] of any size to unit vectors, as Recogniser::preprocess and ::embed have it for FaceNet, whose
    network normalises by itself."""
    from onnx_torch import OnnxModule
    net = OnnxModule(path).eval().requires_grad_(False)

    def embed(images):
        if images.shape[-1] != 160:
            images = F.interpolate(images, size=(160, 160), mode="bilinear", align_corners=False)
        return net((255 * images - 127.5) / 128)
    return embed


def image_gradient(path, batch, compile_):
    embed = _recogniser(path)
    target = F.normalize(torch.randn(batch, 512))
    image = torch.rand(batch, 3, 160, 160, requires_grad=True)
    adam = torch.optim.Adam([image], lr=0.01, fused=True)
    loss = compile_(lambda image: -(embed(image) * target).sum())

    def run():
        adam.zero_grad(set_to_none=True)
        loss(image).backward()
        adam.step()
    return run


def identity_training(path, batch, compile_):
    embed, net = _recogniser(path), Decoder(256, 64)
    z, target = F.normalize(torch.randn(batch, 512)), torch.rand(batch, 3, 64, 64)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def distance(z, target):
        images = net(z)
        return F.l1_loss(images, target) + 0.5 * (1 - (embed(images) * z).sum(1).mean())
    loss = compile_(distance)

    def run():
        adam.zero_grad(set_to_none=True)
        loss(z, target).backward()
        adam.step()
    return run


def onnx_session(path, batch, threads):
    """The file as it is; only a batch that it fixes at one is freed."""
    import numpy as np
    import onnx
    import onnxruntime

    model = onnx.load(path)
    graph = model.graph
    constants = {t.name: t for t in graph.initializer}
    inputs = [i for i in graph.input if i.name not in constants]
    for value in [*inputs, *graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in constants:
            sizes = onnx.numpy_helper.to_array(constants[node.input[1]]).copy()
            if sizes[0] == 1:
                sizes[0] = 0 if -1 in sizes else -1
                constants[node.input[1]].CopyFrom(onnx.numpy_helper.from_array(sizes, node.input[1]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    dims = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).random((batch, *dims[1:]), dtype=np.float32)
    name = inputs[0].name
    return lambda: session.run(None, {name: x})[0]
