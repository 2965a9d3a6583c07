"""An ONNX recogniser as a torch module: the node types of FaceNet and MobileFaceNet, each as the torch call that a
user would write. Weights are torch buffers; what depends on weights alone (Cast of float16 kernels) runs once."""

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper


def _pads(attrs):
    top, left, bottom, right = attrs.get("pads", [0, 0, 0, 0])
    return top, left, bottom, right


def _conv(x, w, b=None, **a):
    top, left, bottom, right = _pads(a)
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
    return F.conv2d(x, w, b, a.get("strides", 1), (top, left), a.get("dilations", 1), a.get("group", 1))


def _max_pool(x, **a):
    top, left, bottom, right = _pads(a)
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, (left, right, top, bottom), value=float("-inf")), 0, 0
    return F.max_pool2d(x, a["kernel_shape"], a.get("strides", 1), (top, left), ceil_mode=bool(a.get("ceil_mode", 0)))


def _average_pool(x, **a):
    return F.avg_pool2d(x, a["kernel_shape"], a.get("strides", 1), _pads(a)[:2],
                        count_include_pad=bool(a.get("count_include_pad", 0)))


def _gemm(a, b, c=None, **at):
    a = a.t() if at.get("transA") else a
    b = b.t() if at.get("transB") else b
    y = at.get("alpha", 1.0) * (a @ b) if at.get("alpha", 1.0) != 1.0 else a @ b
    return y if c is None else y + at.get("beta", 1.0) * c


def _reduce(f):
    def run(x, axes=None, **a):
        axes = a.get("axes") if axes is None else axes.tolist()
        return f(x, dim=tuple(axes), keepdim=bool(a.get("keepdims", 1)))
    return run


def _norm(x, **a):
    return torch.linalg.vector_norm(x, ord=a.get("p", 2), dim=a.get("axis", -1), keepdim=True)


_OPS = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a / b,
    "Sqrt": torch.sqrt,
    "Pow": torch.pow,
    "Abs": torch.abs,
    "Neg": torch.neg,
    "Max": torch.maximum,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Identity": lambda x: x,
    "Dropout": lambda x, *_, **a: x,
    "PRelu": lambda x, w: F.prelu(x, w.reshape(-1)),
    "Clip": lambda x, low=None, high=None, **a: torch.clamp(x, a.get("min", low), a.get("max", high)),
    "Conv": _conv,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
    "BatchNormalization": lambda x, s, b, m, v, **a: F.batch_norm(x, m, v, s, b, eps=a.get("epsilon", 1e-5)),
    "MatMul": torch.matmul,
    "Gemm": _gemm,
    "Concat": lambda *x, axis: torch.cat(x, axis),
    "Flatten": lambda x, axis=1: x.flatten(axis),
    "Transpose": lambda x, perm: x.permute(perm),
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "ReduceL2": _reduce(lambda x, dim, keepdim: torch.linalg.vector_norm(x, dim=dim, keepdim=keepdim)),
    "LpNormalization": lambda x, **a: x / _norm(x, **a),
    "Reshape": lambda x, sizes: x.reshape(sizes.tolist()),  # of constants; see forward() for the others
    "Cast": lambda x, to: x.to(torch.from_numpy(np.empty(0, onnx.helper.tensor_dtype_to_np_dtype(to))).dtype),
}


def _attributes(node):
    attrs = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if attrs.pop("auto_pad", b"NOTSET") != b"NOTSET":
        raise SystemExit(f"{node.op_type} '{node.name}': auto_pad has no form here")
    return attrs


class OnnxModule(torch.nn.Module):
    def __init__(self, path):
        super().__init__()
        graph = onnx.load(path).graph
        constants = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
        self.input = [i.name for i in graph.input if i.name not in constants][0]
        self.output = graph.output[0].name
        self.steps = []
        unknown = sorted({n.op_type for n in graph.node} - set(_OPS) - {"Constant", "Unsqueeze", "Squeeze"})
        if unknown:
            raise SystemExit(f"{path}: no torch form for ONNX ops {', '.join(unknown)}; add them to {__file__}")
        for node in graph.node:
            attrs = _attributes(node)
            inputs = [i for i in node.input if i]
            if node.op_type == "Constant":
                constants[node.output[0]] = torch.from_numpy(numpy_helper.to_array(attrs["value"]).copy())
            elif all(i in constants for i in inputs):
                constants[node.output[0]] = _OPS[node.op_type](*(constants[i] for i in inputs), **attrs)
            else:
                self.steps.append((node.op_type, attrs, list(node.input), node.output[0]))
        self.sizes = {}  # shape arguments as numbers: they are no tensors in torch
        for op, _, inputs, _ in self.steps:
            if op in ("Reshape", "Unsqueeze", "Squeeze"):
                self.sizes.update({i: constants[i].tolist() for i in inputs[1:] if i in constants})
        self.buffer_of = {}
        used = {i for _, _, inputs, _ in self.steps for i in inputs}
        for name, value in constants.items():
            if name in used and name not in self.sizes:
                self.buffer_of[name] = f"c{len(self.buffer_of)}"
                self.register_buffer(self.buffer_of[name], value)

    def forward(self, x):
        values = {self.input: x}

        def get(name):
            if not name:
                return None
            return values[name] if name in values else getattr(self, self.buffer_of[name])

        for op, attrs, inputs, output in self.steps:
            if op == "Reshape":  # dimension 0 counts images, whatever the file says of it
                values[output] = values[inputs[0]].reshape([x.shape[0], *self.sizes[inputs[1]][1:]])
            elif op in ("Unsqueeze", "Squeeze"):
                axes = attrs.get("axes") or self.sizes[inputs[1]]
                y = values[inputs[0]]
                for axis in sorted(axes, reverse=op == "Squeeze"):
                    y = y.unsqueeze(axis) if op == "Unsqueeze" else y.squeeze(axis)
                values[output] = y
            else:
                values[output] = _OPS[op](*(get(i) for i in inputs), **attrs)
        return values[self.output]
