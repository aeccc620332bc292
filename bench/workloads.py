"""The four workloads of engines, through one real broker: a pass-through, b word count, c windows over JSON, d count and sum for 2 million keys.

Mixed into run.py's Bench. Each input is a function of the record's number (engines/java/Inputs.java), and each output is checked against
what that function says. The input topics are kept as long as the broker's folder is (--data), so that they are made once.
"""
import glob, json, os, shutil, subprocess, sys, threading, time
from statistics import median

HERE = os.path.dirname(os.path.abspath(__file__))
JAVA = os.path.join(HERE, "engines", "java")
FLINK = "2.3.0"
FULL = {"a": 10_000_000, "b": 2_000_000, "c": 10_000_000, "d": 10_000_000}
WHAT = {"a": "pass-through, 10 M records of 100 B", "b": "word count, 2 M lines = 20 M words", "c": "10 s windows over 10 M JSON readings, 100,000 sensors",
        "d": "count and sum, 10 M records, 2 M keys"}
GOALS = {"a engine relay": 0.9, "a engine by key": 2.2, "b engine": 0.9, "c engine": 2.8, "d engine": 2.8}
OPENS = ["java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect", "java.text", "java.time", "java.util",
         "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks"]
QUIET = """<Configuration status="WARN"><Appenders><Console name="C"/></Appenders><Loggers><Root level="WARN"><AppenderRef ref="C"/></Root></Loggers></Configuration>"""


def say(text):
    print(text, file=sys.stderr, flush=True)


def flink_command(folder, libs, classes):
    """What starts a job of Flink's in one process. Fetched from PyPI (Flink's jars are in a wheel there) and Maven Central where it is not there."""
    have = os.path.join(folder, "flink", "pyflink", "lib")
    if not glob.glob(os.path.join(have, "flink-dist-*.jar")):
        say(f"fetching Flink {FLINK} (330 MB) into {folder}")
        wheels = os.path.join(folder, "dl")
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", wheels, f"apache-flink-libraries=={FLINK}"], check=True)
        wheel = glob.glob(os.path.join(wheels, "apache_flink_libraries-*"))[0]
        subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, os.path.join(folder, "flink")], check=True)
    more = os.path.join(folder, "flinkdeps")
    if not glob.glob(os.path.join(more, "flink-connector-kafka*")):
        subprocess.run(["mvn", "-q", "-B", "-f", os.path.join(JAVA, "flink-deps.pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={more}"], check=True)
    # Flink's own jar holds these already.
    for twice in glob.glob(os.path.join(more, "flink-connector-base*")) + glob.glob(os.path.join(more, "flink-statebackend*")):
        os.remove(twice)
    jackson = [jar for name in ("core", "databind", "annotations") for jar in glob.glob(os.path.join(libs, f"jackson-{name}-*.jar"))]
    path = ":".join([f"{have}/*", f"{more}/*", *jackson])
    to = os.path.join(classes, "flink")
    os.makedirs(to, exist_ok=True)
    sources = [os.path.join(JAVA, f"{x}.java") for x in ("Inputs", "Progress", "Sensor", "FlinkSql", "FlinkApp")]
    subprocess.run(["javac", "-nowarn", "-cp", path, "-d", to, *sources], check=True)
    opens = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENS]
    return ["java", "-Xmx3g", "-XX:+UseG1GC", quiet(classes), *opens, "-cp", f"{to}:{path}", "FlinkApp"]


def streams_command(libs, classes):
    sources = [os.path.join(JAVA, f"{x}.java") for x in ("Inputs", "Gen", "Progress", "Sensor", "StreamsApp", "Tool")]
    subprocess.run(["javac", "-nowarn", "-cp", f"{libs}/*", "-d", classes, *sources], check=True)
    return ["java", "-Xmx3g", "-XX:+UseG1GC", quiet(classes), "-cp", f"{classes}:{libs}/*", "StreamsApp"]


def quiet(classes):
    path = os.path.join(classes, "log4j2.xml")
    with open(path, "w") as file:
        file.write(QUIET)
    return f"-Dlog4j2.configurationFile={path}"


