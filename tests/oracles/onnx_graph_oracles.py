"""Writes onnx_graphs.safetensors: the ops that exported recognisers are made of, in opsets 9 to 20, alone, in the
blocks of such networks, and in random graphs.

    python tests/oracles/onnx_graph_oracles.py        (from any folder; needs what onnx_case.py needs)
"""
from pathlib import Path

import numpy as np
from onnx import TensorProto, numpy_helper

from onnx_case import Cases, i64, node

cases = Cases(20232, ir_version=9)
f32, case, rng = cases.f32, cases.case, cases.rng
four = f32(2, 3, 4, 6)
image = f32(2, 4, 9, 8)


def number(value):
    return np.float32(value)


def const(name, value):
    return node("Constant", "", name, value=numpy_helper.from_array(np.asarray(value)))


# Element by element
for op in ("Neg", "Erf", "Softplus", "HardSwish"):
    case(op.lower(), node(op, "x"), four, opset=14)
case("reciprocal", node("Reciprocal", "x"), np.abs(four) + 0.3)
case("hard_sigmoid", [node("HardSigmoid", "x", "a"), node("HardSigmoid", "a", alpha=0.3, beta=0.1)], four)
case("elu", [node("Elu", "x", "a", alpha=0.7), node("Elu", "a")], four)
case("gelu", node("Gelu", "x"), four, opset=20)
case("gelu_tanh", node("Gelu", "x", approximate="tanh"), four, opset=20)
case("gelu_pieces", [node("Div", "x s", "a"), node("Erf", "a", "b"), node("Add", "b o", "c"), node("Mul", "x c", "d"),
                     node("Mul", "d h")], four, {"s": number(2 ** 0.5), "o": number(1), "h": number(0.5)})
case("sum", node("Sum", "x c x"), four, {"c": f32(3, 1, 1)})
for op in ("Max", "Min"):
    case(f"{op.lower()}_tensors", node(op, "x c x z"), {"x": four, "z": f32(2, 3, 4, 6)}, {"c": f32(1, 3, 1, 6)})
    case(f"{op.lower()}_number", node(op, "c x"), four, {"c": number(0.2)})
for opset in (12, 13):
    case(f"clip_computed_{opset}", [const("a", number(-0.5)), const("b", number(0.25)), node("Add", "a b", "lo"),
                                    node("Clip", "x lo b")], four, opset=opset)

# Sums over dimensions
for opset, axes in ((9, {"axes": [2, 3]}), (13, {"axes": [-1]}), (18, {})):
    for op in ("ReduceL2", "ReduceL1", "ReduceSumSquare", "ReduceMax", "ReduceMin", "ReduceMean"):
        extra = {"a": i64(1, 3)} if opset == 18 else {}
        case(f"{op.lower()}_{opset}", node(op, "x a" if extra else "x", keepdims=opset % 2, **axes), four, extra,
             opset=opset)
case("reduce_max_channels", node("ReduceMax", "x", axes=[1], keepdims=0), four)
case("reduce_nothing_18", node("ReduceMean", "x a", noop_with_empty_axes=1), four, {"a": i64()}, opset=18)
case("global_max_pool", node("GlobalMaxPool", "x"), image)
case("softmax_9", node("Softmax", "x"), four, opset=9)
case("softmax_11", node("Softmax", "x", axis=2), four, opset=11)
case("softmax_13", [node("Softmax", "x", "a"), node("Softmax", "a", axis=1)], 5 * four)
norm = {"g": f32(6), "b": f32(6)}
case("layer_norm", node("LayerNormalization", "x g b", epsilon=1e-4), four, norm, opset=17)
case("layer_norm_axis", node("LayerNormalization", "x g", axis=2), four, {"g": f32(4, 6)}, opset=17)
case("layer_norm_pieces",
     [node("ReduceMean", "x", "m", axes=[-1]), node("Sub", "x m", "d"), node("Pow", "d two", "q"),
      node("ReduceMean", "q", "v", axes=[-1]), node("Add", "v e", "w"), node("Sqrt", "w", "s"), node("Div", "d s", "n"),
      node("Mul", "n g", "h"), node("Add", "h b")], four, {"two": number(2), "e": number(1e-5), **norm})
case("instance_norm", node("InstanceNormalization", "x g b", epsilon=1e-3), four, {"g": f32(3), "b": f32(3)})

