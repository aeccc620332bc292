#!/usr/bin/env python3
"""Measures our programs beside a hand-written floor and beside other clients and engines, on one real broker.

    bench/run.py                                   everything of ours against the floor
    bench/run.py clients --peers all               the whole table of clients: consume, produce, first, latency, partitions
    bench/run.py consume produce --peers all       with the peers
    bench/run.py engines --peers kafka-streams,flink --peer-scale 0.2 --rounds 3

Suites: consume, produce, first, latency, partitions (together: clients), engines (workloads a to d, --workloads; see workloads.py). The arms take turns within each round; each run is one
process, its CPU (user + system) and peak memory come from wait4, so that nothing it does is missed; each result is checked
against what was generated. Prints Markdown tables of medians; every run goes to --out as one JSON line.

Needed: Rust, Java 17, Maven. The peers want their own: franz-go Go, librdkafka make and a C compiler. A peer that cannot
be built is left out, and said so; --bin names a folder of arms that were built before.
"""
import argparse, glob, json, os, re, shutil, signal, socket, subprocess, sys, threading, time
from statistics import median

from workloads import FULL, Workloads, flink_command, streams_command

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
WORK = os.path.join(ROOT, "target", "bench")
CLIENT_PEERS = ["franz-go", "krafka", "librdkafka", "confluent-kafka", "java"]
ENGINE_PEERS = ["kafka-streams", "flink"]
CLIENT_SUITES = ["consume", "produce", "first", "latency", "partitions"]
SUITES = CLIENT_SUITES + ["engines"]
# The same records spread over so many partitions, in batches of 64 KiB.
PARTITIONS = [1, 100, 1000]
# name: topic, records, value bytes, codec, bytes of a batch before compression
CONSUME = {"100 B": ("cl-w1", 10_000_000, 100, 0, 65536), "1 KiB": ("cl-w2", 2_000_000, 1024, 0, 65536),
           "100 B lz4": ("cl-w3", 10_000_000, 100, 3, 131072), "100 B zstd": ("cl-w4", 10_000_000, 100, 4, 131072)}
VALGRIND = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
PRODUCE = {"100 B": (5_000_000, 100), "1 KiB": (1_000_000, 1024)}


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(argv, **more):
    return subprocess.run(argv, check=True, **more)


def jars():
    """Kafka's jars, as the tests' harness keeps them; fetched if they are not there."""
    if os.environ.get("KAFKA_LIBS"):
        return os.environ["KAFKA_LIBS"]
    pom = os.path.join(ROOT, "testdata", "kafka", "pom.xml")
    with open(pom) as file:
        version = re.search(r"<kafka.version>(.+)</kafka.version>", file.read())[1]
    # Folders of older versions may lie beside it, and those of the matrix have neither tools nor Kafka Streams.
    have = glob.glob(os.path.join(ROOT, "target", "kafka", "libs-*", f"kafka-streams-{version}.jar"))
    if have:
        return os.path.dirname(have[0])
    libs = os.path.join(WORK, f"libs-{version}")
    if not os.path.isdir(libs):
        say(f"fetching Kafka {version} with Maven")
        run(["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={libs}.new"])
        os.rename(libs + ".new", libs)
    return libs


