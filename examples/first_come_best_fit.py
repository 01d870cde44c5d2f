"""A policy as a program: first come, first served, on the node with the fewest cores left, as `fcfs@best_fit`.

It needs nothing but Python and looks at cores alone. `shortest_first_with_easy.py` beside it says more.
"""

import json
import sys


def decide(waiting: dict, free: dict) -> list[list[int]]:
    """Return pairs of task and node, in order of arrival, until one fits nowhere."""
    starts = []
    for task in sorted(waiting.values(), key=lambda task: (task["arrival_time"], task["id"])):
        fitting = [(cores, node) for node, cores in free.items() if cores >= task["cpus"]]
        if not fitting:
            break
        cores, node = min(fitting)
        free[node] = cores - task["cpus"]
        starts.append([task["id"], node])
    return starts


def main() -> None:
    """Answer line by line, until there are no more."""
    waiting: dict = {}
    free: dict = {}
    for line in sys.stdin:
        message = json.loads(line)
        answer: dict = {}
        if message["type"] == "hello":
            answer = {"protocol": 1, "name": "program_fcfs_best_fit"}
        elif message["type"] == "begin":
            free = {number: node["cores"] for number, node in enumerate(message["nodes"])}
            continue
        elif message["type"] == "decide":
            for node, cores, _, _ in message["free"]:
                free[node] = cores
            for task in message["arrived"]:
                waiting[task["id"]] = task
            answer = {"start": decide(waiting, dict(free))}
            for task, _ in answer["start"]:
                del waiting[task]
        else:
            break
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
