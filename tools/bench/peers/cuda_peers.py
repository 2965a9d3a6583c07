"""The workloads of advface-bench in PyTorch on a GPU: eager, and torch.compile with the whole run captured as a CUDA
graph; channels last; float32 (no TF32) and bf16. Prints one JSON object, or keeps it in --out, whole after every row; a
contender that fails says why in it."""

import argparse
import json
import os
import statistics
import sys

ALPHA, EPSILON = 0.005, 0.02


def captured(torch, run):
    """The run as a CUDA graph, after it has settled on a stream of its own."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(5):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def training_step(torch, models, batch, dtype, compile_):
    net = models.Decoder().to(memory_format=torch.channels_last)
    z, target = torch.rand(batch, 512), torch.rand(batch, 3, 112, 112)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True, capturable=True)

    def distance(z, target):
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            y = net(z)
        return torch.nn.functional.l1_loss(y.float(), target)
    loss = compile_(distance)

    def run():
        adam.zero_grad(set_to_none=False)
        loss(z, target).backward()
        adam.step()
    run()
    return run


def pgd(torch, net, z, normalise, dtype, compile_):
    net.eval().requires_grad_(False).to(dtype=dtype, memory_format=torch.channels_last)
    z = z.to(memory_format=torch.channels_last) if z.dim() == 4 else z

    def distance(z, d, base):
        u = z + d
        u = torch.nn.functional.normalize(u) if normalise else u
        return (net(u.to(dtype)).float() - base).square().sum()
    loss = compile_(distance)
    step = compile_(lambda d, g: (d + ALPHA * g.sign()).clamp(-EPSILON, EPSILON))
    with torch.no_grad():
        base = net(z.to(dtype)).float()
    d = (EPSILON * (2 * torch.rand_like(z) - 1)).requires_grad_(True)  # along z it would be normalised away

    def run():
        (g,) = torch.autograd.grad(loss(z, d, base), d)
        with torch.no_grad():
            d.copy_(step(d, g))
    return run


def forward(torch, net, x, dtype, compile_):
    net.eval().requires_grad_(False).to(dtype=dtype, memory_format=torch.channels_last)
    x = x.to(dtype=dtype, memory_format=torch.channels_last)
    f = compile_(net)

    def run():
        with torch.no_grad():
            f(x)
    return run


def build(torch, models, workload, batch, dtype, compile_, onnx):
    if workload == "W1":
        return training_step(torch, models, batch, dtype, compile_)
    if workload == "W2":
        z = torch.nn.functional.normalize(torch.randn(batch, 512))
        return pgd(torch, models.Decoder(), z, True, dtype, compile_)
    if workload == "W5":
        return pgd(torch, models.MapDecoder(), torch.rand(batch, 64, 38, 38), False, dtype, compile_)
    from onnx_torch import OnnxModule
    return forward(torch, OnnxModule(onnx), torch.rand(batch, 3, 160, 160), dtype, compile_)


def measure(torch, run, repeat):
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeat):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(5):
            run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 5e3)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", default="W1,W2,W5", help="some of W1,W2,W3,W5; W3 needs --onnx")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--onnx", help="the network of W3")
    parser.add_argument("--out", help="a file for the result")
    args = parser.parse_args()
    import torch

    import models
    if not torch.cuda.is_available():
        sys.exit("cuda_peers.py: no CUDA device that PyTorch can use")
    torch.set_default_device("cuda")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    rows = []
    for workload in args.workloads.split(","):
        for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
            for peer in ("eager", "torch.compile + graph"):
                torch.manual_seed(1)
                torch._dynamo.reset()
                row = {"workload": workload, "batch": args.batch, "precision": name, "peer": peer}
                try:
                    run = build(torch, models, workload, args.batch, dtype,
                                (lambda f: f) if peer == "eager" else torch.compile, args.onnx)
                    seconds = measure(torch, run if peer == "eager" else captured(torch, run), args.repeat)
                    row.update(median_s=seconds, units_per_s=args.batch / seconds)
                except Exception as error:  # the others are still worth having
                    row["error"] = f"{type(error).__name__}: {error}"[:300]
                torch.cuda.empty_cache()
                rows.append(row)
                print(row, file=sys.stderr, flush=True)
                result = {"device": torch.cuda.get_device_name(0), "torch": torch.__version__, "rows": rows}
                if args.out:
                    with open(args.out + ".new", "w") as file:
                        json.dump(result, file, indent=1)
                    os.replace(args.out + ".new", args.out)
    if not args.out:
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
