"""Writes onnx_ops.safetensors: small random ONNX graphs, one per case and supported op, with inputs and the outputs
that onnxruntime computes. Tensors: <case>.model (the file's bytes), <case>.in.<name>, <case>.out.<name>.

    python tests/oracles/onnx_oracles.py        (from any folder; needs numpy, onnx, onnxruntime and safetensors)
"""
from pathlib import Path

import numpy as np
from onnx import TensorProto, numpy_helper

from onnx_case import Cases, i64, node

cases = Cases(20231)
rng, f32, case = cases.rng, cases.f32, cases.case


# Convolutions and products
image = f32(2, 4, 9, 8)
case("conv", node("Conv", "x w b", pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2], kernel_shape=[3, 2]), image,
     {"w": f32(5, 4, 3, 2), "b": f32(5)})
case("conv_grouped", node("Conv", "x w", group=2), image, {"w": f32(6, 2, 3, 3)})
case("conv_depthwise", node("Conv", "x w b", group=4, pads=[1, 1, 1, 1]), image, {"w": f32(4, 1, 3, 3), "b": f32(4)})
for mode in ("SAME_UPPER", "SAME_LOWER", "VALID"):
    case(f"conv_{mode.lower()}", node("Conv", "x w", auto_pad=mode, strides=[2, 2]), image, {"w": f32(3, 4, 3, 2)})
case("conv_transpose", node("ConvTranspose", "x w b", strides=[2, 3], pads=[1, 0, 0, 1], output_padding=[1, 2]), image,
     {"w": f32(4, 3, 3, 4), "b": f32(3)})
case("conv_transpose_grouped", node("ConvTranspose", "x w", group=2, strides=[2, 2], dilations=[2, 1]), image,
     {"w": f32(4, 3, 2, 2)})
case("gemm", node("Gemm", "x w b", transB=1), f32(3, 5), {"w": f32(4, 5), "b": f32(4)})
case("gemm_scaled", node("Gemm", "x w b", alpha=0.5, beta=-2.0), f32(3, 5), {"w": f32(5, 4), "b": f32(1, 1)})
case("gemm_bare", node("Gemm", "x w"), f32(3, 5), {"w": f32(5, 4)})
case("matmul", node("MatMul", "x w"), f32(3, 5), {"w": f32(5, 4)})
case("matmul_stack", node("MatMul", "x w"), f32(3, 2, 5), {"w": f32(5, 4)})

# Arithmetic and activations
positive = np.abs(f32(2, 3, 4, 5)) + 0.2
four = f32(2, 3, 4, 5)
case("arithmetic", [node("Add", "x c", "a"), node("Sub", "a s", "b"), node("Mul", "b x", "d"), node("Div", "d p", "y")],
     four, {"c": f32(3, 1, 1), "s": np.float32(0.3), "p": positive[0, :1]})
case("arithmetic_opset7", [node("Add", "x c", "a"), node("Mul", "c a", "y")], four, {"c": f32(1, 3, 1, 5)}, opset=7)
for op in ("Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Identity"):
    case(op.lower(), node(op, "x"), four)
for op in ("Sqrt", "Log"):
    case(op.lower(), node(op, "x"), positive)
case("pow", node("Pow", "x e"), positive, {"e": np.float32(1.7)})
case("pow_int", node("Pow", "x e"), four, {"e": i64(2)})
case("leaky_relu", [node("LeakyRelu", "x", "a"), node("LeakyRelu", "a", "y", alpha=0.3)], four)
case("leaky_relu_negative", node("LeakyRelu", "x", alpha=-0.5), four)
case("prelu", node("PRelu", "x s"), four, {"s": f32(3, 1, 1)})
case("prelu_one", node("PRelu", "x s"), four, {"s": f32(1)})
case("prelu_last", node("PRelu", "x s"), four, {"s": f32(5)})
case("prelu_vector", node("PRelu", "x s"), f32(3, 6), {"s": f32(6)})
case("clip", node("Clip", "x a b"), four, {"a": np.float32(-0.5), "b": np.float32(0.7)})
case("clip_low", node("Clip", "x a"), four, {"a": np.float32(-0.2)})
case("clip_attributes", node("Clip", "x", min=-0.5, max=0.25), four, opset=9)
case("dropout", node("Dropout", "x", ratio=0.4), four, opset=10)
case("dropout_13", node("Dropout", "x r t"), four, {"r": np.float32(0.4), "t": np.array(False)})
case("cast_half_weights", [node("Cast", "h", "w", to=TensorProto.FLOAT), node("MatMul", "x w")], f32(3, 5),
     {"h": f32(5, 4).astype(np.float16)})
case("typed_fields", [node("Cast", "h", "hf", to=1), node("Cast", "d", "df", to=1), node("Reshape", "x s", "r"),
                      node("MatMul", "r hf", "m"), node("Add", "m df", "n"), node("Mul", "n f")], f32(3, 5, 1),
     {"h": f32(5, 4).astype(np.float16), "d": rng.standard_normal(4), "f": f32(4), "s": i64(0, -1)}, typed=True)
case("constants", [node("Constant", "", "a", value=numpy_helper.from_array(f32(3, 1, 1))),
                   node("Constant", "", "b", value_float=0.5), node("Mul", "x a", "m"), node("Add", "m b")], four)

