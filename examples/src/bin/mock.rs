//! The in-process cluster as a program of its own, for trying and testing clients in any language:
//! `mock --topic lines:4 --listeners 127.0.0.1:9092`. Nothing is written to disk: at its end all is gone.
#![forbid(unsafe_code)]

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::ExitCode;

use clap::{ArgAction, Parser};
use examples::{perf, screen, stop};
use kafka_proto::mock::Cluster;

type Failure = Box<dyn std::error::Error>;

/// Runs Kafka brokers in memory until SIGTERM or Ctrl-C. The first line of output is the address for `bootstrap.servers`.
#[derive(Debug, Parser)]
#[command(name = "mock", version)]
struct Mock {
    /// Number of brokers; their ids are 1, 2 and so on [default: as many as listeners, or 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    brokers: Option<u16>,

    /// Where the brokers listen, one each; port 0 is any free one [default: free ports of 127.0.0.1].
    #[arg(long, value_name = "HOST:PORT,…", value_delimiter = ',', value_parser = resolved)]
    listeners: Vec<SocketAddr>,

    /// What clients are told to connect to, one each, where that differs: behind a proxy, in a container.
    #[arg(long, value_name = "HOST:PORT,…", value_delimiter = ',', value_parser = host_and_port)]
    advertised_listeners: Vec<(String, u16)>,

    /// A topic, its partitions and settings: lines, lines:4, counts:1:cleanup.policy=compact. May be repeated.
    #[arg(long, value_name = "NAME[:N[:K=V…]]", action = ArgAction::Append, value_parser = topic)]
    topic: Vec<Topic>,

    /// Partitions of topics that are made without a number.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    num_partitions: i32,

    /// Replicas of topics that are made without a number [default: as many as brokers, at most 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    default_replication_factor: Option<i16>,

    /// Whether asking for a topic makes it.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    auto_create_topics_enable: bool,

    /// About how many bytes of each partition are kept in memory; the oldest go first [default: all].
    #[arg(long, value_name = "BYTES")]
    retention_bytes: Option<u64>,
}

#[derive(Debug, Clone)]
struct Topic {
    name: String,
    partitions: Option<i32>,
    configs: Vec<(String, String)>,
}

fn main() -> ExitCode {
    let args = Mock::parse();
    perf::run("mock", run(args))
}

async fn run(args: Mock) -> Result<(), Failure> {
    // Before the first line is printed, so that whoever has read it may end the program in order.
    let stop = stop::requested();
    let brokers = args
        .brokers
        .unwrap_or_else(|| u16::try_from(args.listeners.len()).unwrap_or(u16::MAX));
    let advertised: Vec<(&str, u16)> = args
        .advertised_listeners
        .iter()
        .map(|(host, port)| (host.as_str(), *port))
        .collect();
    let mut builder = Cluster::builder()
        .brokers(brokers)
        .listeners(&args.listeners)
        .advertised_listeners(&advertised)
        .default_partitions(args.num_partitions);
    if !args.auto_create_topics_enable {
        builder = builder.no_auto_create_topics();
    }
    if let Some(factor) = args.default_replication_factor {
        builder = builder.replication_factor(factor);
    }
    if let Some(bytes) = args.retention_bytes {
        builder = builder.retention_bytes(bytes);
    }
    for topic in &args.topic {
        let configs: Vec<(&str, &str)> = topic
            .configs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let partitions = topic.partitions.unwrap_or(args.num_partitions);
        builder = builder.topic_with(&topic.name, partitions, &configs);
    }
    let cluster = builder.start().await?;
    screen::print(&cluster.bootstrap_servers());
    stop.await;
    Ok(())
}

fn resolved(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text
        .to_socket_addrs()
        .map_err(|error| format!("expected HOST:PORT as in 127.0.0.1:9092: {error}"))?;
    addresses
        .next()
        .ok_or_else(|| format!("{text} has no address"))
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let parts = text.rsplit_once(':');
    match parts.map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) if !host.is_empty() => Ok((host.to_owned(), port)),
        _ => Err("expected HOST:PORT as in broker.example:9092".to_owned()),
    }
}

fn topic(text: &str) -> Result<Topic, String> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default().to_owned();
    let partitions = match parts.next() {
        None => None,
        Some(count) => Some(count.parse().map_err(|_| {
            format!("expected a number of partitions as in lines:4, found '{count}'")
        })?),
    };
    let configs = parts.map(examples::cli::property);
    Ok(Topic {
        name,
        partitions,
        configs: configs.collect::<Result<_, _>>()?,
    })
}
