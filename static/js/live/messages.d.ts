// The live messages. Written by scripts/message_types.py from apps/live/wire/messages.py: change them there.

/** What one policy has done up to the simulated clock; the figures are those of `engine/measuring/metrics.py`. */
export interface PolicyProgress {
  scheduler: string;
  total: number;
  finished: number;
  running: number;
  queue_length: number;
  mean_job_completion_time: number | null;
  p95_job_completion_time: number | null;
  cpu_utilisation: number | null;
  gpu_utilisation: number | null;
  energy_joules: number | null;
  cost_usd: number | null;
  wins: number;
  mean_width: number | null;
}

/** One of the latest tasks to finish. */
export interface Placement {
  scheduler: string;
  task_id: number;
  node: number;
  device: number;
  gpu_fraction: number;
  start_time: number;
  finish_time: number;
}

/** A learned policy was fitted anew, the `number`th time since the race began; its score is on held-out rows. */
export interface Fit {
  scheduler: string;
  number: number;
  model_version: number | null;
  rows: number;
  score: number | null;
}

/** The same, and where the run's clock stood. */
export interface Retraining extends Fit {
  clock_time: number;
}

/** Server to client: the whole state of one run. `type` is `snapshot`. */
export interface Snapshot {
  type: "snapshot";
  version: number;
  run: number;
  name: string;
  status: string;
  error: string;
  published_at: number;
  clock_time: number | null;
  progress: number;
  eta_seconds: number | null;
  policies: PolicyProgress[];
  placements: Placement[];
  retraining: Retraining | null;
  replay: boolean;
  speed: number | null;
  interrupted?: boolean;
  sequence?: number;
  via?: "redis" | "database";
}

/** Server to client: the run's status became another one. `type` is `run_state`. */
export interface RunState {
  type: "run_state";
  version: number;
  run: number;
  name: string;
  status: string;
  error: string;
  interrupted: boolean;
  sequence?: number;
}

/** Server to client: the newest retraining of the run. `type` is `retraining`. */
export interface RetrainingMessage extends Retraining {
  type: "retraining";
  version: number;
  run: number;
  sequence?: number;
}

/** What one policy had come to at each point of a history. */
export interface PolicyHistory {
  scheduler: string;
  mean_job_completion_time: (number | null)[];
  queue_length: (number | null)[];
  cpu_utilisation: (number | null)[];
  gpu_utilisation: (number | null)[];
  energy_joules: (number | null)[];
  wins: (number | null)[];
  mean_width: (number | null)[];
}

/** Server to client, on joining: what the race came to before, in few points. `type` is `history`. */
export interface HistoryMessage {
  type: "history";
  version: number;
  run: number;
  clock_time: number[];
  policies: PolicyHistory[];
}

/** One line of the list of runs. */
export interface RunProgress {
  run: number;
  name: string;
  status: string;
  interrupted: boolean;
  progress: number;
  clock_time: number | null;
  eta_seconds: number | null;
  policies: string[];
  leader: string | null;
}

/** Server to client, on /ws/live/: the newest runs, newest first. `type` is `runs`. */
export interface Runs {
  type: "runs";
  version: number;
  via: "redis" | "database";
  runs: RunProgress[];
  sequence?: number;
}

/** Server to client: why a request was refused; the connection stays. `type` is `error`. */
export interface Error {
  type: "error";
  version: number;
  code: "malformed" | "unknown_type" | "forbidden" | "refused" | "not_found" | "too_many" | "too_large";
  message: string;
}

/** Server to client: a command stands in the run's queue; `run_state` tells of its effect. `type` is `accepted`. */
export interface Accepted {
  type: "accepted";
  version: number;
  run: number;
  command: "pause" | "resume" | "stop";
}

/** Server to client: the answer to `ping`, with its `id` if it had one. `type` is `pong`. */
export interface Pong {
  type: "pong";
  version: number;
  id?: number | string | null;
}

/** What a server sends. */
export type Message = Snapshot | RunState | RetrainingMessage | HistoryMessage | Runs | Error | Accepted | Pong;
