"""A policy as a program: shortest first with EASY backfilling on one node, as `sjf+easy`.

It needs nothing but Python, and could be of any language: it reads lines of JSON and answers some of them
(docs/library.md, "A program"). Try it: python -m scheduler_sim.engine.check --policy-program
'python3 examples/shortest_first_with_easy.py' --like sjf+easy
"""

import json
import sys


def decide(now: float, free: float, waiting: dict, running: dict) -> list[int]:
    """Return the ids of the tasks that start; `running` has (expected end, cores) by id."""
    queue = sorted(waiting.values(), key=lambda task: (task["estimate"], task["arrival_time"], task["id"]))
    ends = [(max(end, now), cores) for end, cores in running.values()]
    starts = []

    def start(task: dict) -> None:
        ends.append((now + task["estimate"], task["cpus"]))
        starts.append(task["id"])

    while queue and queue[0]["cpus"] <= free:
        free -= queue[0]["cpus"]
        start(queue.pop(0))
    if not queue:
        return starts
    # The head starts at the shadow time; what it leaves over then is extra.
    head, extra, shadow = queue.pop(0), free, now
    for end, cores in sorted(ends):
        if extra >= head["cpus"] and end > shadow:
            break
        extra, shadow = extra + cores, end
    extra -= head["cpus"]
    for task in queue:
        in_time = now + task["estimate"] <= shadow
        if task["cpus"] <= (free if in_time else min(free, extra)):
            free -= task["cpus"]
            extra -= 0 if in_time else task["cpus"]
            start(task)
    return starts


def main() -> None:
    """Answer line by line, until there are no more."""
    waiting: dict = {}
    running: dict = {}
    cores: dict = {}
    free = 0.0
    for line in sys.stdin:
        message = json.loads(line)
        answer: dict = {}
        if message["type"] == "hello":
            answer = {"protocol": 1, "name": "program_sjf_easy", "clairvoyant": False}
        elif message["type"] == "begin":
            free = message["nodes"][0]["cores"]
            continue
        elif message["type"] == "decide":
            for task, _, end in message["started"]:
                running[task] = (end, cores[task])
            for task in message["ended"]:
                del running[task]
            if message["free"]:
                free = message["free"][0][1]
            for task in message["arrived"]:
                waiting[task["id"]], cores[task["id"]] = task, task["cpus"]
            answer = {"start": decide(message["time"], free, waiting, running)}
            for task in answer["start"]:
                del waiting[task]
        else:
            break
        # What is not flushed never arrives.
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