# Products of stacks
case("matmul_stacks", node("MatMul", "x z"), {"x": f32(2, 3, 4, 5), "z": f32(2, 3, 5, 7)})
case("matmul_broadcast", node("MatMul", "x w"), f32(2, 3, 4, 5), {"w": f32(3, 5, 2)})
case("matmul_left", node("MatMul", "w x"), f32(2, 5, 3), {"w": f32(4, 5)})
case("matmul_vector", node("MatMul", "x w"), f32(2, 4, 5), {"w": f32(5)})
case("matmul_row", node("MatMul", "w x"), f32(2, 5, 3), {"w": f32(5)})

# Picking, surrounding, repeating
case("split_9", [node("Split", "x", "a b", axis=1, split=[1, 2]), node("ReduceSum", "a", "s", axes=[1]),
                 node("Mul", "b s")], four, opset=9)
case("split_13", [node("Split", "x n", "a b c", axis=-1), node("Concat", "c a b", axis=3)], four, {"n": i64(1, 3, 2)})
case("split_equal", [node("Split", "x", "a b", axis=1), node("Sub", "a b")], image)
case("split_18", [node("Split", "x", "a b", axis=2, num_outputs=2), node("Concat", "b a", axis=2)], image, opset=18)
case("gather_one", node("Gather", "x i", axis=1), four, {"i": i64(-1)[0]})
case("gather_list", node("Gather", "x i", axis=3), four, {"i": i64(5, 0, 1, 2, 2, -3)})
case("gather_table", node("Gather", "x i", axis=2), f32(2, 3, 5), {"i": i64(4, 0, 1, 1).reshape(2, 2)})
case("slice_steps", node("Slice", "x b e a s"), image, {"b": i64(0, 1), "e": i64(9, 100), "a": i64(2, 3), "s": i64(2, 3)})
case("slice_reversed", node("Slice", "x b e a s"), image,
     {"b": i64(-1, 7), "e": i64(np.iinfo(np.int64).min, 1), "a": i64(1, 3), "s": i64(-1, -2)}, opset=10)
case("focus", [node("Slice", "x b0 e a s", "p"), node("Slice", "x b1 e a s", "q"), node("Concat", "p q", axis=1)],
     f32(2, 3, 8, 6), {"b0": i64(0, 0), "b1": i64(1, 1), "e": i64(8, 6), "a": i64(2, 3), "s": i64(2, 2)})
for mode in ("reflect", "edge", "constant"):
    case(f"pad_{mode}", node("Pad", "x p", mode=mode), four, {"p": i64(0, 0, 2, 1, 0, 0, 1, 3)})
    case(f"pad_{mode}_9", node("Pad", "x", mode=mode, pads=[0, 0, 0, 3, 0, 0, 1, 0]), four, opset=9)
case("pad_negative", node("Pad", "x p v"), four, {"p": i64(0, 1, -1, 2, 0, 0, 1, -2), "v": number(-0.5)})
case("pad_axes_18", node("Pad", "x p - a"), four, {"p": i64(1, 2, 3, 0), "a": i64(3, -2)}, opset=18)
case("expand", [node("ReduceMean", "x", "m", axes=[2, 3]), node("Expand", "m s", "e"), node("Sub", "x e")], four,
     {"s": i64(1, 1, 4, 6)})
case("tile", node("Tile", "x r"), four, {"r": i64(1, 2, 1, 3)})

# Layers whose meaning depends on the opset
for opset in range(9, 19):
    w = {"w": f32(4, 3, 3, 3), "s": f32(4, 1, 1), "g": f32(4), "b": f32(4), "m": f32(4), "v": np.abs(f32(4)) + 0.2,
         "f": f32(5, 4), "h": f32(5)}
    squeeze = node("Squeeze", "p", "q", axes=[2, 3]) if opset < 13 else node("Squeeze", "p a", "q")
    if opset >= 13:
        w["a"] = i64(2, 3)
    dropout = node("Dropout", "q", "d", ratio=0.4) if opset < 12 else node("Dropout", "q", "d")
    case(f"block_{opset}",
         [node("Conv", "x w", "c", strides=[2, 1], pads=[1, 1, 1, 1]), node("BatchNormalization", "c g b m v", "n"),
          node("PRelu", "n s", "r"), node("AveragePool", "r", "o", kernel_shape=[2, 3], pads=[0, 1, 0, 1]),
          node("GlobalAveragePool", "o", "p"), squeeze, dropout, node("Gemm", "d f h", "y", transB=1)],
         four, w, opset=opset)
    if opset >= 11:
        case(f"resize_{opset}", node("Resize", "x none s", mode="linear", coordinate_transformation_mode="half_pixel"),
             f32(2, 2, 3, 4), {"none": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 2], np.float32)}, opset=opset)

