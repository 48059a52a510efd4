"""Checkpoints and savepoints in an object store: run by tests/support/with_s3, which says where it is.

    WEIR_TEST_BIN=build/release/bin tests/support/with_s3 python3 tests/e2e/s3_test.py
"""

import contextlib
import json
import os
import random
import re
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

from cluster import BIN, Cluster, committed_lines, library_of, wait_until, weir

ENDPOINT = os.environ["WEIR_TEST_S3_ENDPOINT"]
BUCKET = os.environ["WEIR_TEST_S3_BUCKET"]
SERVICE = os.environ["WEIR_TEST_S3_SERVICE"]
SECRET = os.environ["AWS_SECRET_ACCESS_KEY"]
SETTINGS = [f"s3.endpoint={ENDPOINT}", "s3.path.style.access=true"]
RECORDS = 1_500_000
KEYS = 40_000
RATE = 150_000


def keys(prefix=""):
    """Returns the keys of all objects that begin with `prefix`."""
    found = []
    token = ""
    while True:
        # In the order and with the escapes of a canonical request, for not every curl puts them so before it signs.
        words = {"continuation-token": token, "list-type": "2", "prefix": prefix}
        query = "&".join(f"{name}={urllib.parse.quote(word, safe='')}" for name, word in words.items() if word)
        url = f"{ENDPOINT}/{BUCKET}?{query}"
        answer = subprocess.run(
            ["curl", "-sf", "--aws-sigv4", "aws:amz:us-east-1:s3", "-u", f"{os.environ['AWS_ACCESS_KEY_ID']}:{SECRET}", url],
            check=True, capture_output=True, text=True).stdout
        found += re.findall(r"<Key>(.*?)</Key>", answer)
        more = re.search(r"<NextContinuationToken>(.*?)</NextContinuationToken>", answer)
        if not more:
            return found
        token = more.group(1)


@contextlib.contextmanager
def tls_proxy():
    """Serves the store by TLS on localhost; yields (endpoint, file of the certificate)."""
    def pump(source, target):
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(client, context):
        with contextlib.suppress(OSError):  # A client that does not trust the certificate goes.
            address = ENDPOINT.removeprefix("http://").rsplit(":", 1)
            with context.wrap_socket(client, server_side=True) as secure, socket.create_connection(address) as store:
                back = threading.Thread(target=pump, args=(store, secure), daemon=True)
                back.start()
                pump(secure, store)
                back.join()

    def accept(listener, context):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0], context), daemon=True).start()

    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        certificate, key = f"{folder}/certificate.pem", f"{folder}/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        threading.Thread(target=accept, args=(listener, context), daemon=True).start()
        yield f"https://localhost:{listener.getsockname()[1]}", certificate
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def weir_state(*arguments, **options):
    definitions = [word for setting in SETTINGS for word in ("-D", setting)]
    return weir("state", *arguments, *definitions, **options)