class Broker:
    """One KRaft node of our own, unless an address was given."""

    def __init__(self, libs, address, pid, data=None):
        self.process, self.address, self.pid, self.data = None, address, pid, data
        if address:
            return
        ports = []
        sockets = [socket.socket() for _ in range(2)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
            ports.append(s.getsockname()[1])
        for s in sockets:
            s.close()
        self.home = data or os.path.join(WORK, f"broker-{os.getpid()}")
        os.makedirs(self.home, exist_ok=True)
        properties = os.path.join(self.home, "server.properties")
        with open(properties, "w") as f:
            f.write(f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{ports[1]}
listeners=PLAINTEXT://127.0.0.1:{ports[0]},CONTROLLER://127.0.0.1:{ports[1]}
advertised.listeners=PLAINTEXT://127.0.0.1:{ports[0]}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={self.home}/data
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.segment.delete.delay.ms=1000
log.retention.ms=-1
""")
        java = ["java", "-Xms1g", "-Xmx1g", "-cp", f"{libs}/*"]
        log = open(os.path.join(self.home, "server.log"), "w")
        run(java + ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", "BenchBenchBenchBenchBQ", "-c", properties],
            stdout=log, stderr=log)
        self.process = subprocess.Popen(java + ["kafka.Kafka", properties], stdout=log, stderr=log)
        self.address, self.pid = f"127.0.0.1:{ports[0]}", self.process.pid
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", ports[0]), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"the broker ended: see {log.name}")
                time.sleep(0.1)
        sys.exit(f"the broker does not listen: see {log.name}")

    def cpu(self):
        if not self.pid:
            return 0.0
        fields = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        if self.process and self.data:
            # Its folder will be used again.
            self.process.terminate()
            self.process.wait()
        elif self.process:
            self.process.kill()
            self.process.wait()
            shutil.rmtree(self.home, ignore_errors=True)


def build(arms, libs, ready, programs, flink):
    """Builds the arms; returns name -> command. What cannot be built is left out. `programs`: folders of the engine's programs that were built before; `flink`: of Flink's jars."""
    bin_dir, classes = os.path.join(WORK, "bin"), os.path.join(WORK, "classes")
    os.makedirs(bin_dir, exist_ok=True)
    os.makedirs(classes, exist_ok=True)
    commands = {}
    for arm in arms:
        folder = os.path.join(HERE, "clients", arm)
        built = os.path.join(ready or "", "franz" if arm == "franz-go" else f"arm-{arm}")
        if ready and arm in CLIENT_PEERS and os.access(built, os.X_OK):
            commands[arm] = [built]
            continue
        try:
            if arm in ("floor", "kafka-proto", "krafka", "librdkafka", "confluent-kafka"):
                run(["cargo", "build", "--release", "-q"], cwd=folder, env={**os.environ, "CARGO_TARGET_DIR": WORK})
                commands[arm] = [os.path.join(WORK, "release", f"arm-{arm}")]
            elif arm == "franz-go":
                run(["go", "build", "-o", os.path.join(bin_dir, "franz"), "."], cwd=folder)
                commands[arm] = [os.path.join(bin_dir, "franz")]
            elif arm == "java":
                run(["javac", "-nowarn", "-d", classes, "-cp", f"{libs}/*", os.path.join(folder, "Arm.java")])
                commands[arm] = ["java", "-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-cp", f"{classes}:{libs}/*", "Arm"]
            elif arm == "engine" and programs:
                commands[arm] = programs
            elif arm == "engine":
                programs = [x for name in ("passthrough", "wordcount", "window_counts", "totals") for x in ("--bin", name)]
                run(["cargo", "build", "--release", "-q", "-p", "examples", "-p", "bench-engine", *programs], cwd=ROOT)
                commands[arm] = [os.path.join(ROOT, "target", "release")]
            elif arm == "kafka-streams":
                commands[arm] = streams_command(libs, classes)
            elif arm == "flink":
                commands[arm] = flink_command(flink or os.path.join(WORK, "flink"), libs, classes)
        except (subprocess.CalledProcessError, OSError, IndexError) as error:
            say(f"LEFT OUT {arm}: {error}")
    return commands


class Bench(Workloads):
    def __init__(self, options, libs, broker, commands):
        self.options, self.libs, self.broker, self.commands = options, libs, broker, commands
        self.rows, self.floor, self.work = [], commands.get("floor", [""])[0], WORK
        os.environ["BOOTSTRAP"] = broker.address
        self.tag = f"{os.getpid()}-{int(time.time()) % 100000}"

    def count(self, n):
        return max(4000, int(n * self.options.scale))

    def once(self, suite, load, arm, argv, records, check, first_line=False):
        env = {**os.environ, **({"FRANZ_POOL": "1"} if arm == "franz-go pools" else {})}
        counts = self.options.instructions and arm.startswith("engine")
        argv = (VALGRIND if counts else []) + argv
        broker, start = self.broker.cpu(), time.monotonic()
        process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        errors = []
        drain = threading.Thread(target=lambda: errors.extend(process.stderr), daemon=True)
        drain.start()
        guard = threading.Timer(self.options.timeout, process.kill)
        guard.start()
        lines, first = [], None
        for line in process.stdout:
            first = first or time.monotonic() - start
            lines.append(line.strip())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        guard.cancel()
        drain.join(5)
        answer = {}
        for line in reversed(lines):
            if line.startswith("{"):
                answer = json.loads(line)
                break
        row = {"suite": suite, "load": load, "arm": arm, "n": records, "cpu": usage.ru_utime + usage.ru_stime,
               "user": usage.ru_utime, "wall": first if first_line and first else time.monotonic() - start,
               "rss_mb": usage.ru_maxrss / 1024, "broker_cpu": self.broker.cpu() - broker, "status": status, **answer}
        if refs := [line for line in errors if "refs:" in line]:
            row["instructions"] = int(refs[0].split()[-1].replace(",", ""))
        # Under valgrind the programs die of their last line, on CPU time: what they wrote is there.
        failed = status and not counts
        row["wrong"] = "status %s: %s" % (status, "".join(errors)[-300:]) if failed else check(answer, lines)
        if row["wrong"]:
            say(f"WRONG {suite} {load} {arm}: {row['wrong']}")
        self.rows.append(row)
        with open(self.options.out, "a") as out:
            out.write(json.dumps(row) + "\n")
        say(f"{suite} {load} {arm}: {row['cpu'] / records * 1e6:.3f} µs a record, {row['cpu']:.2f} s CPU, {row['wall']:.2f} s")

    def topic(self, name):
        run([self.floor, "create", name, "4"], stdout=subprocess.DEVNULL)
        return name

    def delete(self, *names):
        for name in names:
            run([self.floor, "delete", name], stdout=subprocess.DEVNULL)

    def clients(self):
        return {arm: argv for arm, argv in self.commands.items() if arm not in ("engine", "kafka-streams", "flink")}

    def consume(self):
        for load, (topic, n, size, codec, batch) in CONSUME.items():
            if self.options.load and self.options.load != load:
                continue
            n, topic = self.count(n), f"{topic}-{self.tag}"
            run([self.floor, "gen", topic, str(n), str(size), str(codec), str(batch)], stdout=subprocess.DEVNULL)
            arms = {}
            for arm, argv in self.clients().items():
                argv = argv + ["consume", topic, str(n)]
                if arm == "kafka-proto":
                    arms["kafka-proto batches"], arms["kafka-proto records"] = argv + ["batches"], argv + ["records"]
                elif arm == "floor":
                    arms[arm] = argv + ["walk"]
                elif arm == "java":
                    arms[arm] = argv + ["group", "group.protocol=classic"]
                elif arm == "krafka":
                    arms[arm], arms["krafka tuned"] = argv + ["0", "-1"], argv + ["500", "20000"]
                elif arm == "librdkafka":
                    arms[arm] = argv + ["batch"]
                elif arm == "confluent-kafka":
                    arms[arm] = argv + ["bytes"]
                elif arm == "franz-go":
                    arms[arm], arms["franz-go pools"] = argv, argv
            whole = lambda answer, _: "" if (answer.get("count"), answer.get("bytes")) == (n, n * size) else str(answer)
            for _ in range(self.options.rounds):
                for arm, argv in arms.items():
                    self.once("consume", load, arm, argv, n, whole)
            self.delete(topic)

    def partitions(self):
        """The same reading from 1, 100 and 1,000 partitions, in turn: the first is the baseline of the others."""
        _, n, size, codec, batch = CONSUME["100 B"]
        n = self.count(n)
        topics = {count: f"cl-parts-{count}-{self.tag}" for count in PARTITIONS}
        for count, topic in topics.items():
            run([self.floor, "gen", topic, str(n), str(size), str(codec), str(batch), str(count)], stdout=subprocess.DEVNULL)
        whole = lambda answer, _: "" if (answer.get("count"), answer.get("bytes")) == (n, n * size) else str(answer)
        for _ in range(self.options.rounds):
            for how in "batches", "records":
                for count, topic in topics.items():
                    argv = self.commands["kafka-proto"] + ["consume", topic, str(n), how]
                    self.once("partitions", f"100 B, {how}", f"{count:,} partitions", argv, n, whole)
        self.delete(*topics.values())

    def produce(self):
        for load, (n, size) in PRODUCE.items():
            if self.options.load and self.options.load != load:
                continue
            n = self.count(n)
            arms = {}
            for arm, argv in self.clients().items():
                if arm == "kafka-proto":
                    arms["kafka-proto lent batch"], arms["kafka-proto send"] = argv + ["produce", "T", str(n), str(size), "lent"], argv + ["produce", "T", str(n), str(size), "send"]
                else:
                    arms[arm] = argv + ["produce", "T", str(n), str(size)] + (["build"] if arm == "floor" else [])
            whole = lambda answer, _: "" if answer.get("count", 0) >= n and not answer.get("failed") else str(answer)
            for round in range(self.options.rounds):
                for arm, argv in arms.items():
                    topic = self.topic(f"cl-p-{self.tag}-{round}-{arm.replace(' ', '-')}-{size}")
                    self.once("produce", load, arm, [topic if a == "T" else a for a in argv], n, whole)
                    self.delete(topic)

    def first(self):
        topic = f"cl-small-{self.tag}"
        run([self.floor, "gen", topic, "1000", "100", "0", "65536"], stdout=subprocess.DEVNULL)
        arms = {arm: argv + ["first", topic] + (["group.protocol=classic"] if arm == "java" else [])
                for arm, argv in self.clients().items()}
        for _ in range(max(self.options.rounds, 7)):
            for arm, argv in arms.items():
                self.once("first", "start to first record", arm, argv, 1, lambda _, lines: "" if lines else "nothing", True)
        self.delete(topic)

    def latency(self):
        for _ in range(self.options.rounds):
            for arm, argv in self.clients().items():
                topic = self.topic(f"cl-l-{self.tag}-{arm}-{len(self.rows)}")
                extra = ["group.protocol=classic"] if arm == "java" else []
                self.once("latency", "1,000 records/s, 20 s", arm, argv + ["latency", topic, "1000", "20"] + extra, 22000,
                          lambda answer, _: "" if "p99_ms" in answer else str(answer))
                self.delete(topic)

    def tables(self):
        self.engine_tables()
        for suite, load in dict.fromkeys((row["suite"], row["load"]) for row in self.rows if row["suite"] != "engines"):
            rows = [row for row in self.rows if (row["suite"], row["load"]) == (suite, load)]
            print(f"\n### {suite}: {load}\n")
            heads = {"first": "ms, start to first record | best | CPU ms | peak MB", "latency": "p50 ms | p99 ms | CPU s | peak MB"}
            print(f"| arm | runs | {heads.get(suite, 'CPU µs a record | ratio | CPU s | user s | wall s | peak MB | broker CPU s')} |")
            print("|---|--:" + "|--:" * (4 if suite in heads else 7) + "|")
            base = None
            for arm in dict.fromkeys(row["arm"] for row in rows):
                mine = [row for row in rows if row["arm"] == arm]
                good = [row for row in mine if not row["wrong"]]
                if not good:
                    print(f"| {arm} | all {len(mine)} wrong |")
                    continue
                of = lambda key: median(row[key] for row in good)
                runs = f"{len(good)}" + (f" ({len(mine) - len(good)} wrong)" if len(good) < len(mine) else "")
                if suite == "first":
                    print(f"| {arm} | {runs} | {of('wall') * 1000:.1f} | {min(r['wall'] for r in good) * 1000:.1f} | {of('cpu') * 1000:.0f} | {of('rss_mb'):.0f} |")
                elif suite == "latency":
                    print(f"| {arm} | {runs} | {of('p50_ms'):.2f} | {of('p99_ms'):.2f} | {of('cpu'):.2f} | {of('rss_mb'):.0f} |")
                else:
                    cost = of("cpu") / good[0]["n"] * 1e6
                    base = base or cost
                    print(f"| {arm} | {runs} | {cost:.3f} | {cost / base:.2f} | {of('cpu'):.2f} | {of('user'):.2f} | {of('wall'):.2f} | {of('rss_mb'):.0f} | {of('broker_cpu'):.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", default=["consume", "produce", "first", "engines"], metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--peers", default="", help=f"all, or some of {','.join(CLIENT_PEERS + ENGINE_PEERS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the records")
    parser.add_argument("--peer-scale", type=float, help="the same for other engines, which take longer; default: as ours")
    parser.add_argument("--workloads", default="abcd", help="engines: which of a, b, c, d")
    parser.add_argument("--arm", help="engines: only arms whose name contains this")
    parser.add_argument("--commit", type=int, help="engines: our commit.interval.ms, 100 unless given")
    parser.add_argument("--data", help="a folder for the broker that stays, so that inputs are made once")
    parser.add_argument("--programs", action="append", help="a folder of our programs that were built before; of two or more, all take turns and are compared with the first")
    parser.add_argument("--instructions", action="store_true", help="engines: count the instructions of ours with valgrind, CPU and times mean nothing then; best with --commit 600000")
    parser.add_argument("--flink", help="a folder of Flink's jars, filled if it is empty")
    parser.add_argument("--load", help=f"one load only: {', '.join(CONSUME)}")
    parser.add_argument("--threads", type=int, default=2, help="worker threads of the engine")
    parser.add_argument("--bootstrap-servers", help="a broker that runs already")
    parser.add_argument("--broker-pid", type=int, help="its process, to count its CPU too")
    parser.add_argument("--timeout", type=float, default=300, help="seconds after which a run is killed")
    parser.add_argument("--bin", help="a folder of peers' arms that were built before: arm-krafka, arm-librdkafka, arm-confluent-kafka, franz")
    parser.add_argument("--out", default=os.path.join(WORK, "results.jsonl"))
    options = parser.parse_args()
    options.peer_scale = options.peer_scale or options.scale
    if set(options.workloads) - set(FULL):
        parser.error("workloads are a, b, c, d")
    options.suites = [suite for name in options.suites for suite in (CLIENT_SUITES if name == "clients" else [name])]
    if unknown := set(options.suites) - set(SUITES):
        parser.error(f"no suite {', '.join(unknown)}; there are {', '.join(SUITES)}")
    peers = CLIENT_PEERS + ENGINE_PEERS if options.peers == "all" else [p for p in options.peers.split(",") if p]
    if unknown := set(peers) - set(CLIENT_PEERS + ENGINE_PEERS):
        parser.error(f"no peer {', '.join(unknown)}; there are {', '.join(CLIENT_PEERS + ENGINE_PEERS)}")
    os.makedirs(WORK, exist_ok=True)
    libs = jars()
    client_suites = set(CLIENT_SUITES) & set(options.suites)
    engine_suites = {"engines"} & set(options.suites)
    arms = ["floor"] if client_suites or "b" in options.workloads else []
    arms += ["kafka-proto"] + [p for p in peers if p in CLIENT_PEERS] if client_suites else []
    arms += ["engine"] + [p for p in peers if p in ENGINE_PEERS] if engine_suites else []
    if engine_suites:
        # Its classes make and check the data too.
        os.makedirs(os.path.join(WORK, "classes"), exist_ok=True)
        streams_command(libs, os.path.join(WORK, "classes"))
    say("building " + ", ".join(arms))
    commands = build(arms, libs, options.bin, options.programs, options.flink)
    broker = Broker(libs, options.bootstrap_servers, options.broker_pid, options.data)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        bench = Bench(options, libs, broker, commands)
        for suite in options.suites:
            getattr(bench, suite)()
        bench.tables()
    finally:
        broker.stop()


main()
