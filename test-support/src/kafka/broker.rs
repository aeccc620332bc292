//! Brokers: a directory, a configuration, one process a node, and the certainty that what answers is what was started.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{available, jars, wire};

/// How long a cluster may take until it answers. Only a guard: it usually takes three seconds.
const START_LIMIT: Duration = Duration::from_secs(90);

const LOG4J: &str = r#"<Configuration status="WARN"><Appenders><Console name="C"><PatternLayout pattern="[%d] %p %m (%c)%n"/>
</Console></Appenders><Loggers><Root level="WARN"><AppenderRef ref="C"/></Root></Loggers></Configuration>"#;

/// What kind of cluster to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of nodes, each broker and controller.
    pub nodes: u32,
    /// Further server properties; they override the harness's own.
    pub properties: Vec<(String, String)>,
    /// The server's largest heap.
    pub heap_mb: u32,
    /// The servers' version, such as `4.0.1`; the newest when not given. The tools are always the newest version's.
    pub version: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 1,
            properties: Vec::new(),
            heap_mb: 512,
            version: None,
        }
    }
}

impl Options {
    /// A cluster of several nodes.
    #[must_use]
    pub fn nodes(nodes: u32) -> Self {
        Self {
            nodes,
            ..Self::default()
        }
    }

    /// One node of a version of Kafka, 3.3 or later: as KRaft has it.
    #[must_use]
    pub fn version(version: &str) -> Self {
        Self {
            version: Some(version.to_owned()),
            ..Self::default()
        }
    }

    /// Adds a server property.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running cluster of one or several nodes. Dropping it kills the processes and removes their directory; so does the
/// end of this process, however it comes, because each node hangs on a pipe that the kernel closes.
#[derive(Debug)]
pub struct Broker {
    directory: PathBuf,
    cluster_id: String,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    id: i32,
    address: SocketAddr,
    home: PathBuf,
    java: Vec<String>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    /// The shell that waits on `_pipe` and kills the server when that closes.
    shell: Child,
    pipe: Option<ChildStdin>,
    server: Pid,
}

impl Broker {
    /// Starts one node with the harness's defaults.
    ///
    /// # Panics
    /// When no broker can be started; the text holds the end of the server's log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&Options::default())
    }

    /// Starts a cluster and waits until all its nodes answer with the cluster id just made.
    ///
    /// # Panics
    /// When it does not come up; the text holds the end of the server's log.
    #[must_use]
    pub fn start_with(options: &Options) -> Self {
        // A port found free may be taken before the server binds it: then all of it once more.
        let mut trouble = String::new();
        for _ in 0..3 {
            match Self::try_start(options) {
                Ok(broker) => return broker,
                Err(error) => trouble = error,
            }
            if !trouble.contains("Address already in use") {
                break;
            }
        }
        panic!("no Kafka: {trouble}");
    }

