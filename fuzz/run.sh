#!/usr/bin/env bash
# Hunts with the targets named, or with all: fuzz/run.sh [target ...]
# CPU_SECONDS (600) is what each may use; what it finds is under artifacts/<target>, what it learned under corpus/<target>.
set -euo pipefail
cd "$(dirname "$0")"
CPU_SECONDS=${CPU_SECONDS:-600}
# Five seconds by the clock, of which a busy machine may take four, and half a gigabyte are defects. No sanitizer: the code is safe Rust, and overflow and debug
# assertions are on; SANITIZER=address looks into the dependencies, at a third of the speed.
LIMITS="-timeout=5 -rss_limit_mb=512 -max_len=4096"

if ! rustup run nightly rustc --version >/dev/null 2>&1; then
    echo "skipped: fuzzing needs nightly Rust (rustup toolchain install nightly)"
    exit 0
fi
if ! command -v cargo-fuzz >/dev/null; then
    echo "skipped: fuzzing needs cargo-fuzz (cargo install --locked cargo-fuzz)"
    exit 0
fi

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo +nightly fuzz list --fuzz-dir .)
host=$(rustc +nightly -vV | sed -n 's/^host: //p')

failed=()
for target in "${targets[@]}"; do
    cargo +nightly fuzz build --fuzz-dir . --sanitizer "${SANITIZER:-none}" "$target" 2>&1 | grep -E '^(error|warning: unused)' || true
    mkdir -p "corpus/$target" "artifacts/$target"
    python3 keep.py unpack "$target"
    log=$(mktemp)
    status=0
    # The kernel counts the seconds, so that a busy machine hunts as long as an idle one.
    (
        ulimit -St "$CPU_SECONDS"
        # shellcheck disable=SC2086  # several options
        exec "target/$host/release/$target" $LIMITS -dict=words.dict -artifact_prefix="artifacts/$target/" \
            -max_total_time=$((4 * CPU_SECONDS)) "corpus/$target" "seeds/$target"
    ) >"$log" 2>&1 || status=$?
    runs=$(grep -oE '^#[0-9]+' "$log" | tail -1 | tr -d '#' || true)
    # 152: out of its CPU seconds (SIGXCPU), which is the usual end.
    if [ "$status" -eq 0 ] || [ "$status" -eq 152 ]; then
        echo "$target: at least ${runs:-0} runs in $CPU_SECONDS CPU seconds, nothing found"
    else
        failed+=("$target")
        tail -n 40 "$log"
        echo "$target: found something after ${runs:-0} runs (exit $status); see $PWD/artifacts/$target"
    fi
    rm -f "$log"
done
[ ${#failed[@]} -eq 0 ] || { echo "found something: ${failed[*]}"; exit 1; }
