"""Small random ONNX graphs with the outputs that onnxruntime computes, kept in one safetensors file: <case>.model (the
file's bytes), <case>.in.<name>, <case>.out.<name>. Needs numpy, onnx, onnxruntime and safetensors."""
from pathlib import Path

import numpy as np
import onnx  # noqa: F401  (helper and numpy_helper are its parts)
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file


def i64(*values):
    return np.array(values, np.int64)


def node(op, inputs, outputs="y", **attributes):
    """inputs: names separated by blanks; "-" is one that is absent."""
    names = [n if n != "-" else "" for n in inputs.split()]
    return helper.make_node(op, names, outputs.split(), name=f"{op}_{outputs.split()[0]}", **attributes)


class Cases:
    def __init__(self, seed, ir_version=7):
        self.rng = np.random.default_rng(seed)
        self.ir_version = ir_version
        self.saved = {}

    def f32(self, *shape):
        return self.rng.standard_normal(shape).astype(np.float32)

    def case(self, name, nodes, x, constants=None, opset=13, outputs="y", fixed=False, typed=False, open_size=False):
        """x: array or {name: array}; dimension 0 is the batch. fixed: the file says batch 1, rows are run one by one.
        typed: initialisers hold typed fields and not raw bytes. open_size: the file leaves height and width open."""
        feeds = x if isinstance(x, dict) else {"x": x}
        constants = constants or {}
        nodes = nodes if isinstance(nodes, list) else [nodes]

        def dims(value):
            rest = [*value.shape[1:2], "h", "w"] if open_size else value.shape[1:]
            return [1 if fixed else "N", *rest]
        infos = [helper.make_tensor_value_info(k, TensorProto.FLOAT, dims(v)) for k, v in feeds.items()]
        outs = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs.split()]

        def initialiser(key, value):
            if typed:
                kind = helper.np_dtype_to_tensor_dtype(value.dtype)
                return helper.make_tensor(key, kind, value.shape, value.flatten().tolist())
            return numpy_helper.from_array(np.asarray(value, order="C"), key)
        graph = helper.make_graph(nodes, name, infos, outs, [initialiser(k, v) for k, v in constants.items()])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=self.ir_version)
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        names = outputs.split()
        if fixed:
            rows = [session.run(names, {k: v[i:i + 1] for k, v in feeds.items()}) for i in range(len(x))]
            results = [np.concatenate(r) for r in zip(*rows)]
        else:
            results = session.run(names, feeds)
        assert all(np.isfinite(r).all() for r in results), name
        assert f"{name}.model" not in self.saved, name
        self.saved[f"{name}.model"] = np.frombuffer(model.SerializeToString(), np.uint8)
        for k, v in feeds.items():
            self.saved[f"{name}.in.{k}"] = v
        for k, v in zip(names, results):
            self.saved[f"{name}.out.{k}"] = np.ascontiguousarray(v)

    def save(self, path: Path):
        save_file(self.saved, path)
        count = len([k for k in self.saved if k.endswith(".model")])
        print(count, "cases,", path.stat().st_size, "bytes")