# Shapes that the graph computes
flat = [node("Shape", "x", "s"), const("zero", i64(0)[0]), node("Gather", "s zero", "n", axis=0)]
case("shape_flatten", flat + [node("Unsqueeze", "n a", "u"), const("rest", i64(-1)), node("Concat", "u rest", "t", axis=0),
                              node("Reshape", "x t")], four, {"a": i64(0)})
case("shape_flatten_11", flat + [node("Unsqueeze", "n", "u", axes=[0]), node("Concat", "u rest", "t", axis=0),
                                 node("Reshape", "x t")], four, {"rest": i64(-1)}, opset=11)
case("shape_15", [node("Shape", "x", "s", start=-2), node("ReduceMean", "x", "m", axes=[2, 3]),
                  node("Concat", "o s", "t", axis=0), node("Expand", "m t")], four, {"o": i64(1, 1)}, opset=15)
halves = [node("Shape", "x", "s"), node("Slice", "s two end", "hw"), node("Cast", "hw", "f", to=TensorProto.FLOAT),
          node("Mul", "f k", "g"), node("Floor", "g", "h"), node("Cast", "h", "i", to=TensorProto.INT64),
          node("Slice", "s zero two", "nc"), node("Concat", "nc i", "size", axis=0),
          node("Resize", "x none none size", mode="linear", coordinate_transformation_mode="align_corners")]
given = {"two": i64(2), "end": i64(4), "zero": i64(0), "k": number(1.5), "none": np.zeros(0, np.float32)}
case("shape_upsample", halves, four, given)
case("shape_upsample_open", halves, four, given, open_size=True)
case("shape_arithmetic",
     [node("Shape", "x", "s"), node("Gather", "s one", "c"), node("Gather", "s two", "h"), node("Gather", "s three", "w"),
      node("Mul", "h w", "hw"), node("Div", "c minus", "d"), node("Sub", "zero d", "c2"), node("Max", "c2 one1", "c3"),
      node("Concat", "keep c3 hw", "t0", axis=0), node("Concat", "t0 rest", "t", axis=0), node("Reshape", "x t")],
     image, {"one": i64(1), "two": i64(2), "three": i64(3), "minus": i64(-3), "zero": i64(0), "one1": i64(1),
             "keep": i64(0), "rest": i64(-1)})
case("shape_where", [node("ConstantOfShape", "four4", "ones", value=numpy_helper.from_array(i64(1))),
                     node("Equal", "want minus", "free"), node("Where", "free ones want", "t"),
                     node("ReduceMean", "x", "m", axes=[2, 3]), node("Expand", "m t")], four,
     {"four4": i64(4), "want": i64(-1, -1, 4, 6), "minus": i64(-1)})
case("shape_range", [node("Shape", "x", "s"), node("Gather", "s three", "w"), node("Range", "zero w one", "r"),
                     node("Cast", "r", "f", to=TensorProto.FLOAT), node("Mul", "x f")], four,
     {"three": i64(3)[0], "zero": i64(0)[0], "one": i64(1)[0]})
case("size", [node("Size", "w", "n"), node("Cast", "n", "f", to=TensorProto.FLOAT), node("Div", "x f")], four,
     {"w": f32(3, 2)})

# Blocks of recognisers
bn = {f"{k}{i}": v for i in range(3) for k, v in
      (("g", f32(4)), ("b", f32(4)), ("m", f32(4)), ("v", np.abs(f32(4)) + 0.2))}
case("iresnet", [node("BatchNormalization", "x g0 b0 m0 v0", "a"), node("Conv", "a w", "c", pads=[1, 1, 1, 1]),
                 node("BatchNormalization", "c g1 b1 m1 v1", "d"), node("PRelu", "d s", "e"),
                 node("Conv", "e w2", "f", pads=[1, 1, 1, 1], strides=[2, 2]),
                 node("BatchNormalization", "f g2 b2 m2 v2", "h"), node("Conv", "x down", "i", strides=[2, 2]),
                 node("Add", "h i", "j"), node("Flatten", "j", "k"), node("Gemm", "k fc fb", "y", transB=1)],
     image, {**bn, "w": f32(4, 4, 3, 3), "w2": f32(4, 4, 3, 3), "down": f32(4, 4, 1, 1), "s": f32(4, 1, 1),
             "fc": f32(6, 80), "fb": f32(6)}, opset=11)