class S3Test(unittest.TestCase):
    def cluster(self, slots=2, **options):
        place = f"{self.id().rsplit('.', 1)[1]}/checkpoints"
        self.prefix = place
        return Cluster(slots=slots, options=[*SETTINGS, "restart-strategy.type=fixed-delay",
                                             "restart-strategy.fixed-delay.delay=100 ms"],
                       checkpoint_dir=f"s3://{BUCKET}/{place}", **options)

    def submit(self, cluster, out, rate, records=RECORDS, **request):
        arguments = ["--records", records, "--keys", KEYS, "--seed", 7, "--rate", rate, "--out", cluster.folder / out]
        settings = {"execution.checkpointing.interval": "500 ms"}
        body = {"programArgsList": [str(word) for word in arguments], "parallelism": 2, "entryClass": "keyed_count",
                "flinkConfiguration": settings, **request}
        return cluster.rest.call("POST", f"/jars/{library_of(cluster.rest, 'keyed_count')}/run", body)["jobid"]

    def checkpoints(self, cluster, job, count=1):
        done = cluster.rest.completed_checkpoints(job)
        wait_until("more checkpoints", lambda: cluster.rest.completed_checkpoints(job) >= done + count, 60)

    def test_kill_of_task_managers_and_of_the_store(self):
        randomness = random.Random(seed := random.randrange(1 << 30))
        print(f"seed {seed}", flush=True)
        with self.cluster(task_managers=2, slots=1) as cluster:  # So that every kill hits the job.
            rest = cluster.rest
            job = self.submit(cluster, "undisturbed", 0)
            rest.wait_for_state(job, "FINISHED", 120)
            self.assertEqual(keys(f"{self.prefix}/{job}"), [], "a job that has finished needs no checkpoint")
            expected = committed_lines(cluster.folder / "undisturbed")
            self.assertEqual(sum(json.loads(line)["count"] for line in expected.elements()), RECORDS)

            job = self.submit(cluster, "disturbed", RATE)
            for number, victim in enumerate(["task manager", "store", "both"], 1):
                rest.wait_for_state(job, "RUNNING", 60)
                self.checkpoints(cluster, job)
                moment = time.monotonic() + randomness.uniform(0, 0.6)
                wait_until("the moment", lambda moment=moment: time.monotonic() >= moment)
                self.assertNotIn(rest.state(job), ("FINISHED", "FAILED"), f"before kill {number}")
                print(f"kill {number}: {victim}", flush=True)
                if victim != "task manager":
                    subprocess.run([SERVICE, "kill"], check=True, capture_output=True)
                if victim != "store":
                    cluster.kill_task_manager(randomness.randrange(2))
                    cluster.start_task_manager()
                if victim != "task manager":
                    subprocess.run([SERVICE, "start"], check=True, capture_output=True)
                self.checkpoints(cluster, job)
            self.assertGreaterEqual(rest.restored(job), 2)
            rest.wait_for_state(job, "FINISHED", 120)
            self.assertEqual(committed_lines(cluster.folder / "disturbed"), expected)
            wait_until("all of its files gone", lambda: not keys(f"{self.prefix}/{job}"))

    def test_savepoints_and_offline_tools(self):
        with self.cluster(task_managers=1) as cluster:
            rest = cluster.rest
            job = self.submit(cluster, "one", RATE, records=1_000_000_000)
            rest.wait_for_state(job, "RUNNING")
            self.checkpoints(cluster, job, 2)
            base = ["--rest", rest.address]
            target = f"s3://{BUCKET}/savepoints"
            canonical = weir("savepoint", job, target, *base).stdout.strip()
            native = weir("savepoint", job, target, "--format", "NATIVE", *base).stdout.strip()
            local = weir("stop", job, "--savepoint-path", cluster.folder / "savepoints", *base).stdout.strip()
            self.assertTrue(canonical.startswith(target + "/savepoint-"), canonical)
            wait_until("all of the job's files gone", lambda: not keys(f"{self.prefix}/{job}"))
            for path in (canonical, native, local):
                verified = json.loads(weir_state("verify", path, "--json").stdout)
                self.assertEqual(verified["damages"], [])
                self.assertGreater(verified["files"], 0)
            shown = weir_state("show", canonical, "--operator", "count", "--limit", 5).stdout.splitlines()
            self.assertEqual(len(shown), 5)

            # From the store and from a folder; what is claimed goes when it is replaced.
            for path, request in ((canonical, {}), (local, {}), (native, {"claimMode": "CLAIM"})):
                job = self.submit(cluster, f"from-{len(path)}", RATE, records=1_000_000_000, savepointPath=path, **request)
                rest.wait_for_state(job, "RUNNING")
                self.checkpoints(cluster, job, 2)
                files = keys(f"{self.prefix}/{job}")
                self.assertTrue(any(key.endswith("/_metadata") for key in files), files)
                if request:
                    wait_until("the claimed snapshot gone", lambda: not keys(native.split(f"{BUCKET}/")[1]))
                rest.cancel(job)
                rest.wait_for_state(job, "CANCELED")
            retained = {key.rsplit("/", 1)[0] for key in keys(f"{self.prefix}/{job}") if key.endswith("/_metadata")}
            self.assertEqual(len(retained), 1, "one is kept on cancellation")
            for path in (canonical, f"s3://{BUCKET}/{retained.pop()}"):
                weir("savepoint", "--dispose", path, *base)
            self.assertEqual(keys("savepoints"), [])
            self.assertEqual(keys(f"{self.prefix}/{job}"), [])
            refused = weir("savepoint", "--dispose", canonical, *base, check=1)
            self.assertIn("there is no checkpoint and no savepoint", refused.stdout + refused.stderr)

    def test_tls(self):
        with tls_proxy() as (endpoint, certificate):
            place = f"s3://{BUCKET}/tls/checkpoints"
            settings = [f"s3.endpoint={endpoint}", "s3.path.style.access=true", f"s3.ssl.ca-file={certificate}"]
            with Cluster(task_managers=1, slots=2, options=settings, checkpoint_dir=place) as cluster:
                job = self.submit(cluster, "out", RATE, records=1_000_000_000)
                cluster.rest.wait_for_state(job, "RUNNING")
                self.checkpoints(cluster, job, 2)
                cluster.rest.cancel(job)
                cluster.rest.wait_for_state(job, "CANCELED")
            metadata = next(key for key in keys(f"tls/checkpoints/{job}") if key.endswith("/_metadata"))
            path = f"s3://{BUCKET}/{metadata}"
            definitions = [word for setting in settings for word in ("-D", setting)]
            weir("state", "verify", path, *definitions)
            # One that is not trusted, and one of another host.
            refused = weir("state", "verify", path, *definitions[:4], check=1)
            self.assertIn("no secure connection", refused.stderr)
            other = ["-D", f"s3.endpoint={endpoint.replace('localhost', '127.0.0.1')}", *definitions[2:]]
            refused = weir("state", "verify", path, *other, check=1)
            self.assertIn("no secure connection", refused.stderr)

    def test_what_is_not_right_is_said(self):
        """Wrong keys and a missing bucket end a JobManager at its start; no secret is shown."""
        def start(bucket, **environment):
            return subprocess.run(
                [BIN / "weir-jobmanager", "--rest-port", "0", "--rpc-port", "0", "--checkpoint-dir", f"s3://{bucket}/c",
                 *[f"-D{setting}" for setting in SETTINGS]],
                capture_output=True, text=True, timeout=60, env={**os.environ, **environment})

        wrong = start(BUCKET, AWS_SECRET_ACCESS_KEY="wrong-secret")
        self.assertNotEqual(wrong.returncode, 0)
        self.assertIn("check s3.access-key and s3.secret-key", wrong.stderr)
        self.assertNotIn("wrong-secret", wrong.stdout + wrong.stderr)
        missing = start("there-is-none")
        self.assertNotEqual(missing.returncode, 0)
        self.assertIn("no such bucket", missing.stderr)
        half = start(BUCKET, AWS_SECRET_ACCESS_KEY="")
        self.assertNotEqual(half.returncode, 0)
        self.assertIn("one is missing", half.stderr)
        with Cluster(task_managers=0, checkpoint_dir=f"s3://{BUCKET}/c",
                     options=[*SETTINGS, "s3.access-key=test", f"s3.secret-key={SECRET}"]) as cluster:
            shown = {entry["key"]: entry["value"] for entry in cluster.rest.get("/jobmanager/config")}
            self.assertEqual(shown["s3.secret-key"], "******")
            self.assertEqual(shown["s3.access-key"], "test")
            self.assertNotIn(SECRET, (cluster.folder / "jobmanager.log").read_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)
