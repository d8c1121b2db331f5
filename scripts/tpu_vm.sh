#!/usr/bin/env bash
# Trains on TPU VMs from one's own machine. Prints every command; runs none unless --run comes first.
#
# usage: bash scripts/tpu_vm.sh [--run] COMMAND NAME [ARGUMENT...]
#   create NAME                     a TPU VM of TYPE in ZONE (SPOT=1: cheaper, may be taken away)
#   install NAME                    copies what is committed here and installs it on every worker
#   launch NAME RECIPE [FLAG...]    trains on all workers; the same line resumes
#   ablate TABLE NAME [NAME...]     spreads a table's runs over VMs of one host each
#   tail NAME                       follows the first worker's log
#   status NAME                     the VM's state and whether the training runs
#   keep NAME RECIPE [FLAG...]      launches; if the VM is taken away, makes it again and resumes
#   collect NAME [FOLDER]           copies the runs here, by default into ./runs
#   delete NAME                     ends the VM and its costs
#
# Settings by environment: ZONE, TYPE (v5litepod-8), VERSION of the VM's software, PROJECT, SPOT,
# VENV, the environment here (.venv), and RUNS, the folder of the runs there. On slices of several
# hosts every worker must see RUNS (a mounted bucket or NFS): they write one checkpoint together.
# `keep` needs that too, as a VM's own disk ends with it.
#   ZONE=us-west4-a bash scripts/tpu_vm.sh --run create gan-0
#   ZONE=us-west4-a bash scripts/tpu_vm.sh --run install gan-0
#   ZONE=us-west4-a bash scripts/tpu_vm.sh --run launch gan-0 experiments/stylegan2.py:cifar10 --seed 1
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "error: $*" >&2; exit 2; }
quoted() {  # as a shell reads it
    local word line=
    for word; do
        [[ $word =~ ^[A-Za-z0-9_./:=@,+-]+$ ]] || word=${word@Q}
        line+="$word "
    done
    echo "${line% }"
}
do_it() { if [ "$RUN" ]; then echo "+ $(quoted "$@")" >&2; "$@"; else quoted "$@"; fi; }

RUN=
if [ "${1:-}" = --run ]; then RUN=1; shift; fi
COMMANDS="create install launch ablate tail status keep collect delete"
command=${1:-}
[ "$command" ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' scripts/tpu_vm.sh; exit; }
[[ " $COMMANDS " == *" $command "* ]] || fail "no command '$command'; there are $COMMANDS"
[ "${2:-}" ] || fail "$command needs $([ "$command" = ablate ] && echo "a table" || echo "a VM's name")"
[ "${ZONE:-}" ] || fail "ZONE is not set: say where, as in ZONE=us-west4-a"
[ -z "$RUN" ] || command -v gcloud >/dev/null || fail "gcloud is missing: install Google Cloud's command line"
shift

TYPE=${TYPE:-v5litepod-8}
case $TYPE in
    v5lite*) VERSION=${VERSION:-v2-alpha-tpuv5-lite} ;;
    v5p*) VERSION=${VERSION:-v2-alpha-tpuv5} ;;
    v6e*) VERSION=${VERSION:-v2-alpha-tpuv6e} ;;
    *) VERSION=${VERSION:-tpu-ubuntu2204-base} ;;
esac
RUNS=${RUNS:-runs}
case $RUNS in /*) there=$RUNS ;; *) there=gan_jax/$RUNS ;; esac
where=(--zone "$ZONE" ${PROJECT:+--project "$PROJECT"})
tpu=(gcloud compute tpus tpu-vm)

on() { do_it "${tpu[@]}" ssh "$1" "${where[@]}" --worker="$2" --command "$3"; }

create() {
    do_it "${tpu[@]}" create "$1" "${where[@]}" --accelerator-type "$TYPE" --version "$VERSION" \
        ${SPOT:+--spot}
}

delete() { do_it "${tpu[@]}" delete "$1" "${where[@]}" --quiet; }

install() {
    local archive=${TMPDIR:-/tmp}/gan_jax.tar.gz
    do_it git archive --prefix gan_jax/ --output "$archive" HEAD
    do_it "${tpu[@]}" scp "$archive" "$1:gan_jax.tar.gz" "${where[@]}" --worker=all
    local python="{ command -v python3.11 > /dev/null || sudo apt-get install -y python3.11 python3.11-venv; }"
    on "$1" all "tar xzf gan_jax.tar.gz && $python && PYTHON=python3.11 bash gan_jax/scripts/install.sh tpu"
}

# In its own session, so that it outlives the connection; SIGTERM reaches it and it saves.
start() {
    local line
    line=$(quoted bash -c "$1; echo \$? > train.code")
    echo "cd gan_jax && rm -f train.code && { setsid nohup $line >> train.log 2>&1 & echo \$! > train.pid; }"
}

training() {  # RECIPE FLAG...: the line that every worker runs
    local recipe=$1 name=${1##*/}
    shift
    name=${name/.py:/-} name=${name/:/-}
    quoted .venv/bin/python scripts/train.py "$recipe" --hosts auto --workdir "$RUNS/$name" "$@"
}

launch() {
    local name=$1
    shift
    [ "${1:-}" ] || fail "launch needs a recipe, as in experiments/dcgan.py:celeba64"
    on "$name" all "$(start "$(training "$@")")"
}

ablate() {  # the commands of scripts/ablate.py, one group a machine
    local table=$1 lines group machine=0
    shift
    [ "${1:-}" ] || fail "ablate needs a VM's name after the table"
    lines=$("${VENV:-.venv}/bin/python" scripts/ablate.py "$table" commands --machines $# --root "$RUNS")
    for name; do
        machine=$((machine + 1))
        group=$(awk -v wanted="# machine $machine of" \
            '/^# machine/ {take = index($0, wanted) == 1; next} take' <<< "$lines")
        [ "$group" ] || { echo "# nothing is left for $name"; continue; }
        group=${group//python scripts/.venv/bin/python scripts}
        on "$name" 0 "$(start "${group//$'\n'/; }")"
    done
}

tail() { on "$1" 0 "tail -n 50 -F gan_jax/train.log"; }

state() { "${tpu[@]}" describe "$1" "${where[@]}" --format 'value(state)' 2>/dev/null || echo MISSING; }

status() {
    do_it "${tpu[@]}" describe "$1" "${where[@]}" --format 'value(state)'
    on "$1" all 'kill -0 $(cat gan_jax/train.pid) && echo training || echo "not training"'
}

keep() {
    local name=$1 now
    launch "$@"
    [ "$RUN" ] || echo "# then each minute; if the VM is PREEMPTED or TERMINATED:"
    while true; do
        now=PREEMPTED
        if [ "$RUN" ]; then sleep "${EVERY:-60}"; now=$(state "$name"); fi
        case $now in
            PREEMPTED | TERMINATED | MISSING)
                [ "$now" = MISSING ] || delete "$name"
                create "$name" && install "$name" && launch "$@" || echo "trying again" >&2 ;;
            READY)
                case $(on "$name" 0 'cat gan_jax/train.code 2>/dev/null' 2>/dev/null) in
                    "") ;;  # it trains
                    0) break ;;
                    143) launch "$@" ;;
                    *) fail "the training of $name ended by itself: see tail $name" ;;
                esac ;;
        esac
        [ "$RUN" ] || break
    done
}

collect() {
    do_it mkdir -p "${2:-runs}"
    do_it "${tpu[@]}" scp --recurse "$1:$there/*" "${2:-runs}" "${where[@]}" --worker=0
}

"$command" "$@"
