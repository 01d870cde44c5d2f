import sys, statistics
from benchmarks.engine_speed import make_jobs, play, run_yardstick, build_yardstick, YARDSTICK
from pathlib import Path
import tempfile
n=int(sys.argv[2]) if len(sys.argv)>2 else 300000
loads=[float(x) for x in (sys.argv[3] if len(sys.argv)>3 else "0.7,0.95").split(",")]
for load in loads:
    w=make_jobs(n,load)
    for p in sys.argv[1].split(","):
        play(make_jobs(500,0.9),p,1)
        s,sim=play(w,p,3)
        print(load,p,round(n/s/1e6,3), "sum", repr(sim.outcome().start_time.sum()), flush=True)
