#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# restart_bench.sh POISE [EVENTS [FOLDER]]: how soon after kill -9 `poise serve` answers again, with so
# many events in its log (10,000,000), and whether they are all there.
#
# It imports that many made-up events (a power law over 20,000 items and 200,000 users), starts, records
# 100,000 more over HTTP, kills, and starts again: three kills, each with 100,000 more events behind the
# last snapshot. A start ends with its first recommendation answered. Needs about 250 bytes of disk an
# event in FOLDER (a temporary one).
set -euo pipefail
poise=$(readlink -f "${1:?restart_bench.sh POISE [EVENTS [FOLDER]]}")
events=${2:-10000000}
folder=${3:-$(mktemp -d)}
mkdir -p "$folder"
data="$folder/data"
[ ! -e "$data" ] || { echo "restart_bench: $data exists already" >&2; exit 2; }

python3 - "$folder/events.csv" "$events" <<'PYTHON'
import random, sys
path, count = sys.argv[1], int(sys.argv[2])
chance = random.Random(7)
types = ["view"] * 6 + ["click"] * 2 + ["cart", "purchase"]
with open(path, "w") as out:
    out.write("user,item,type,time\n")
    for n in range(count):
        user = int(200_000 * chance.random() ** 2)
        item = int(20_000 * chance.random() ** 3)
        out.write(f"user-{user},item-{item},{types[n % 10]},{1_700_000_000 + n // 10}\n")
PYTHON
"$poise" import --data-dir "$data" --log-level warning "csv:$folder/events.csv"
rm "$folder/events.csv"
key=$("$poise" keys --data-dir "$data" --log-level warning --create bench --scopes admin)

python3 - "$poise" "$data" "$key" "$events" <<'PYTHON'
import http.client, json, re, signal, subprocess, sys, time

poise, data, key, imported = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

def start():
    began = time.monotonic()
    process = subprocess.Popen([poise, "serve", "--data-dir", data, "--server-port", "0", "--training-enabled", "false"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    known = port = None
    for line in process.stdout:
        known = re.search(r"serving .* people, ([0-9]+) events", line) or known
        port = re.search(r"http://[^ ]*:(\d+)", line)
        if port:
            break
    connection = http.client.HTTPConnection("127.0.0.1", int(port.group(1)), timeout=60)
    headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/recommendations", json.dumps({"userId": "user-1", "slots": 10}), headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    assert answer.status == 200, body
    return process, connection, headers, time.monotonic() - began, int(known.group(1))

acknowledged = imported
for life in range(4):
    process, connection, headers, seconds, known = start()
    print(f"start {life}: first recommendation after {seconds:.3f} s, {known} events known, {acknowledged} acknowledged")
    assert known == acknowledged, "events are missing"
    for batch in range(100):
        rows = [{"userId": f"user-{(batch * 1000 + n) % 200_000}", "itemId": f"item-{n}", "type": "view"} for n in range(1000)]
        connection.request("POST", "/api/v1/events/batch", json.dumps({"events": rows}), headers)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        assert answer.status == 200, body
        acknowledged += body["accepted"]
    process.send_signal(signal.SIGKILL)
    process.wait()
PYTHON
echo "log: $(du -sh "$data" | cut -f1) in $data"
[ -n "${3:-}" ] || rm -rf "$folder"
