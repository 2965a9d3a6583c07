"""One contender of one workload, in a process of its own: prepares, prints the seconds of a run, then for every line
"N" on its input measures N times and prints the seconds of one run each as a JSON list."""

import argparse
import json
import sys
import time


def maker(args):
    if args.peer == "onnxruntime":
        import models
        return models.onnx_session(args.onnx, args.batch, args.threads)
    import torch
    torch.manual_seed(1)
    torch.set_num_threads(args.threads)
    torch.set_num_interop_threads(1)
    import models
    compile_ = torch.compile if args.peer == "torch.compile" else lambda f: f
    if args.workload == "W1":
        return models.training_step(compile_)
    if args.workload == "W2":
        return models.pgd(compile_)
    if args.workload == "W5":
        return models.map_pgd(compile_)
    if args.workload == "W10":
        return models.image_gradient(args.onnx, args.batch, compile_)
    if args.workload == "W11":
        return models.identity_training(args.onnx, args.batch, compile_)
    return models.forward(args.onnx, args.batch, 160 if args.workload == "W3" else 112, compile_)


def in_bf16(run):
    import torch

    def run_in_bf16():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return run()
    return run_in_bf16


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["eager", "torch.compile", "onnxruntime"])
    parser.add_argument("workload", choices=["W1", "W2", "W3", "W4", "W5", "W10", "W11"])
    parser.add_argument("--batch", type=int, default=1, help="of W3, W4, W10 and W11")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--onnx", help="the network of W3, W4, W10 or W11")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32", help="bf16: PyTorch's autocast")
    args = parser.parse_args()
    run = maker(args)
    if args.precision == "bf16":
        run = in_bf16(run)
    for _ in range(3):  # compiles, and settles
        run()
    start = time.perf_counter()
    run()
    took = max(time.perf_counter() - start, 1e-7)
    calls = max(1, min(1000, int(0.02 / took)))
    print(took, flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            for _ in range(calls):
                run()
            times.append((time.perf_counter() - start) / calls)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
