#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""crash_test.py POISE: what the real process has acknowledged survives kill -9 and a full disk.

Set POISE_CRASH_SEED to repeat a run's choices; the seed of a run is printed.
"""

import collections
import http.client
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from server import Client, Server, export

POISE = None
SEED = int(os.environ.get("POISE_CRASH_SEED", "20261124"))

GOING_AWAY = (OSError, http.client.HTTPException)


class Writer(threading.Thread):
    """Sends events until the server goes away, alone and in batches, each with a key of its own."""

    def __init__(self, server, name, numbers, chance, leftover):
        super().__init__(daemon=True)
        self._server = server
        self._name = name
        self._numbers = numbers
        self._chance = chance
        self.in_doubt = list(leftover)  # sent, and never answered
        self.acknowledged = []
        self.duplicates = 0
        self.refusals = []

    def _event(self):
        number = next(self._numbers)
        return {"userId": f"{self._name}-{number % 97}", "itemId": f"item-{number % 31}",
                "type": self._chance.choice(["view", "click", "purchase"]), "value": number,
                "idempotencyKey": f"{self._name}/{number}"}

    def run(self):
        client = Client(self._server)
        retried, self.in_doubt = self.in_doubt, []
        try:
            if retried:
                self._send(client, retried)
            while True:
                if self._chance.random() < 0.5:
                    self._send(client, [self._event()])
                else:
                    self._send(client, [self._event() for _ in range(self._chance.randint(2, 200))])
        except GOING_AWAY:
            pass
        finally:
            client.close()

    def _send(self, client, events):
        before = list(self.in_doubt)
        self.in_doubt = before + events
        if len(events) == 1:
            status, answer = client.post("/api/v1/events", events[0])
            outcomes = [answer.get("status")]
        else:
            status, answer = client.post("/api/v1/events/batch", {"events": events})
            outcomes = [result.get("code") for result in answer.get("results", [])]
        self.in_doubt = before
        if status != 200 or len(outcomes) != len(events):
            self.refusals.append((status, answer))
            return
        for event, outcome in zip(events, outcomes):
            if outcome == "duplicate":
                self.duplicates += 1
            elif outcome != "accepted":
                self.refusals.append((status, outcome))
                continue
            self.acknowledged.append(event["idempotencyKey"])


class KilledUnderLoad(unittest.TestCase):
    def test_every_acknowledged_event_is_there_once_and_retries_do_not_count_twice(self):
        folder = tempfile.TemporaryDirectory(prefix="poise-crash-")
        self.addCleanup(folder.cleanup)
        data_dir = pathlib.Path(folder.name) / "data"
        chance = random.Random(SEED)
        print(f"seed {SEED}")
        names = ["anna", "bob", "carl"]
        numbers = {name: iter(range(1, 10**9)) for name in names}
        leftover = {name: [] for name in names}
        acknowledged, sent_again, key = set(), 0, None
        for life in range(6):
            # Small segments, so that lives end at their borders too.
            server = Server(POISE, data_dir, "--storage-segment-mib", "1", key=key)
            key = server.key
            writers = [Writer(server, name, numbers[name], random.Random(chance.random()), leftover[name])
                       for name in names]
            for writer in writers:
                writer.start()
            time.sleep(chance.uniform(0.05, 0.8))
            server.kill()
            for writer in writers:
                writer.join(30)
                self.assertFalse(writer.is_alive())
                self.assertFalse(writer.refusals, writer.refusals[:3])
                acknowledged.update(writer.acknowledged)
            sent_again += sum(len(events) for events in leftover.values())
            leftover = {name: writer.in_doubt for name, writer in zip(names, writers)}
            print(f"life {life}: ready after {server.ready_after_s:.2f} s, "
                  f"{len(acknowledged)} acknowledged, {sum(map(len, leftover.values()))} in doubt")

        rows = [row for row in export(POISE, data_dir) if row["kind"] == "event"]
        stored = collections.Counter(row["idempotencyKey"] for row in rows)
        twice = [key for key, count in stored.items() if count > 1]
        lost = acknowledged - stored.keys()
        in_doubt = {event["idempotencyKey"] for events in leftover.values() for event in events}
        invented = stored.keys() - acknowledged - in_doubt
        self.assertGreater(len(acknowledged), 500)
        self.assertGreater(sent_again, 0, "no life ended within a request: nothing was tried")
        self.assertFalse(lost, f"{len(lost)} acknowledged events are gone, such as {sorted(lost)[:3]}")
        self.assertFalse(twice, f"{len(twice)} events are there twice, such as {twice[:3]}")
        self.assertFalse(invented, f"{len(invented)} events nobody sent, such as {sorted(invented)[:3]}")
        for row in rows[:50]:
            self.assertEqual(row["idempotencyKey"].split("/")[1], str(int(row["value"])))


class FullDisk(unittest.TestCase):
    SIZE_MIB = 96

    def setUp(self):
        self._folder = tempfile.mkdtemp(prefix="poise-full-")
        self.addCleanup(shutil.rmtree, self._folder, ignore_errors=True)
        self.mount = pathlib.Path(self._folder) / "disk"
        self.mount.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.SIZE_MIB}m", "tmpfs", str(self.mount)],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("needs a small file system to fill, and mounting one was refused "
                          f"({mounted.stderr.strip()}); the injected faults of storage's tests still run")
        self.addCleanup(subprocess.run, ["umount", str(self.mount)], check=False)

    def test_writes_are_refused_clearly_reads_go_on_and_space_is_all_it_takes(self):
        data_dir = self.mount / "data"
        server = Server(POISE, data_dir, "--storage-segment-mib", "4")
        try:
            self.run_against(server, data_dir)
        finally:
            server.kill()

    def run_against(self, server, data_dir):
        client = Client(server)
        self.addCleanup(client.close)
        for number in range(20):
            status, answer = client.call("PUT", f"/api/v1/items/item-{number}", {"title": f"Item {number}"})
            self.assertIn(status, (200, 201, 204), answer)
        # New items reach the shared lists within a second or so.
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            _, answer = client.post("/api/v1/recommendations", {"userId": "user-1", "slots": 5})
            if len(answer["items"]) == 5:
                break
            time.sleep(0.05)
        # Something else on the same disk takes nearly all the space.
        ballast = self.mount / "ballast"
        usage = shutil.disk_usage(self.mount)
        with open(ballast, "wb") as file:
            for _ in range(max(0, usage.free // 2**20 - 12)):
                file.write(bytes(2**20))

        acknowledged, refused = [], None
        for batch in range(4000):
            events = [{"userId": f"user-{batch % 50}", "itemId": f"item-{n % 20}", "type": "view",
                       "sessionId": "s" * 200, "idempotencyKey": f"{batch}/{n}"} for n in range(200)]
            status, answer = client.post("/api/v1/events/batch", {"events": events})
            if status == 200:
                acknowledged += [event["idempotencyKey"] for event in events]
                continue
            refused = (status, answer)
            break
        self.assertIsNotNone(refused, "the disk never became full")
        self.assertEqual(refused[0], 507, str(refused)[:500])
        self.assertIn("disk full", str(refused[1])[:500], "the refusal does not say why")
        self.assertNotIn(str(self.mount), str(refused[1]), "the refusal names a path of the server's")
        self.assertGreater(len(acknowledged), 0)

        # Reads go on, and a single event is refused in the same way.
        status, answer = client.get("/api/v1/items/item-3")
        self.assertEqual((status, answer.get("title")), (200, "Item 3"))
        status, answer = client.post("/api/v1/recommendations", {"userId": "user-1", "slots": 5})
        self.assertEqual((status, len(answer.get("items", []))), (200, 5), answer)

        # Space is all it takes: no restart, nobody's hand.
        ballast.unlink()
        deadline = time.monotonic() + 20
        while True:
            event = {"userId": "user-1", "itemId": "item-1", "type": "view", "idempotencyKey": "after"}
            status, answer = client.post("/api/v1/events", event)
            if status < 300 or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        self.assertLess(status, 300, answer)
        acknowledged.append("after")
        client.close()
        server.kill()

        stored = collections.Counter(row["idempotencyKey"] for row in export(POISE, data_dir) if row["kind"] == "event")
        lost = set(acknowledged) - stored.keys()
        self.assertFalse(lost, f"{len(lost)} acknowledged events are gone")
        self.assertEqual([key for key, count in stored.items() if count > 1], [])
        (self.mount / "export.jsonl").unlink(missing_ok=True)


class Stopped(unittest.TestCase):
    def test_ctrl_c_ends_it_in_good_order_and_the_data_directory_is_free_again(self):
        folder = tempfile.TemporaryDirectory(prefix="poise-stop-")
        self.addCleanup(folder.cleanup)
        data_dir = pathlib.Path(folder.name) / "data"
        server = Server(POISE, data_dir)
        key = server.key
        second = subprocess.run([str(POISE), "export", "--data-dir", str(data_dir), str(pathlib.Path(folder.name) / "x")],
                                capture_output=True, text=True, check=False)
        self.assertEqual(second.returncode, 1, "two processes had the same data directory")
        self.assertIn(str(data_dir), second.stderr)
        client = Client(server)
        status, _ = client.post("/api/v1/events", {"userId": "anna", "itemId": "lamp", "type": "view"})
        self.assertLess(status, 300)
        client.close()
        self.assertEqual(server.stop(), 0, "\n".join(server.lines))
        self.assertEqual(len([row for row in export(POISE, data_dir) if row["kind"] == "event"]), 1)
        # The key of the first start still opens the door; it is not printed twice.
        again = Server(POISE, data_dir, key=key)
        self.assertFalse([line for line in again.lines if key in line])
        client = Client(again)
        status, _ = client.post("/api/v1/recommendations", {"userId": "anna", "slots": 1})
        client.close()
        self.assertEqual(status, 200)
        self.assertEqual(again.stop(), 0)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    POISE = pathlib.Path(sys.argv[1]).resolve()
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
