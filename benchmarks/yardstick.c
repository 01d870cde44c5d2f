/* The same algorithms in C, as the yardstick of the compiled Python: fcfs, sjf and fcfs+easy on one pool.
 *
 * cc -O3 -o yardstick yardstick.c && ./yardstick POLICY PROCESSORS REPEATS < jobs
 * jobs: int64 n, then n doubles of arrivals, n doubles of runtimes, n int64 of processors, sorted by arrival.
 * Prints the median seconds and the sum of the starts, which must equal the simulator's. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { double time; int64_t row; } entry;

static int64_t n, processors;
static double *arrival, *runtime_, *start;
static int64_t *cpus, *rank_of, *row_at, *queue;
static entry *running;
static int64_t *planned; /* rows by expected end, for EASY */

static int before(entry a, entry b) { return a.time < b.time || (a.time == b.time && a.row < b.row); }

static void push(int64_t size, entry e) {
    int64_t i = size;
    while (i > 0 && before(e, running[(i - 1) >> 1])) { running[i] = running[(i - 1) >> 1]; i = (i - 1) >> 1; }
    running[i] = e;
}

static void pop(int64_t last) {
    entry e = running[last];
    int64_t i = 0;
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= last) break;
        if (child + 1 < last && before(running[child + 1], running[child])) child++;
        if (!before(running[child], e)) break;
        running[i] = running[child];
        i = child;
    }
    running[i] = e;
}

static void queue_push(int64_t size, int64_t rank) {
    int64_t i = size;
    while (i > 0 && rank < queue[(i - 1) >> 1]) { queue[i] = queue[(i - 1) >> 1]; i = (i - 1) >> 1; }
    queue[i] = rank;
}

static void queue_pop(int64_t last) {
    int64_t rank = queue[last], i = 0;
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= last) break;
        if (child + 1 < last && queue[child + 1] < queue[child]) child++;
        if (rank <= queue[child]) break;
        queue[i] = queue[child];
        i = child;
    }
    queue[i] = rank;
}

static int by_runtime(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    if (runtime_[x] != runtime_[y]) return runtime_[x] < runtime_[y] ? -1 : 1;
    return x < y ? -1 : 1;
}

static double play(int sjf, int easy) {
    int64_t arrived = 0, count = 0, queued = 0, free_ = processors, done = 0;
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    while (done < n) {
        double now = arrived < n ? arrival[arrived] : INFINITY;
        if (count && running[0].time < now) now = running[0].time;
        do {
            while (count && running[0].time <= now) {
                int64_t row = running[0].row;
                free_ += cpus[row];
                pop(--count);
                done++;
                if (easy) {
                    int64_t i = 0;
                    while (planned[i] != row) i++;
                    memmove(planned + i, planned + i + 1, (count - i) * sizeof *planned);
                }
            }
            while (arrived < n && arrival[arrived] <= now) {
                if (sjf) queue_push(queued, rank_of[arrived]);
                else if (easy) queue[queued] = arrived;
                arrived++;
                queued++;
            }
            int64_t at = 0, kept = 0, extra = processors, blocked = 0;
            double shadow = INFINITY;
            for (int64_t left = queued; left > 0; left--, at++) {
                int64_t row = sjf ? row_at[queue[0]] : easy ? queue[at] : arrived - queued;
                if (cpus[row] > free_ && !blocked) {
                    if (!easy) break;
                    int64_t will = free_, i = 0;
                    while (will < cpus[row]) will += cpus[planned[i++]];
                    shadow = start[planned[i - 1]] + runtime_[planned[i - 1]];
                    while (i < count && start[planned[i]] + runtime_[planned[i]] <= shadow) will += cpus[planned[i++]];
                    extra = will - cpus[row];
                    blocked = 1;
                    queue[kept++] = row;
                    continue;
                }
                if (blocked) {
                    if (free_ == 0) {
                        memmove(queue + kept, queue + at, left * sizeof *queue);
                        kept += left;
                        break;
                    }
                    int late = now + runtime_[row] > shadow;
                    if (cpus[row] > free_ || (late && cpus[row] > extra)) { queue[kept++] = row; continue; }
                    if (late) extra -= cpus[row];
                }
                double end = now + runtime_[row];
                start[row] = now;
                free_ -= cpus[row];
                if (sjf) queue_pop(queued - 1);
                if (easy) {
                    int64_t i = count;
                    while (i && start[planned[i - 1]] + runtime_[planned[i - 1]] > end) { planned[i] = planned[i - 1]; i--; }
                    planned[i] = row;
                } else {
                    queued--;
                }
                push(count++, (entry){end, row});
            }
            if (easy) queued = kept;
        } while (count && running[0].time <= now);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    return (b.tv_sec - a.tv_sec) + 1e-9 * (b.tv_nsec - a.tv_nsec);
}

static int ascending(const void *a, const void *b) { return *(double *)a < *(double *)b ? -1 : 1; }

int main(int count, char **words) {
    if (count != 4 || fread(&n, 8, 1, stdin) != 1) return 2;
    processors = atoll(words[2]);
    int repeats = atoi(words[3]), sjf = !strcmp(words[1], "sjf"), easy = !strcmp(words[1], "fcfs+easy");
    arrival = malloc(8 * n); runtime_ = malloc(8 * n); cpus = malloc(8 * n); start = malloc(8 * n);
    rank_of = malloc(8 * n); row_at = malloc(8 * n); queue = malloc(8 * (n + 1));
    running = malloc(sizeof(entry) * (processors + 1)); planned = malloc(8 * (processors + 1));
    if (fread(arrival, 8, n, stdin) + fread(runtime_, 8, n, stdin) + fread(cpus, 8, n, stdin) != (size_t)(3 * n)) return 2;
    for (int64_t i = 0; i < n; i++) row_at[i] = i;
    if (sjf) qsort(row_at, n, 8, by_runtime);
    for (int64_t i = 0; i < n; i++) rank_of[row_at[i]] = i;
    double *seconds = malloc(8 * repeats), sum = 0;
    for (int i = 0; i < repeats; i++) seconds[i] = play(sjf, easy);
    qsort(seconds, repeats, 8, ascending);
    for (int64_t i = 0; i < n; i++) sum += start[i];
    printf("%.9f %.17g\n", seconds[repeats / 2], sum);
    return 0;
}
