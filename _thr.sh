.venv/bin/python manage.py runsimulation --workload bench --policies fcfs,fcfs+easy,sjf,sjf+easy,wfp3,wfp3+easy,f1,f1+easy -v0 >/dev/null 2>/tmp/err.txt &
pid=$!
while kill -0 $pid 2>/dev/null; do (for t in /proc/$pid/task/*; do echo "$(cat $t/comm 2>/dev/null | tr ' ' '_') $(awk '{print $14+$15}' $t/stat 2>/dev/null)"; done) > /tmp/thr.new 2>/dev/null; [ -s /tmp/thr.new ] && cp /tmp/thr.new /tmp/thr.last; sleep 0.2; done
sort -k2 -n -r /tmp/thr.last | head -8; tail -2 /tmp/err.txt