case("sface", [node("Sub", "x mean", "a"), node("Mul", "a scale", "b"), node("Conv", "b w", "c", pads=[1, 1, 1, 1]),
               node("PRelu", "c s", "d"), node("Conv", "d w2", "e", group=4, pads=[1, 1, 1, 1]), node("Identity", "e", "f"),
               node("Dropout", "f", "g"), node("Reshape", "g t", "h"), node("Transpose", "p", "q", perm=[1, 0]),
               node("MatMul", "h q", "y")],
     f32(2, 3, 5, 5), {"mean": number(0.1), "scale": number(0.5), "w": f32(4, 3, 3, 3), "s": f32(4, 1, 1),
                       "w2": f32(4, 1, 3, 3), "t": i64(0, -1), "p": f32(6, 100)}, opset=12)
case("inception", [node("Conv", "x w1", "a"), node("Conv", "x w3", "b", pads=[1, 1, 1, 1]),
                   node("AveragePool", "x", "c0", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=0),
                   node("Conv", "c0 w1", "c"), node("MaxPool", "x", "d", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
                   node("Concat", "a b c d", "e", axis=1), node("Mul", "e k", "f"), node("ReduceMean", "f", "g", axes=[2, 3],
                                                                                         keepdims=0),
                   node("ReduceL2", "g", "n", axes=[1]), node("Clip", "n tiny", "n2"), node("Shape", "g", "s"),
                   node("Expand", "n2 s", "n3"), node("Div", "g n3")],
     image, {"w1": f32(3, 4, 1, 1), "w3": f32(3, 4, 3, 3), "k": number(0.17), "tiny": number(1e-12)})
# Attention over positions, and over channels as in EdgeNeXt: queries and keys are normalised, heads are split.
attention = [node("LayerNormalization", "x g b", "n"), node("MatMul", "n wqkv", "qkv0"), node("Add", "qkv0 bqkv", "qkv"),
             node("Reshape", "qkv heads", "r"), node("Transpose", "r", "t", perm=[2, 0, 3, 1, 4]),
             node("Split", "t", "q0 k0 v0", axis=0)]
attention += [node("Squeeze", f"{n}0 a0", n) for n in "qkv"]
tail = [node("Transpose", "z", "zt", perm=[0, 2, 1, 3]), node("Reshape", "zt back", "o"), node("MatMul", "o wo", "p"),
        node("Add", "p x", "y")]
weights = {"g": f32(8), "b": f32(8), "wqkv": f32(8, 24), "bqkv": f32(24), "heads": i64(0, 6, 3, 2, 4), "a0": i64(0),
           "back": i64(0, 6, 8), "wo": f32(8, 8), "k": number(0.5)}
case("attention", attention + [node("Transpose", "k", "kt", perm=[0, 1, 3, 2]), node("MatMul", "q kt", "s"),
                               node("Mul", "s scale", "s2"), node("Softmax", "s2", "w", axis=-1), node("MatMul", "w v", "z")]
     + tail, f32(2, 6, 8), {**{k: v for k, v in weights.items() if k != "k"}, "scale": number(0.5)}, opset=17)


def unit(name):
    return [node("Transpose", name, f"{name}_t", perm=[0, 1, 3, 2]), node("ReduceL2", f"{name}_t", f"{name}_n", axes=[-1]),
            node("Clip", f"{name}_n eps", f"{name}_c"), node("Shape", f"{name}_t", f"{name}_s"),
            node("Expand", f"{name}_c {name}_s", f"{name}_e"), node("Div", f"{name}_t {name}_e", f"{name}_u")]


case("channel_attention",
     attention + unit("q") + unit("k")
     + [node("Transpose", "k_u", "kt", perm=[0, 1, 3, 2]), node("MatMul", "q_u kt", "s"), node("Mul", "s temperature", "s2"),
        node("Softmax", "s2", "w", axis=-1), node("Transpose", "v", "vt", perm=[0, 1, 3, 2]), node("MatMul", "w vt", "z0"),
        node("Transpose", "z0", "z", perm=[0, 1, 3, 2])] + tail,
     f32(2, 6, 8), {**{k: v for k, v in weights.items() if k != "k"}, "temperature": f32(2, 1, 1), "eps": number(1e-12)},
     opset=17)
case("edgenext", [node("Split", "x", "p q", axis=1, num_outputs=2), node("Conv", "p wd", "p1", group=2, pads=[1, 1, 1, 1]),
                  node("Add", "q p1", "q1"), node("Concat", "p1 q1", "c", axis=1),
                  node("Transpose", "c", "t", perm=[0, 2, 3, 1]), node("LayerNormalization", "t g b", "n", epsilon=1e-6),
                  node("MatMul", "n w1", "h0"), node("Gelu", "h0", "h"), node("MatMul", "h w2", "o"), node("Mul", "gamma o", "s"),
                  node("Transpose", "s", "u", perm=[0, 3, 1, 2]), node("Add", "x u", "y")],
     f32(2, 4, 5, 6), {"wd": f32(2, 1, 3, 3), "g": f32(4), "b": f32(4), "w1": f32(4, 8), "w2": f32(8, 4), "gamma": f32(4)},
     opset=20)


# Random graphs: every step takes any earlier values of the one shape.
def random_graph(seed, opset):
    draw = np.random.default_rng(seed)
    values, nodes, constants = ["x"], [], {}

    def add(op, inputs, **attributes):
        values.append(f"v{len(nodes)}")
        nodes.append(node(op, inputs, values[-1], **attributes))

    def weight(array):
        constants[f"c{len(constants)}"] = array
        return f"c{len(constants) - 1}"

    def f(*shape):
        return (0.5 * draw.standard_normal(shape)).astype(np.float32)
    for _ in range(12):
        a, b = draw.choice(values), draw.choice(values)
        kind = draw.integers(12)
        if kind == 0:
            add(draw.choice(["Relu", "Sigmoid", "Tanh", "Erf", "Softplus", "HardSigmoid", "LeakyRelu", "Elu"]), a)
        elif kind == 1:
            add(draw.choice(["Add", "Sub", "Mul", "Max", "Min"]), f"{a} {b}")
        elif kind == 2:
            add("Conv", f"{a} {weight(f(4, 4, 3, 3))} {weight(f(4))}", pads=[1, 1, 1, 1])
        elif kind == 3:
            add("Conv", f"{a} {weight(f(4, 2, 1, 3))}", pads=[0, 1, 0, 1], group=2)
        elif kind == 4:
            add(draw.choice(["MaxPool", "AveragePool"]), a, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        elif kind == 5:
            axis = int(draw.integers(1, 4)) if opset >= 13 else 3
            add("Softmax", a, axis=axis)
        elif kind == 6:
            add("MatMul", f"{a} {weight(f(6, 6))}")
        elif kind == 7:
            add("ReduceMean", *([f"{a} {weight(i64(-1))}"] if opset >= 18 else [a]), **({} if opset >= 18 else {"axes": [-1]}))
            add("Sub", f"{b} {values[-1]}")
            del values[-2]
        elif kind == 8:
            add("Transpose", a, perm=[0, 1, 3, 2])
            add("MatMul", f"{values[-1]} {b}")
            add("Softmax", values[-1], axis=3)
            add("MatMul", f"{a} {values[-1]}")
            del values[-4:-1]
        elif kind == 9:
            order = [int(i) for i in draw.permutation(4)]
            add("Gather", f"{a} {weight(i64(*order))}", axis=1)
        elif kind == 10:
            pads = i64(0, 0, 1, 0, 0, 0, 0, 0)
            add("Pad", f"{a} {weight(pads)}", mode=str(draw.choice(["reflect", "edge", "constant"])))
            add("Slice", f"{values[-1]} {weight(i64(0))} {weight(i64(5))} {weight(i64(2))}")
            del values[-2]
        else:
            add("Shape", a)
            add("Reshape", f"{b} {weight(i64(0, -1))}")
            add("Reshape", f"{values[-1]} {values[-2]}")
            del values[-3:-1]
    nodes.append(node("Tanh", values[-1], "y"))
    case(f"random_{opset}_{seed}", nodes, f32(2, 4, 5, 6), constants, opset=opset)


for seed in range(24):
    random_graph(seed, 11 + seed % 8)

cases.save(Path(__file__).parent / "onnx_graphs.safetensors")
