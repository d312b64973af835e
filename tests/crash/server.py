# SPDX-License-Identifier: Apache-2.0
"""A `poise serve` process of one's own, and a client for it, with nothing but Python's library."""

import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time


class Server:
    """Starts `poise serve` on a free port and waits until it is ready."""

    def __init__(self, binary, data_dir, *options, key=None, ready_within_s=30):
        self.key = key
        self.lines = []
        self._has_address = threading.Event()
        self.port = None
        started = time.monotonic()
        self.process = subprocess.Popen(
            [str(binary), "serve", "--data-dir", str(data_dir), "--server-port", "0", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._wait_until_ready(started + ready_within_s)
        except BaseException:
            self.kill()
            raise
        self.ready_after_s = time.monotonic() - started

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            address = re.search(r"http://[^\s:/]+:(\d+)", line)
            if address and self.port is None:
                self.port = int(address.group(1))
            secret = re.search(r"\bpoise_[A-Za-z0-9_-]{20,}", line)
            if secret and self.key is None:
                self.key = secret.group(0)
            if self.port is not None:
                self._has_address.set()
        self._has_address.set()

    def _wait_until_ready(self, deadline):
        self._has_address.wait(max(0.0, deadline - time.monotonic()))
        while time.monotonic() < deadline and self.process.poll() is None and self.port is not None:
            client = Client(self)
            try:
                status, _ = client.get("/health/ready")
                if status == 200 and self.key is not None:
                    return
            except (OSError, http.client.HTTPException):
                pass
            finally:
                client.close()
            time.sleep(0.01)
        raise RuntimeError("poise serve did not become ready:\n" + "\n".join(self.lines))

    def kill(self):
        """kill -9."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()

    def stop(self, within_s=30):
        """Ctrl-C; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(within_s)
        self._reader.join()
        self.process.stdout.close()
        return code


class Client:
    """One kept-alive connection. Raises OSError or HTTPException when the server goes away."""

    def __init__(self, server, timeout_s=20):
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout_s)
        self._headers = {"Content-Type": "application/json"}
        if server.key is not None:
            self._headers["Authorization"] = "Bearer " + server.key

    def call(self, method, path, body=None):
        """(status, the answer's JSON or text)"""
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, body=data, headers=self._headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        if "json" in (answer.getheader("Content-Type") or ""):
            return answer.status, json.loads(text)
        return answer.status, text

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body):
        return self.call("POST", path, body)

    def close(self):
        self._connection.close()


def export(binary, data_dir, *options):
    """The rows of `poise export`, each as its JSON."""
    target = pathlib.Path(data_dir).parent / "export.jsonl"
    subprocess.run([str(binary), "export", "--data-dir", str(data_dir), *options, str(target)],
                   check=True, capture_output=True, text=True)
    with open(target, encoding="utf-8") as rows:
        return [json.loads(row) for row in rows if row.strip()]
