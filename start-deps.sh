#!/usr/bin/env bash
#
# Starts MongoDB and Kafka with Docker Compose and makes them ready for the services.
# Safe to repeat: what is there already stays as it is.
set -euo pipefail

readonly TIMEOUT="${DEPS_TIMEOUT:-180}"

usage() {
  cat <<'END'
Usage: ./start-deps.sh [--stop [--volumes] | --wipe | --help]

Starts MongoDB and Kafka in containers, on 127.0.0.1 only, and waits until both
are ready: MongoDB as a replica set of one, Kafka with the services' topics.

  --stop            stop them; their data stays
  --stop --volumes  remove the containers of this project and delete all data
  --wipe            short for --stop --volumes
  --help            show this text

DEPS_TIMEOUT=<seconds> is how long to wait for them once they run (180).
END
}

# fail <what is wrong> <cure>...
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  printf '  %s\n' "$@" >&2
  exit 1
}

refuse() {
  printf 'error: %s\n\n' "$1" >&2
  usage >&2
  exit 2
}

require_docker() {
  command -v docker >/dev/null || fail "Docker is missing: there is no 'docker' on the PATH." \
    "Install Docker Desktop, or Docker Engine with its Compose plugin, and try again." \
    "Without Docker, 'make run' starts everything with an embedded MongoDB and broker."
  docker compose version >/dev/null 2>&1 || fail "Docker has no command 'docker compose'." \
    "Install the Compose plugin, version 2 or newer (most systems: docker-compose-plugin)."
  local reason
  reason=$(docker info 2>&1 >/dev/null) || fail "The Docker daemon does not answer: ${reason}" \
    "Start it (Docker Desktop, or: sudo systemctl start docker)." \
    "If the permission is denied, add yourself to the group 'docker' and log in again."
}

start_containers() {
  echo "Starting MongoDB and Kafka (the first time, their images are downloaded)"
  docker compose up --detach mongodb kafka || fail "They did not start; the reason is above." \
    "If a port is taken, stop what uses it: 27017 and 9092 on 127.0.0.1 must be free."
}

# Does at once what the health check would do at its next turn.
has_primary() {
  # shellcheck disable=SC2016 # the variable is the container's
  docker compose exec -T mongodb sh -c 'mongosh --quiet --eval "$BECOME_PRIMARY"' \
    </dev/null >/dev/null 2>&1
}

is_healthy() {
  [[ "$(state_of "$1")" == "running healthy" ]]
}

state_of() {
  local container
  container=$(docker compose ps --all --quiet "$1")
  docker inspect --format '{{.State.Status}} {{.State.Health.Status}}' "$container" 2>/dev/null ||
    echo "gone"
}

# wait_for <service> <what> <command...>: repeats the command until it succeeds.
wait_for() {
  local service=$1 what=$2 began=$SECONDS
  shift 2
  printf 'Waiting for %s ' "$what"
  until "$@"; do
    give_up_if_hopeless "$service" "$what"
    printf '.'
    sleep 1
  done
  printf ' after %s s\n' "$((SECONDS - began))"
}

give_up_if_hopeless() {
  local service=$1 what=$2 state
  state=$(state_of "$service")
  [[ "$state" == running* ]] || fail_with_log "$service" "$service is not running ($state)."
  ((SECONDS < deadline)) || fail_with_log "$service" "No $what within $TIMEOUT s ($state)."
}

fail_with_log() {
  printf '\n' >&2
  docker compose logs --tail 20 "$1" >&2 || true
  fail "$2" "The end of its log is above; all of it: docker compose logs $1" \
    "On a slow machine, wait longer: DEPS_TIMEOUT=600 ./start-deps.sh"
}

# The services would create them too; with the topics here, any Kafka client can start first.
create_topic() {
  docker compose exec -T kafka /opt/kafka/bin/kafka-topics.sh --bootstrap-server localhost:9092 \
    --create --if-not-exists --topic "$1" --partitions "$2" --replication-factor 1 \
    </dev/null >/dev/null || fail "The topic '$1' could not be created; the reason is above." \
    "Is Kafka well? Its log: docker compose logs kafka"
  printf 'Topic %s: there\n' "$1"
}

create_topics() {
  create_topic execution-requests 4
  create_topic execution-requests.dlq 1
  create_topic execution-events 4
  create_topic notices 1
}

print_next_steps() {
  cat <<'END'

MongoDB  mongodb://127.0.0.1:27017/?replicaSet=rs0
Kafka    127.0.0.1:9092

Start the services, each in a terminal of its own. They need no environment
variables, because these addresses are their defaults:

  python -m workflows_svc    # http://127.0.0.1:8081/docs
  python -m scheduler_svc
  python -m runner_svc

Or in containers:    docker compose --profile services up --build
Stop, keep data:     ./start-deps.sh --stop
Stop, delete data:   ./start-deps.sh --wipe
END
}

start() {
  [[ "$TIMEOUT" =~ ^[1-9][0-9]*$ ]] || refuse "DEPS_TIMEOUT must be seconds, not '$TIMEOUT'."
  require_docker
  start_containers
  deadline=$((SECONDS + TIMEOUT))
  wait_for mongodb "MongoDB's primary" has_primary
  wait_for mongodb "MongoDB's health check" is_healthy mongodb
  wait_for kafka "Kafka's health check" is_healthy kafka
  create_topics
  print_next_steps
}

stop() {
  require_docker
  docker compose stop mongodb kafka
  echo "Stopped; the data is kept. Start again: ./start-deps.sh"
}

# With the profile, because services that still run would hold on to the network.
wipe() {
  require_docker
  docker compose --profile services down --volumes
  echo "Stopped; the data is deleted."
}

main() {
  cd "$(dirname "${BASH_SOURCE[0]}")"
  case "$*" in
    "") start ;;
    --stop) stop ;;
    "--stop --volumes" | "--volumes --stop" | --wipe) wipe ;;
    -h | --help) usage ;;
    *) refuse "Unknown argument: $*" ;;
  esac
}

main "$@"