class Workloads:
    """Needs of its class: options, libs, broker, commands, work, once()."""

    def tool(self, *arguments):
        classes = os.path.join(self.work, "classes")
        return subprocess.run(["java", "-Xmx3g", "-cp", f"{classes}:{self.libs}/*", "Tool", self.broker.address, *arguments],
                              capture_output=True, text=True)

    def ends(self, prefix):
        """Records in all topics that begin so."""
        lines = [line.split() for line in self.tool("ends", prefix).stdout.splitlines()]
        return {topic: int(end) for topic, end in lines}

    def input(self, workload, n):
        """The topic of so many records, made if the broker does not have it yet; and for the words of so many lines, their number."""
        kind = "a" if workload == "d" else workload
        topic = f"en-in-{kind}-{n}"
        # A topic that was left half full has another number of records.
        want = n + (4 if kind == "c" else 0)
        if self.ends(topic).get(topic) != want:
            self.tool("delete", topic)
            say(f"making {topic}")
            classes = os.path.join(self.work, "classes")
            made = subprocess.run(["java", "-Xmx2g", "-cp", f"{classes}:{self.libs}/*", "Gen", self.broker.address, kind, str(n), topic],
                                  capture_output=True, text=True)
            if made.returncode:
                sys.exit(made.stdout + made.stderr)
        return topic

    def stages(self, workload, n):
        """How many records pass the last stage of Kafka Streams, which must know when it is done."""
        if workload in "ad":
            return n
        return int(self.tool("words" if workload == "b" else "windows", str(n)).stdout.split()[-1])

    def engine_arms(self, workload, topic):
        program = {"a": "passthrough", "b": "wordcount", "c": "window_counts", "d": "totals"}[workload]
        more = ["--commit-interval-ms", str(self.options.commit)] if self.options.commit else []
        start = lambda folder, *extra: lambda app, out, state: [
            os.path.join(folder, program), "--bootstrap-servers", self.broker.address, "--input", topic, "--output", out,
            "--group-id", app, "--state-dir", state, "--until-end", "--stats", "--threads", str(self.options.threads), *more, *extra]
        arms = {"engine relay": [], "engine by key": ["--by-key"]} if workload == "a" else {"engine": []}
        folders = self.commands["engine"]
        # Those of several builds are named by their folders.
        of = lambda folder: f" {os.path.basename(os.path.abspath(folder))}" if len(folders) > 1 else ""
        return {arm + of(folder): start(folder, *extra) for arm, extra in arms.items() for folder in folders}

    def streams_arms(self, workload, topic, n):
        start = lambda *options: lambda app, out, state: [
            *self.commands["kafka-streams"], self.broker.address, workload, topic, out, app, state, "eos=0", f"inputs={n}",
            f"threads={self.options.threads}", f"last={self.stages(workload, n)}", *options]
        if workload == "a":
            return {"kafka-streams": start()}
        return {"kafka-streams memory": start("store=mem"), "kafka-streams RocksDB": start("store=rocks")}

    def flink_arms(self, workload, topic, n):
        start = lambda *options: lambda app, out, state: [
            *self.commands["flink"], self.broker.address, workload, topic, out, app, state, "eos=0", f"inputs={n}", f"par={self.options.threads}", *options]
        arms = {"flink": start("ckpt=10000" if workload == "d" else "ckpt=1000")}
        if workload == "d":
            arms["flink RocksDB"] = start("ckpt=10000", "backend=rocksdb", "incr=1")
        return arms

    def engines(self):
        for workload in self.options.workloads:
            arms = []
            for name, scale in (("engine", self.options.scale), ("kafka-streams", self.options.peer_scale), ("flink", self.options.peer_scale)):
                if name not in self.commands:
                    continue
                n = max(4000, int(FULL[workload] * scale))
                topic = self.input(workload, n)
                made = self.engine_arms(workload, topic) if name == "engine" else \
                    self.streams_arms(workload, topic, n) if name == "kafka-streams" else self.flink_arms(workload, topic, n)
                arms += [(arm, argv, n) for arm, argv in made.items() if not self.options.arm or self.options.arm in arm]
            if workload == "b" and "floor" in self.commands and not self.options.arm:
                n = max(4000, int(FULL["b"] * self.options.scale))
                topic = self.input("b", n)
                arms.insert(0, ("one loop by hand", lambda app, out, state, topic=topic: [self.floor, "wordcount", topic, out], n))
            for round in range(self.options.rounds):
                for arm, argv, n in arms:
                    self.workload(workload, arm, argv, n, round)
            if not self.options.data:
                self.tool("delete", "en-in-")

    def workload(self, workload, arm, argv, n, round):
        app = f"en-{workload}-{self.tag}-{round}-{arm.replace(' ', '-')}"
        out = app + "-out"
        self.tool("create", out)
        state = os.path.join(self.work, "state", app)
        os.makedirs(state)
        written, answers = {}, {}

        def check(answer, lines):
            done = self.tool("check", workload, out, str(n))
            text = (done.stdout + done.stderr).strip()
            for topic, end in self.ends(app).items():
                kind = "out" if topic == out else "changelog" if "changelog" in topic else "between"
                written[kind] = written.get(kind, 0) + end
            # A JVM's start weighs much in a short run: what a record cost in the middle of it.
            for line in lines:
                if line.startswith("DONE ") and (per_cpu := float(dict(x.split("=") for x in line.split()[1:]).get("mid_per_cpu", 0))):
                    answers["middle"] = 1e6 / per_cpu
            return "" if "CHECK OK" in text else text[-300:] or "no check: " + "".join(lines)[-300:]

        self.once("engines", workload, arm, argv(app, out, state), n, check)
        self.rows[-1].update(written=written, **answers)
        self.tool("delete", app)
        shutil.rmtree(state, ignore_errors=True)

    def engine_tables(self):
        rows = [row for row in self.rows if row["suite"] == "engines"]
        median = lambda values: sorted(values)[len(values) // 2]
        for workload in dict.fromkeys(row["load"] for row in rows):
            print(f"\n### {workload}: {WHAT[workload]}\n")
            print("All at least once. CPU is user and system of the whole process, its start included; the broker's is apart. \"times ours\" compares the middle 60 % of the input.\n")
            print("| arm | runs | records | CPU s | µs a record | in the middle 60 % | times ours | goal, CPU s | wall s | peak MB | broker CPU s | written out | changelog | between |")
            print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
            base = None
            for arm in dict.fromkeys(row["arm"] for row in rows if row["load"] == workload):
                mine = [row for row in rows if (row["load"], row["arm"]) == (workload, arm)]
                good = [row for row in mine if not row["wrong"]]
                if not good:
                    print(f"| {arm} | all {len(mine)} wrong |")
                    continue
                of = lambda key: median([row[key] for row in good])
                written = lambda kind: f"{median([row['written'].get(kind, 0) for row in good]):,}"
                runs = f"{len(good)}" + (f" ({len(mine) - len(good)} wrong)" if len(good) < len(mine) else "")
                n = good[0]["n"]
                cost = of("cpu") / n * 1e6
                middle = median([row.get("middle", cost) for row in good])
                if arm.startswith("engine") and "relay" not in arm:
                    base = cost
                goal = next((goal for name, goal in GOALS.items() if f"{workload} {arm}".startswith(name)), "")
                print(f"| {arm} | {runs} | {n:,} | {of('cpu'):.2f} | {cost:.3f} | {middle:.3f} | {f'{middle / base:.1f}' if base else ''} | {goal} | {of('wall'):.1f} | "
                      f"{of('rss_mb'):.0f} | {of('broker_cpu'):.1f} | {written('out')} | {written('changelog')} | {written('between')} |")
        if len(self.commands.get("engine", [])) > 1:
            self.build_tables(rows)

    def build_tables(self, rows):
        """Each build of our programs against the first: CPU seconds and, where they were counted, instructions."""
        names = [os.path.basename(os.path.abspath(folder)) for folder in self.commands["engine"]]
        print("\n### Builds compared\n\n| workload | measure | runs | " + " | ".join(names) + " |\n|---|---|--:|" + "--:|" * len(names))
        arms = dict.fromkeys((row["load"], row["arm"].removesuffix(" " + names[0])) for row in rows if row["arm"].endswith(" " + names[0]))
        for workload, arm in arms:
            for measure in ("instructions",) if self.options.instructions else ("cpu", "user"):
                values = [[row[measure] for row in rows if (row["load"], row["arm"]) == (workload, f"{arm} {name}") and not row["wrong"]] for name in names]
                if all(values):
                    medians = [median(of) for of in values]
                    cells = " | ".join(f"{m:,.2f} ({m / medians[0]:.3f})" for m in medians)
                    print(f"| {workload} {arm} | {measure} | {min(map(len, values))} | {cells} |")
