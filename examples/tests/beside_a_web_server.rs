//! The engine beside a web server: what it answers while it runs, stands by, fails and ends.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/programs.rs"]
mod programs;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use kafka_proto::mock::Cluster;
use programs::{Running, look, program};

/// The program, and the address at which it listens.
struct Site {
    program: Running,
    address: String,
}

impl Site {
    fn start(arguments: &[&str]) -> Self {
        let mut command = program("web");
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        let mut program = Running::start(&mut command);
        let mut line = String::new();
        let out = program.child().stdout.as_mut().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening at http://");
        let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
        assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"));
        Self { program, address }
    }

    /// Sends bytes and returns all that comes back until the other end closes.
    fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Status, head and body.
    fn ask(&self, method: &str, path: &str) -> (u16, String, String) {
        let text = self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3]
            .parse()
            .unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }

    fn health(&self) -> (u16, String) {
        let (status, _, body) = self.ask("GET", "/health");
        (status, body)
    }

    fn becomes_healthy(&self) {
        look("health", || self.health().0 == 200);
    }
}

fn cluster() -> (Cluster, String) {
    let cluster = Cluster::builder().topic("views", 2).topic("view-counts", 1);
    let cluster = programs::cluster(cluster);
    let servers = cluster.bootstrap_servers();
    (cluster, servers)
}

/// The number of a series in the text of `/metrics`.
fn number(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series))?;
    Some(line.trim().parse().unwrap())
}

#[test]
fn health_and_metrics_are_served_while_the_engine_runs_and_sigterm_ends_both_in_order() {
    let (cluster, servers) = cluster();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let at = now.unwrap().as_millis();
    for n in 0..100 {
        let line = format!("/page/{} {}", n % 5, at + n * 200);
        let record = [(None, Some(line.as_bytes()))];
        cluster.append("views", (n % 2) as i32, record).unwrap();
    }
    cluster
        .append("views", 0, [(None, Some(&b"no view"[..]))])
        .unwrap();
    let site = Site::start(&["--bootstrap-servers", &servers]);
    site.becomes_healthy();
    let metrics = || site.ask("GET", "/metrics").2;
    let window = r#"{application="web",operator="window-1"}"#;
    let delay = format!("kafka_engine_watermark_delay_seconds{window}");
    look("a watermark", || number(&metrics(), &delay).is_some());
    look("all records", || {
        number(
            &metrics(),
            r#"kafka_engine_records_in_total{application="web"}"#,
        ) == Some(101.0)
    });
    let (status, head, body) = site.ask("GET", "/metrics");
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(
        body.contains("# TYPE kafka_engine_records_in_total counter\n"),
        "{body}"
    );
    let of = |name: &str| {
        number(
            &body,
            &format!(r#"kafka_engine_{name}{{application="web"}}"#),
        )
    };
    assert!(of("commits_total").unwrap() > 0.0, "{body}");
    assert_eq!(of("records_skipped_total"), Some(1.0), "{body}");
    assert_eq!(of("standby"), Some(0.0), "{body}");
    look("state", || {
        number(&metrics(), &format!("kafka_engine_state_bytes{window}")).is_some_and(|n| n > 0.0)
    });
    let (status, body) = site.health();
    assert!(
        status == 200 && body.starts_with("running: last commit"),
        "{body}"
    );

    assert_eq!(site.ask("HEAD", "/health").2, "");
    assert_eq!(site.ask("GET", "/").0, 404);
    assert_eq!(site.ask("POST", "/health").0, 405);
    assert!(
        site.raw("this is no HTTP\r\n\r\n")
            .starts_with("HTTP/1.1 400")
    );
    // One that stays open and says nothing does not keep the process from its end.
    let open = TcpStream::connect(&site.address).unwrap();
    site.program.signal("-TERM");
    let (status, _, err) = site.program.end();
    drop(open);
    assert_eq!(status, Some(0), "{err}");
    let committed = |partition| cluster.committed_offset("web", "views", partition);
    assert_eq!((committed(0), committed(1)), (Some(51), Some(50)));
}

#[test]
fn a_process_that_stands_by_is_not_healthy_until_it_takes_over() {
    let (_cluster, servers) = cluster();
    let first = Site::start(&["--bootstrap-servers", &servers]);
    first.becomes_healthy();
    let second = Site::start(&["--bootstrap-servers", &servers]);
    look("standby", || second.health().1.starts_with("standing by"));
    assert_eq!(second.health().0, 503);
    let standby = r#"kafka_engine_standby{application="web"}"#;
    assert_eq!(number(&second.ask("GET", "/metrics").2, standby), Some(1.0));
    first.program.signal("-TERM");
    let (status, _, err) = first.program.end();
    assert_eq!(status, Some(0), "{err}");
    second.becomes_healthy();
}

#[test]
fn an_engine_that_has_failed_is_said_until_the_process_is_ended() {
    let (_cluster, servers) = cluster();
    let same = [
        "--bootstrap-servers",
        &servers,
        "--input",
        "views",
        "--output",
        "views",
    ];
    let site = Site::start(&same);
    look("failure", || site.health().1.starts_with("failed: "));
    let (status, body) = site.health();
    assert!(
        status == 503 && body.contains("both read and written"),
        "{body}"
    );
    assert_eq!(site.ask("GET", "/metrics").0, 200);
    site.program.signal("-TERM");
    let (status, _, err) = site.program.end();
    assert_eq!(status, Some(1), "{err}");
}
