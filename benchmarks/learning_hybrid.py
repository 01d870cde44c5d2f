"""hybrid_ml and rl_agent against the other placements, on the default generator under contention.

    python -m benchmarks.learning_hybrid --tasks 5000 --seeds 10

hybrid_ml is fitted to the labels of one workload and judged on others, drawn with other seeds. The regret of
a task is its completion time over the oracle's, less 1; the table shows the regret of the mean and the mean regret. The
interval is that of the paired difference of the workloads' mean completion times, by a bootstrap over workloads.
rl_agent learns from scratch in each workload, and is compared over the last fifth of it.
"""

import json
from dataclasses import replace

import numpy as np

from benchmarks.project import described
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import workstation
from scheduler_sim.engine.generators import generate_workload
from scheduler_sim.engine.learning.evaluation import paired_interval
from scheduler_sim.engine.measuring.metrics import TaskFigures
from scheduler_sim.engine.policies.placements.hybrid_ml import hybrid_placement
from scheduler_sim.engine.predictors.hybrid import best_fractions, fit_fraction, hybrid_features
from scheduler_sim.engine.workloads.estimates import replace_estimates
from scheduler_sim.engine.workloads.workload import FloatArray

OTHERS = ("greedy", "round_robin", "random", "fcfs+list@cpu_only", "fcfs+list@gpu_only", "fcfs+list@eft")


def completion_times(policy: engine.Policy, workload: engine.Workload, seed: int) -> FloatArray:
    """Play a workload on the workstation and return every task's completion time."""
    simulation = engine.Simulation(workload=workload, cluster=workstation(), policy=policy, seed=seed)
    simulation.advance()
    return TaskFigures.of(workload, simulation.outcome()).job_completion_time


def main() -> None:
    """Fit, play and print."""
    parser = described(__doc__)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rate", type=float, default=100.0, help="mean arrivals a second")
    parser.add_argument("--algorithm", default="lightgbm")
    parser.add_argument(
        "--parameters",
        type=json.loads,
        default={},
        help="of the judged workloads as JSON, to make them unlike the other",
    )
    parser.add_argument("--estimates", default="trace", help="what policies are told of durations")
    parser.add_argument("--forget-sizes", action="store_true", help="of all workloads: the estimate stands in for them")
    options = parser.parse_args()

    def known(workload: engine.Workload, seed: int) -> engine.Workload:
        told = replace_estimates(workload, options.estimates, np.random.default_rng(seed))
        return replace(told, size=np.full(len(told), np.nan)) if options.forget_sizes else told

    learned_from = known(generate_workload("mixed", tasks=20_000, seed=1000).workload, 1000)
    columns = hybrid_features(
        size=learned_from.expected_size,
        compute_intensity=learned_from.compute_intensity,
        memory_mb=learned_from.memory_mb,
    )
    fraction, _ = best_fractions(learned_from, workstation())
    text = fit_fraction(options.algorithm, columns, fraction, seed=0)
    policies = {name: engine.parse_policy(name) for name in (*OTHERS, "oracle", "rl_agent", "hybrid_ml")}
    policies["hybrid_ml"] = replace(policies["hybrid_ml"], placement=hybrid_placement(text))
    times: dict[str, list[FloatArray]] = {name: [] for name in policies}
    for seed in range(options.seeds):
        parameters = {"rate": options.rate, **options.parameters}
        workload = known(
            generate_workload("mixed", tasks=options.tasks, seed=seed, parameters=parameters).workload, seed
        )
        for name, policy in policies.items():
            times[name].append(completion_times(policy, workload, seed))
    generator = np.random.default_rng(0)
    means = {name: np.array([values.mean() for values in played]) for name, played in times.items()}
    print(f"{options.seeds} workloads of {options.tasks} tasks at {options.rate:g}/s, mean completion time in s")
    for name, mean in sorted(means.items(), key=lambda item: item[1].mean()):
        regret = np.mean([(a / b - 1).mean() for a, b in zip(times[name], times["oracle"], strict=True)])
        low, high = paired_interval(means["hybrid_ml"] - mean, generator)
        of_mean = mean.mean() / means["oracle"].mean() - 1
        print(
            f"  {name:20s} {mean.mean():9.4f}  regret of the mean {100 * of_mean:9.2f}%  mean regret "
            f"{100 * regret:9.2f}%  hybrid_ml less this [{low:+.4f}, {high:+.4f}]"
        )
    last = slice(options.tasks - options.tasks // 5, None)
    print(f"rl_agent from scratch, last {options.tasks // 5} tasks of each workload")
    for seed in range(options.seeds):
        shown = "  ".join(f"{name} {times[name][seed][last].mean():8.4f}" for name in ("rl_agent", "greedy", "oracle"))
        print(f"  seed {seed}: {shown}")


if __name__ == "__main__":
    main()
