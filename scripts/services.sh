#!/usr/bin/env bash
# Starts PostgreSQL and Redis on private ports of this machine, for development and tests, and prints their addresses.
# Usage: scripts/services.sh start|stop. POSTGRES_OPTIONS are more options of the database server, such as "-c fsync=off".
set -euo pipefail

postgres_port=${POSTGRES_PORT:-55432}
redis_port=${REDIS_PORT:-56379}
# Not inside the checkout: PostgreSQL runs as a user of its own, who may not be allowed to look in there.
folder=${SERVICES_DIR:-${TMPDIR:-/tmp}/scheduler-sim-services}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

install_missing() {
    local missing=()
    ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || missing+=(postgresql)
    command -v redis-server >/dev/null || missing+=(redis-server)
    [ ${#missing[@]} -eq 0 ] && return
    echo "Installing ${missing[*]} ..." >&2
    as_root apt-get update -qq >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >&2
}

# PostgreSQL refuses to run as root.
as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

start() {
    install_missing
    local bin
    bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/pg_ctl | sort -V | tail -n 1)")
    mkdir -p "$folder/redis"
    if [ ! -d "$folder/postgres" ]; then
        mkdir -p "$folder/postgres"
        if [ "$(id -u)" = 0 ]; then chown postgres "$folder/postgres"; fi
        as_postgres "$bin/initdb" --pgdata "$folder/postgres" --username scheduler_sim --auth trust --encoding UTF8 \
            --locale C.UTF-8 >/dev/null
    fi
    if ! as_postgres "$bin/pg_ctl" --pgdata "$folder/postgres" status >/dev/null; then
        as_postgres "$bin/pg_ctl" --pgdata "$folder/postgres" --log "$folder/postgres/log" --wait \
            -o "-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' ${POSTGRES_OPTIONS:-}" start >/dev/null
    fi
    "$bin/psql" -h 127.0.0.1 -p "$postgres_port" -U scheduler_sim -d postgres -qtAc \
        "SELECT 1 FROM pg_database WHERE datname = 'scheduler_sim'" | grep -q 1 ||
        "$bin/createdb" -h 127.0.0.1 -p "$postgres_port" -U scheduler_sim scheduler_sim
    redis-cli -p "$redis_port" ping >/dev/null 2>&1 ||
        redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$folder/redis" --save '' --appendonly no \
            --daemonize yes --pidfile "$folder/redis/pid" --logfile "$folder/redis/log" >/dev/null
    for _ in $(seq 50); do
        redis-cli -p "$redis_port" ping >/dev/null 2>&1 && break
        sleep 0.1
    done
    redis-cli -p "$redis_port" ping >/dev/null
    echo "DATABASE_URL=postgres://scheduler_sim@127.0.0.1:$postgres_port/scheduler_sim"
    echo "REDIS_URL=redis://127.0.0.1:$redis_port/0"
}

stop() {
    local bin
    bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/pg_ctl | sort -V | tail -n 1)")
    if [ -d "$folder/postgres" ]; then
        as_postgres "$bin/pg_ctl" --pgdata "$folder/postgres" --mode fast --wait stop >/dev/null || true
    fi
    redis-cli -p "$redis_port" shutdown nosave >/dev/null 2>&1 || true
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    *) echo "Usage: scripts/services.sh start|stop" >&2; exit 2 ;;
esac