    fn try_start(options: &Options) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let newest = available()?;
        let libs = match &options.version {
            Some(version) => jars::fetch_version(version)?,
            None => newest,
        };
        let started = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = jars::target_dir()?
            .join("kafka")
            .join(format!("cluster-{}-{started}", std::process::id()));
        let cluster_id = wire::cluster_id();
        let count = options.nodes.max(1);
        let ports = free_ports(count as usize * 2);
        let voters: Vec<String> = (0..count as usize)
            .map(|i| format!("{}@127.0.0.1:{}", i + 1, ports[2 * i + 1]))
            .collect();
        let mut nodes = Vec::new();
        for (index, ports) in ports.chunks(2).enumerate() {
            let id = i32::try_from(index).expect("few nodes") + 1;
            let home = directory.join(format!("node-{id}"));
            prepare(&home, id, ports, &voters.join(","), options)
                .map_err(|error| format!("preparing a node: {error}"))?;
            let classpath = format!("{}/*", libs.display());
            let logging = format!(
                "-Dlog4j2.configurationFile={}",
                home.join("log4j2.xml").display()
            );
            // The serial collector and the first compiler only: a test's broker lives for seconds, on few cores.
            let java = [
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                &logging,
                "-cp",
                &classpath,
            ];
            let java: Vec<String> = java.iter().map(|&argument| argument.to_owned()).collect();
            let format = Command::new("java")
                .args(&java)
                .args(["kafka.tools.StorageTool", "format", "-t", &cluster_id, "-c"])
                .arg(home.join("server.properties"))
                .output()
                .map_err(|error| format!("running java: {error}"))?;
            if !format.status.success() {
                let text = [format.stdout, format.stderr].concat();
                return Err(format!(
                    "formatting the storage: {}",
                    String::from_utf8_lossy(&text).trim()
                ));
            }
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0]));
            let mut java = java;
            java.insert(0, format!("-Xmx{}m", options.heap_mb));
            nodes.push(Node {
                id,
                address,
                home,
                java,
                running: Mutex::new(None),
            });
        }
        let broker = Self {
            directory,
            cluster_id,
            nodes,
        };
        for node in &broker.nodes {
            node.start()?;
        }
        broker.wait_until_up()?;
        Ok(broker)
    }

    /// `host:port` of every node, comma-separated, for `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        let addresses: Vec<String> = self
            .nodes
            .iter()
            .map(|node| node.address.to_string())
            .collect();
        addresses.join(",")
    }

    /// The id this cluster was formatted with.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Address of one node; the first one has id 1.
    #[must_use]
    pub fn address(&self, id: i32) -> SocketAddr {
        self.node(id).address
    }

    /// A directory for the test's own files, removed with the broker.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The folder of a node's logs (`log.dirs`).
    #[must_use]
    pub fn log_dir(&self, id: i32) -> PathBuf {
        self.node(id).home.join("data")
    }

    /// Process id of a node's server, while it runs.
    #[must_use]
    pub fn pid(&self, id: i32) -> Option<u32> {
        let running = self
            .node(id)
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        running
            .as_ref()
            .map(|running| running.server.as_raw_nonzero().get().unsigned_abs())
    }

    /// Kills a node with SIGKILL and waits until it is gone.
    pub fn kill(&self, id: i32) {
        self.node(id).stop();
    }

    /// Ends a node in order (SIGTERM): it hands its leaderships on first. Waits until it is gone; after a minute it is killed.
    pub fn shut_down(&self, id: i32) {
        let node = self.node(id);
        node.signal(Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(60);
        while node.server_lives() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        node.stop();
    }

    /// Starts a node that was killed or shut down, on its old port with its old data, and waits until the cluster answers.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn restart(&self, id: i32) {
        self.node(id).stop();
        let started = self.node(id).start().and_then(|()| self.wait_until_up());
        if let Err(trouble) = started {
            panic!("restarting node {id}: {trouble}");
        }
    }

    /// Freezes a node (SIGSTOP): it accepts connections and never answers.
    pub fn pause(&self, id: i32) {
        self.node(id).signal(Signal::STOP);
    }

    /// Lets a frozen node go on.
    pub fn resume(&self, id: i32) {
        self.node(id).signal(Signal::CONT);
    }

    /// Creates a topic, on as many nodes as there are (at most 3), and waits until each partition has a leader.
    ///
    /// # Panics
    /// When the broker refuses it.
    pub fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let replication = i16::try_from(self.nodes.len().min(3)).expect("at most 3");
        let mut refused = String::new();
        let deadline = Instant::now() + START_LIMIT;
        // Any broker forwards it to the controller; while an election is under way it is asked again.
        while Instant::now() < deadline {
            match wire::create_topic(self.any_address(), name, partitions, replication, configs) {
                Ok(0 | 36) => break,
                Ok(code @ (41 | 7)) => refused = format!("error code {code}"),
                Ok(code) => panic!("creating topic {name}: the broker answered error code {code}"),
                Err(error) => refused = error.to_string(),
            }
            thread::sleep(Duration::from_millis(50));
        }
        while Instant::now() < deadline {
            match wire::partitions_with_leader(self.any_address(), name) {
                Ok(count) if usize::try_from(partitions) == Ok(count) => return,
                Ok(count) => refused = format!("{count} of {partitions} partitions have a leader"),
                Err(error) => refused = error.to_string(),
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("creating topic {name}: {refused}");
    }

    /// The offset after the last record of each partition, as the first node knows it.
    ///
    /// # Panics
    /// When the node leads not all of them or does not answer.
    #[must_use]
    pub fn end_offsets(&self, topic: &str, partitions: i32) -> Vec<i64> {
        wire::end_offsets(self.any_address(), topic, partitions)
            .unwrap_or_else(|error| panic!("asking for the ends of {topic}: {error}"))
    }

    /// The leader of each partition, −1 where there is none, as any running node knows it.
    ///
    /// # Panics
    /// When that node does not answer.
    #[must_use]
    pub fn leaders(&self, topic: &str) -> Vec<i32> {
        let partitions = self.partitions(topic);
        partitions
            .iter()
            .map(|partition| partition.leader)
            .collect()
    }

    /// Waits until all replicas of a topic's partitions are in sync: only then may the next node be stopped.
    ///
    /// # Panics
    /// When that does not come.
    pub fn wait_in_sync(&self, topic: &str) {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let known = wire::partitions(self.any_address(), topic);
            if known.is_ok_and(|all| all.iter().all(|of| of.in_sync == of.replicas)) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the replicas of {topic} do not catch up"
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn partitions(&self, topic: &str) -> Vec<wire::Partition> {
        wire::partitions(self.any_address(), topic)
            .unwrap_or_else(|error| panic!("asking for the partitions of {topic}: {error}"))
    }

    /// The end of a node's log, for error messages.
    #[must_use]
    pub fn log_tail(&self, id: i32) -> String {
        self.node(id).log_tail()
    }

    fn node(&self, id: i32) -> &Node {
        self.nodes
            .iter()
            .find(|node| node.id == id)
            .unwrap_or_else(|| panic!("there is no node {id}"))
    }

    fn any_address(&self) -> SocketAddr {
        let up = self.nodes.iter().find(|node| node.is_running());
        up.unwrap_or_else(|| panic!("every node was stopped"))
            .address
    }

    fn wait_until_up(&self) -> Result<(), String> {
        let deadline = Instant::now() + START_LIMIT;
        let wanted = self.nodes.iter().filter(|node| node.is_running()).count();
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            loop {
                let seen = match wire::cluster(node.address) {
                    Ok((id, _)) if id != self.cluster_id => {
                        return Err(format!(
                            "{} answers as another cluster: Address already in use",
                            node.address
                        ));
                    }
                    Ok((_, brokers)) if brokers >= wanted => break,
                    Ok((_, brokers)) => format!("it sees {brokers} of {wanted} brokers"),
                    Err(error) => error.to_string(),
                };
                if !node.server_lives() {
                    return Err(format!("node {} ended:\n{}", node.id, node.log_tail()));
                }
                if Instant::now() > deadline {
                    return Err(format!(
                        "node {} is not up ({seen}):\n{}",
                        node.id,
                        node.log_tail()
                    ));
                }
                thread::sleep(Duration::from_millis(30));
            }
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.stop();
        }
        if std::env::var_os("KAFKA_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

impl Node {
    fn start(&self) -> Result<(), String> {
        let io = |error: std::io::Error| format!("starting node {}: {error}", self.id);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.home.join("server.log"))
            .map_err(io)?;
        let pid_file = self.home.join("pid");
        let _ = fs::remove_file(&pid_file);
        // The shell lives as long as its standard input: when this process ends in whatever way, the pipe closes and
        // the server is killed. A group of its own keeps the terminal's Ctrl-C from ending the shell first.
        let script = r#"home=$1; keep=$2; shift 2
            java "$@" </dev/null & server=$!
            echo $server > "$home/pid.new"; mv "$home/pid.new" "$home/pid"
            cat >/dev/null; kill -9 $server; wait $server
            if [ "$keep" = no ]; then
                rm -rf "$home"; cluster=$(dirname "$home")
                ls -d "$cluster"/node-* >/dev/null 2>&1 || rm -rf "$cluster"
            fi"#;
        let keep = if std::env::var_os("KAFKA_KEEP").is_some() {
            "yes"
        } else {
            "no"
        };
        let mut shell = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&self.home)
            .arg(keep)
            .args(&self.java)
            .arg("kafka.Kafka")
            .arg(self.home.join("server.properties"))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(io)?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(io)?;
        let pipe = shell.stdin.take();
        let deadline = Instant::now() + START_LIMIT;
        let server = loop {
            let written = fs::read_to_string(&pid_file).ok();
            if let Some(pid) = written
                .and_then(|text| text.trim().parse().ok())
                .and_then(Pid::from_raw)
            {
                break pid;
            }
            if Instant::now() > deadline {
                return Err(format!("node {} wrote no pid", self.id));
            }
            thread::sleep(Duration::from_millis(5));
        };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Running {
            shell,
            pipe,
            server,
        });
        Ok(())
    }

    /// SIGKILL for the server; its data stay.
    fn stop(&self) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut running) = running {
            // The shell first, so that it does not remove the data; then the server, which `running` still names.
            let _ = running.shell.kill();
            let _ = running.shell.wait();
            drop(running.pipe.take());
            let _ = kill_process(running.server, Signal::KILL);
            let pid = running.server.as_raw_nonzero().get().unsigned_abs();
            while lives(pid) {
                thread::sleep(Duration::from_millis(2));
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(running) = &*self.running.lock().unwrap_or_else(PoisonError::into_inner) {
            kill_process(running.server, signal).expect("the server runs");
        }
    }

    fn is_running(&self) -> bool {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    fn server_lives(&self) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .as_ref()
            .is_some_and(|running| lives(running.server.as_raw_nonzero().get().unsigned_abs()))
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.home.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// Whether a process runs: neither gone nor a zombie that nobody has waited for.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}

fn prepare(
    home: &Path,
    id: i32,
    ports: &[u16],
    voters: &str,
    options: &Options,
) -> std::io::Result<()> {
    fs::create_dir_all(home)?;
    fs::write(home.join("log4j2.xml"), LOG4J)?;
    let replicas = options.nodes.clamp(1, 3);
    let in_sync = if replicas == 3 { 2 } else { 1 };
    let mut properties = format!(
        "process.roles=broker,controller\nnode.id={id}\ncontroller.quorum.voters={voters}\n\
         listeners=PLAINTEXT://127.0.0.1:{0},CONTROLLER://127.0.0.1:{1}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{0}\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={2}\n\
         offsets.topic.num.partitions=4\noffsets.topic.replication.factor={replicas}\n\
         transaction.state.log.num.partitions=4\ntransaction.state.log.replication.factor={replicas}\n\
         transaction.state.log.min.isr={in_sync}\nshare.coordinator.state.topic.num.partitions=4\n\
         share.coordinator.state.topic.replication.factor={replicas}\nshare.coordinator.state.topic.min.isr={in_sync}\n\
         group.initial.rebalance.delay.ms=0\n",
        ports[0],
        ports[1],
        home.join("data").display()
    );
    for (name, value) in &options.properties {
        let _ = writeln!(properties, "{name}={value}");
    }
    fs::write(home.join("server.properties"), properties)
}

fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port"))
        .collect();
    listeners
        .iter()
        .map(|listener| listener.local_addr().expect("bound above").port())
        .collect()
}