# Normalisation
bn = {"g": f32(3), "b": f32(3), "m": f32(3), "v": np.abs(f32(3)) + 0.1}
case("batch_norm", node("BatchNormalization", "x g b m v", epsilon=1e-3, momentum=0.8), four, bn)
case("batch_norm_14", node("BatchNormalization", "x g b m v", training_mode=0), four, bn, opset=14)
case("batch_norm_vector", node("BatchNormalization", "x g b m v"), f32(4, 3), bn, opset=9)
case("lp_normalization", node("LpNormalization", "x", axis=1, p=2), f32(3, 6))
case("lp_normalization_channels", node("LpNormalization", "x", axis=1), four)
case("lp_normalization_last", node("LpNormalization", "x"), four)

# Pooling
case("max_pool", node("MaxPool", "x", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]), image)
case("max_pool_ceil", node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), f32(2, 3, 8, 10))
case("max_pool_same", node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"), image)
case("average_pool", node("AveragePool", "x", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]), image)
case("average_pool_counted", node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
     image)
case("global_average_pool", [node("GlobalAveragePool", "x", "g"), node("Flatten", "g")], image)

# Shapes
case("concat", [node("Relu", "x", "a"), node("Concat", "a x a", axis=-3)], four)
case("flatten", node("Flatten", "x", axis=2), four)
case("reshape", node("Reshape", "x s"), four, {"s": i64(0, -1, 5)})
case("reshape_batch_of_one", node("Reshape", "x s"), four, {"s": i64(1, -1)}, opset=9, fixed=True)
case("channel_shuffle", [node("Reshape", "x s", "a"), node("Transpose", "a", "b", perm=[0, 2, 1, 3, 4]),
                         node("Reshape", "b t")], image, {"s": i64(1, 2, 2, 9, 8), "t": i64(1, 4, 9, 8)}, fixed=True)
case("head", [node("Transpose", "x", "a", perm=[0, 2, 3, 1]), node("Reshape", "a s")], four, {"s": i64(1, -1, 1)},
     opset=11, fixed=True)
case("transpose", [node("Transpose", "x", "a", perm=[2, 0, 3, 1]), node("Transpose", "a")], four)
case("squeeze", [node("Unsqueeze", "x a", "u"), node("Squeeze", "u b")], four, {"a": i64(1), "b": i64(-4)})
case("squeeze_attributes", [node("Unsqueeze", "x", "u", axes=[2]), node("Squeeze", "u", "y", axes=[2])], four, opset=11)
case("squeeze_all", node("Squeeze", "x"), f32(3, 5, 1, 1))
case("reduce_mean", [node("ReduceMean", "x", "a", axes=[2, 3]), node("ReduceMean", "a", "y", axes=[-1], keepdims=0)],
     four)
case("reduce_mean_18", node("ReduceMean", "x a", keepdims=0), four, {"a": i64(1, -1)}, opset=18)
case("reduce_sum", node("ReduceSum", "x a"), four, {"a": i64(1, 3)})
case("slice", node("Slice", "x b e a"), image, {"b": i64(1, -5), "e": i64(1000, -1), "a": i64(2, 3)})
case("slice_attributes", node("Slice", "x", starts=[1, 0], ends=[3, 2], axes=[1, 2]), image, opset=9)
case("pad", node("Pad", "x p v"), four, {"p": i64(0, 1, 2, 0, 0, 0, 1, 3), "v": np.float32(0.5)})
case("pad_attributes", node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 3, 4], mode="constant"), four, opset=9)
case("upsample", node("Upsample", "x s"), four, {"s": np.array([1, 1, 2, 3], np.float32)}, opset=9)
case("resize_10", node("Resize", "x s", mode="linear"), four, {"s": np.array([1, 1, 2, 3], np.float32)}, opset=10)
factors = {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 2.5, 2], np.float32)}
for mode, where, rounding in (("nearest", "asymmetric", "floor"), ("nearest", "half_pixel", "round_prefer_floor"),
                              ("linear", "half_pixel", ""), ("linear", "align_corners", ""), ("linear", "asymmetric", ""),
                              ("linear", "pytorch_half_pixel", "")):
    extra = {"nearest_mode": rounding} if rounding else {}
    case(f"resize_{mode}_{where}", node("Resize", "x r s", mode=mode, coordinate_transformation_mode=where,
                                        cubic_coeff_a=-0.75, **extra), four, factors, opset=11)
case("resize_sizes", node("Resize", "x r e z", "y", mode="linear"), four[:1],
     {"r": np.zeros(0, np.float32), "e": np.zeros(0, np.float32), "z": i64(1, 3, 7, 3)}, opset=11)

# Two inputs, two outputs, a branch
case("branches", [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "r"), node("GlobalAveragePool", "r", "g"),
                  node("Sigmoid", "g", "a"), node("Mul", "r a", "m"), node("Add", "m x", "s"), node("Add", "s z", "y")],
     {"x": four, "z": f32(2, 3, 1, 1)}, {"w": f32(3, 3, 3, 3)}, outputs="y g")

cases.save(Path(__file__).parent / "onnx_ops.safetensors")
