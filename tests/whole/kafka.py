"""A real Kafka broker on loopback, one process, with TLS and SCRAM: its jars come from Maven."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collectors.ports import free_ports
from tests.whole.fetch import CACHE, cannot, making

VERSION = "4.0.0"
FETCH_S = 600
START_S = 90
STARTS = 3
USERNAME = "spanpipe"
PASSWORD = "of-this-test"  # noqa: S105 - of a broker that lives for a test
LOGIN = (
    "org.apache.kafka.common.security.scram.ScramLoginModule required "
    f'username="{USERNAME}" password="{PASSWORD}";'
)
DEPENDENCY = (
    "<dependency><groupId>org.apache.kafka</groupId><artifactId>{name}</artifactId>"
    f"<version>{VERSION}</version></dependency>"
)
POM = (
    '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    "<groupId>tests</groupId><artifactId>kafka</artifactId><version>1</version><dependencies>"
    f"{DEPENDENCY.format(name='kafka_2.13')}{DEPENDENCY.format(name='kafka-tools')}"
    "</dependencies></project>"
)
SERVER = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=SASL_SSL://127.0.0.1:{port}
inter.broker.listener.name=SASL_SSL
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login}
ssl.keystore.type=PEM
ssl.keystore.location={folder}/kafka.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
message.max.bytes=4194304
"""
CLIENT = """\
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config={login}
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
"""
CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
TOPIC = "otlp_spans"
PARTITIONS = 4


def jars() -> Path:
    """The folder with Kafka's jars; the first call fetches 50 MB."""
    kept = CACHE / f"kafka-{VERSION}"
    with making(kept) as wanting:
        if wanting:
            _fetch(kept)
    return kept


def _fetch(kept: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None:
        cannot("mvn and java are not installed, which Kafka's broker needs")
        return
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        (Path(folder) / "pom.xml").write_text(POM)
        command = [maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=FETCH_S, check=False
        )
        if done.returncode:
            cannot(f"Kafka's jars cannot be fetched: {done.stdout.strip()[-300:]}")
        (Path(folder) / "jars").rename(kept)


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """``host:port`` of a broker that has `TOPIC`.

    `folder` holds ``kafka.pem``, key (PKCS #8) and certificates, and ``ca.pem``.
    """
    java = ["java", "-Xmx300m", "-cp", f"{jars()}/*"]
    (folder / "client.properties").write_text(CLIENT.format(login=LOGIN, folder=folder))
    for _ in range(STARTS):
        port, controller = free_ports(2)
        (folder / "server.properties").write_text(
            SERVER.format(port=port, controller=controller, login=LOGIN, folder=folder)
        )
        shutil.rmtree(folder / "data", ignore_errors=True)
        scram = f"SCRAM-SHA-512=[name={USERNAME},password={PASSWORD}]"
        command = [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID]
        command += ["-c", "server.properties", "--add-scram", scram]
        done = _run(command, folder)
        assert done.returncode == 0, done.stdout + done.stderr
        process = subprocess.Popen(
            [*java, "kafka.Kafka", "server.properties"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            # It waits for the broker.
            command = [*java, "org.apache.kafka.tools.TopicCommand"]
            command += ["--bootstrap-server", f"127.0.0.1:{port}"]
            command += ["--command-config", "client.properties"]
            command += ["--create", "--topic", TOPIC, "--partitions", str(PARTITIONS)]
            done = _run(command, folder)
            if done.returncode == 0:
                yield f"127.0.0.1:{port}"
                return
            # Where it has ended, a port that was free a moment ago was another's.
            assert process.poll() is not None, done.stdout + done.stderr
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    raise AssertionError(f"no broker in {STARTS} tries")


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=START_S, check=False
    )
