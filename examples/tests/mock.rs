//! The program `mock`: clients of other processes use it as a broker, at the addresses that its flags choose.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/programs.rs"]
mod programs;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use kafka_proto::client::{Admin, Config};
use programs::{Running, program, run};

fn start(arguments: &[&str]) -> (Running, String) {
    let mut running = Running::start(program("mock").args(arguments));
    let out = running.child().stdout.take().unwrap();
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).unwrap();
    let address = line.trim().to_owned();
    assert!(!address.is_empty(), "{:?}", running.end());
    (running, address)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_client_finds_the_brokers_and_topics_of_the_flags_and_sigterm_ends_in_order() {
    let (running, address) = start(&[
        "--brokers",
        "2",
        "--topic",
        "lines:4",
        "--topic",
        "counts:2:cleanup.policy=compact,delete:retention.ms=-1",
    ]);
    let admin = Admin::connect(Config::new(&address)).await.unwrap();
    assert_eq!(admin.describe_cluster().await.unwrap().brokers.len(), 2);
    let lines = admin.describe_topic("lines").await.unwrap();
    assert_eq!(lines.partitions.len(), 4);
    let configs = admin.topic_configs("counts").await.unwrap();
    let value = |name| configs[name].value.as_deref();
    assert_eq!(value("cleanup.policy"), Some("compact,delete"));
    assert_eq!(value("retention.ms"), Some("-1"));
    running.signal("-TERM");
    let (status, _, err) = running.end();
    assert_eq!((status, err.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn clients_are_sent_to_the_advertised_address_and_the_port_is_the_one_asked_for() {
    let (port, proxied) = (free_port(), free_port());
    let listener = format!("127.0.0.1:{port}");
    let advertised = format!("localhost:{proxied}");
    let arguments = [
        "--listeners",
        &listener,
        "--advertised-listeners",
        &advertised,
    ];
    let (_running, address) = start(&arguments);
    assert_eq!(address, advertised);
    // A proxy of one connection after another between the advertised port and the listener.
    let proxy = tokio::net::TcpListener::bind(("127.0.0.1", proxied)).await;
    let proxy = proxy.unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = proxy.accept().await {
            let mut broker = tokio::net::TcpStream::connect(&listener).await.unwrap();
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut client, &mut broker).await },
            );
        }
    });
    let admin = Admin::connect(Config::new(&address)).await.unwrap();
    let brokers = admin.describe_cluster().await.unwrap().brokers;
    assert_eq!(
        (&brokers[0].host[..], brokers[0].port),
        ("localhost", proxied)
    );
}

#[test]
fn flags_that_do_not_fit_are_refused_with_what_to_do() {
    let refused = |arguments: &[&str]| {
        let (status, out, err) = run(program("mock").args(arguments));
        assert!(
            matches!(status, Some(1 | 2)) && out.is_empty(),
            "{out} {err}"
        );
        err
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for (arguments, words) in [
        (&["--topic", "lines:many"][..], "lines:4"),
        (&["--topic", "a b:1"], "\"a b\" is no legal topic name"),
        (&["--topic", "lines:0"], "at least one partition"),
        (&["--topic", "lines:1:retention.msec=1"], "retention.msec"),
        (&["--listeners", "nowhere"], "HOST:PORT"),
        (&["--listeners", "127.0.0.1:0", "--brokers", "2"], "1 for 2"),
        (&["--listeners", "0.0.0.0:0"], "advertised listeners"),
        (&["--listeners", &at], "broker 1 cannot listen on"),
        (&["--advertised-listeners", "host"], "HOST:PORT"),
    ] {
        let err = refused(arguments);
        assert!(err.contains(words), "{arguments:?}: {err}");
    }
}

#[test]
fn a_log_that_goes_to_a_file_has_no_colours() {
    let (running, address) = start(&[]);
    // An API that nobody has: the program warns and hangs up.
    let mut client = TcpStream::connect(&address).unwrap();
    client
        .write_all(&[0, 0, 0, 8, 3, 231, 0, 0, 0, 0, 0, 1])
        .unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    running.signal("-TERM");
    let (status, _, err) = running.end();
    assert_eq!(status, Some(0));
    assert!(err.contains("WARN") && !err.contains('\u{1b}'), "{err}");
}
