#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times an epoch of implicit ALS in Poise, implicit and irspack on one file, in one run.

    ials_peers.py BENCH FILE [--dims 64,128] [--epochs 4] [--rounds 3] [--threads 2]

BENCH is the path of ials_bench; FILE comes from `BENCH generate FILE`. Needs a Python with numpy,
scipy, implicit and irspack (a virtual environment outside the tree; nothing of Poise needs it).

All minimise  sum_S (1 - x.y)^2 + a sum (x.y)^2 + l (sum |x|^2 + sum |y|^2), from normal vectors of
the same deviation. implicit's form of it weighs touched items c = (1 + a) / a, regularises with
l (1 + a) / a, and its vectors are sqrt(1 + a) times longer. The programs take turns; a figure is
the median over the rounds of the mean epoch. CPU seconds are printed beside wall-clock seconds,
because other work on the same machine moves the latter.
"""
import argparse
import json
import os
import statistics
import subprocess
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as implicit asks for; set before numpy is loaded

import numpy as np
import scipy.sparse as sparse

UNOBSERVED_WEIGHT = 0.1
REGULARIZATION = 5.0
INIT_SCALE = 0.1


def load(path):
    with open(path, "rb") as file:
        users, items, count = np.fromfile(file, np.uint64, 3).tolist()
        row_begin = np.fromfile(file, np.uint64, users + 1).astype(np.int32)
        columns = np.fromfile(file, np.uint32, count).astype(np.int32)
    ones = np.ones(count, np.float32)
    return sparse.csr_matrix((ones, columns, row_begin), shape=(users, items))


def objective(matrix, users, items):
    users = np.asarray(users, np.float64)
    items = np.asarray(items, np.float64)
    total = UNOBSERVED_WEIGHT * np.sum((users.T @ users) * (items.T @ items))
    total += REGULARIZATION * (np.sum(users**2) + np.sum(items**2))
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    for begin in range(0, matrix.nnz, 1 << 19):
        part = slice(begin, begin + (1 << 19))
        scores = np.einsum("nd,nd->n", users[rows[part]], items[matrix.indices[part]])
        total += np.sum((1 - scores) ** 2)
    return total


def run_poise(args, matrix, dim):
    done = subprocess.run(
        [args.bench, "run", args.file, str(dim), str(args.epochs), str(args.threads),
         f"unobserved_weight={UNOBSERVED_WEIGHT}", f"regularization={REGULARIZATION}",
         "frequency_exponent=0", f"init_scale={INIT_SCALE}"],
        check=True, capture_output=True, text=True)
    out = json.loads(done.stdout)
    return sum(out["seconds"]), sum(out["cpuSeconds"]), out["objectives"][-1]


def run_implicit(args, matrix, dim):
    from implicit.cpu.als import AlternatingLeastSquares

    lengthening = 1 + UNOBSERVED_WEIGHT
    weight = lengthening / UNOBSERVED_WEIGHT
    weighted = matrix * np.float32(weight)
    model = AlternatingLeastSquares(
        factors=dim, regularization=REGULARIZATION * weight, iterations=args.epochs,
        num_threads=args.threads, use_native=True, use_cg=True)
    rng = np.random.default_rng(42)
    deviation = INIT_SCALE / np.sqrt(dim) * np.sqrt(lengthening)
    model.user_factors = (deviation * rng.standard_normal((matrix.shape[0], dim))).astype("f4")
    model.item_factors = (deviation * rng.standard_normal((matrix.shape[1], dim))).astype("f4")
    seconds = []
    # The transposition that fit() does first is not counted: process time is taken from epoch to
    # epoch, and of the first epoch the CPU share is that of the others.
    cpu = [time.process_time()]

    def at_epoch(_iteration, elapsed, _loss):
        seconds.append(elapsed)
        cpu.append(time.process_time())

    model.fit(weighted, show_progress=False, callback=at_epoch)
    cpu_rest = cpu[-1] - cpu[1]
    cpu_total = cpu_rest / sum(seconds[1:]) * sum(seconds) if args.epochs > 1 else cpu[1] - cpu[0]
    scale = 1 / np.sqrt(lengthening)
    return sum(seconds), cpu_total, objective(
        matrix, model.user_factors * scale, model.item_factors * scale)


def run_irspack(args, matrix, dim):
    from irspack.recommenders.ials import IALSTrainer, LossType, SolverType

    trainer = IALSTrainer(
        matrix, n_components=dim, alpha0=UNOBSERVED_WEIGHT, reg=REGULARIZATION, nu=0.0,
        init_std=INIT_SCALE, solver_type=SolverType.CG, max_cg_steps=3,
        ialspp_subspace_dimension=64, loss_type=LossType.IALSPP, random_seed=42,
        n_threads=args.threads, prediction_time_max_cg_steps=5, prediction_time_ialspp_iteration=7)
    seconds = 0.0
    cpu = time.process_time()
    for _ in range(args.epochs):
        start = time.perf_counter()
        trainer.run_epoch()
        seconds += time.perf_counter() - start
    cpu = time.process_time() - cpu
    return seconds, cpu, objective(matrix, trainer.core_trainer.user, trainer.core_trainer.item)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench")
    parser.add_argument("file")
    parser.add_argument("--dims", default="64,128")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    matrix = load(args.file)
    programs = {"poise": run_poise, "implicit": run_implicit, "irspack": run_irspack}
    for dim in map(int, args.dims.split(",")):
        results = {name: [] for name in programs}
        for _ in range(args.rounds):
            for name, run in programs.items():
                results[name].append(run(args, matrix, dim))
        middle = {}
        for name, rounds in results.items():
            middle[name] = [statistics.median(r[k] for r in rounds) for k in range(3)]
            wall, cpu, loss = middle[name]
            print(f"d {dim:4}  {name:9} {wall / args.epochs:7.3f} s an epoch  "
                  f"{cpu / args.epochs:7.3f} CPU s  objective {loss:.6g}")
        for name in ("implicit", "irspack"):
            wall, cpu, loss = (middle["poise"][k] / middle[name][k] for k in range(3))
            print(f"d {dim:4}  poise / {name:9} time {wall:.3f}  CPU {cpu:.3f}  "
                  f"objective {loss:.5f}", flush=True)


if __name__ == "__main__":
    main()
