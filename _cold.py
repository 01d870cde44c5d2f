import sys, time, os, tempfile
os.environ["NUMBA_CACHE_DIR"]=tempfile.mkdtemp()
import numpy as np
t0=time.process_time()
from benchmarks.engine_speed import make_jobs, play
print("import", time.process_time()-t0)
w=make_jobs(500,0.9)
for p in sys.argv[1].split(","):
    t=time.process_time(); play(w,p,1); print(p, "compile", round(time.process_time()-t,2))
