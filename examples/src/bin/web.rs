//! An engine beside a web server: one process counts page views, and answers `/health` and `/metrics`
//! over HTTP while it does.
//!
//! ```text
//! in   /cart 1767254400123          out  /cart  2026-01-01 08:00:00 17 views
//!
//! GET /health    200 running: last commit 0.1 s ago, 0 records to go
//!                503 standing by: another process of this application has the work
//! GET /metrics   kafka_engine_records_in_total{application="web"} 40120 …
//! ```
//!
//! `cargo run --release -p examples --bin web` needs nothing else: it starts a cluster in this process, and
//! says where it listens. `curl http://127.0.0.1:8080/metrics` shows what a Prometheus server would scrape.
//!
//! Things to see in it:
//! - **The engine is one task among others.** `run_until` takes a future that ends it and an `Inspector`
//!   that is looked into from anywhere; it does nothing to the process: no signals, no logging, no exit.
//! - **`/health` is a decision about a snapshot** ([`health`]). Running is not enough: a run whose commits
//!   stand still reads, and gets nowhere. So it asks how long ago the last commit was.
//! - **`/metrics` is text of a snapshot** (`inspect::prometheus`). It costs the workers nothing.
//! - **The end has an order.** At SIGTERM or Ctrl-C the engine stops, committed, while the server still
//!   answers (503, so that nobody waits for it); then the server ends. When the engine fails, the server
//!   goes on and says why, until somebody ends the process: then its status is 1.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Parser;
use engine::Config;
use engine::flow::Scope;
use engine::inspect::{Inspector, Snapshot, prometheus};
use engine::plan::App;
use engine::windows::Tumbling;
use examples::cli::{self, property};
use examples::demo::Demo;
use examples::numbers::utc;
use examples::{run, screen, stop};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Connections at a time; others wait until one is closed.
const CONNECTIONS_MAX: usize = 100;
/// A request whose head takes longer than this is given up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that are still open this long after the engine has ended are cut.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Views of each page in ten seconds, beside a web server. In: lines `page milliseconds`. Out: key = the
/// page, value = the start of the ten seconds and the number of views.
#[derive(Debug, Parser)]
#[command(name = "web", version)]
struct Args {
    /// Address and port of /health and /metrics; port 0 takes a free one. There is no authentication:
    /// think before this is anything else than a loopback address.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Seconds without a commit after which /health answers 503.
    #[arg(long, value_name = "N", default_value_t = 30)]
    commit_max_s: u64,

    /// A real cluster; without it an in-process one is started and filled with sample data.
    #[arg(long, value_name = "HOST:PORT,…")]
    bootstrap_servers: Option<String>,

    /// One client property. May be repeated.
    #[arg(long, value_name = "K=V", value_parser = property)]
    property: Vec<(String, String)>,

    /// Topic to read.
    #[arg(long, value_name = "TOPIC", default_value = "views")]
    input: String,

    /// Topic to write.
    #[arg(long, value_name = "TOPIC", default_value = "view-counts")]
    output: String,

    /// Consumer group, which is also the application id.
    #[arg(long, value_name = "ID", default_value = "web")]
    group_id: String,
}

fn view(line: &str) -> Result<(&str, i64), String> {
    let view = line.split_once(' ');
    let view = view.and_then(|(page, at)| Some((page, at.parse().ok()?)));
    view.ok_or_else(|| format!("\"{line}\" is no view"))
}

fn views(s: Scope<'_>, input: &str, output: &str) {
    s.source(input)
        .utf8()
        .try_map(view)
        .with_timestamps(|v| v.1, Duration::from_secs(1))
        .key_by(|v| v.0)
        .window(Tumbling::of(Duration::from_secs(10)))
        .count()
        .map(|(page, window, n)| (page, format!("{} {n} views", utc(window.start))))
        .sink(output);
}

/// The run as the web server sees it, beside what the inspector knows.
#[derive(Debug, Clone, PartialEq)]
enum State {
    Running,
    /// Asked to stop: what was read is still being processed and committed.
    Stopping,
    /// Ended by an error, which stands here in words.
    Failed(String),
}

/// Whether the application does its work, in words for the one who looks.
///
/// # Errors
/// When it does not, with the reason.
fn health(state: &State, seen: &Snapshot, commit_max: Duration) -> Result<String, String> {
    match state {
        State::Failed(why) => return Err(format!("failed: {why}")),
        State::Stopping => return Err("stopping".to_owned()),
        State::Running => {}
    }
    if seen.standby {
        return Err(
            "standing by: another process of this application has the work; this one takes over when that ends"
                .to_owned(),
        );
    }
    let Some(since) = seen.since_commit else {
        let restored = seen.records_restored;
        return Err(format!(
            "starting: no commit yet, {restored} records of state read back"
        ));
    };
    let last = format!("last commit {:.1} s ago", since.as_secs_f64());
    if since > commit_max {
        return Err(format!(
            "no progress: {last}, at most {} s are allowed (--commit-max-s)",
            commit_max.as_secs()
        ));
    }
    Ok(format!("running: {last}, {} records to go", seen.lag))
}

/// What requests are answered from.
struct Site {
    application: String,
    inspector: Inspector,
    state: watch::Receiver<State>,
    commit_max: Duration,
}

impl Site {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        const TEXT: &str = "text/plain; charset=utf-8";
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let text = "only GET and HEAD\n".to_owned();
            return response(StatusCode::METHOD_NOT_ALLOWED, TEXT, text);
        }
        match request.uri().path() {
            "/health" => {
                let seen = self.inspector.snapshot();
                let (status, text) = match health(&self.state.borrow(), &seen, self.commit_max) {
                    Ok(text) => (StatusCode::OK, text),
                    Err(text) => (StatusCode::SERVICE_UNAVAILABLE, text),
                };
                response(status, TEXT, text + "\n")
            }
            "/metrics" => {
                let seen = self.inspector.snapshot();
                let text = prometheus::render(&[(&self.application, seen)]);
                response(StatusCode::OK, prometheus::CONTENT_TYPE, text)
            }
            _ => {
                let text = "there are /health and /metrics\n".to_owned();
                response(StatusCode::NOT_FOUND, TEXT, text)
            }
        }
    }
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Answers until `ended` says so; then connections end after the request that they are at.
async fn serve(listener: TcpListener, site: Arc<Site>, mut ended: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => (place, stream),
                Err(error) => {
                    // Too many open files, most likely: that passes.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = end_of(&mut ended) => break,
        };
        let (site, mut ended) = (Arc::clone(&site), ended.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = site.answer(&request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            // An error here is a client that went away or does not speak HTTP: nothing of ours.
            let outcome = tokio::select! {
                outcome = connection.as_mut() => outcome,
                () = end_of(&mut ended) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "a connection ended");
            }
            drop(place);
        });
    }
    // When all places are free all connections are closed.
    let all = room.acquire_many(CONNECTIONS_MAX as u32);
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, all).await;
}

async fn end_of(ended: &mut watch::Receiver<bool>) {
    // A sender that is gone has ended as well.
    let _ = ended.wait_for(|ended| *ended).await;
}

type Failure = Box<dyn std::error::Error>;

async fn run(args: Args) -> Result<(), Failure> {
    let (input, output) = (args.input.clone(), args.output.clone());
    let app = App::new("web", move |s| views(s, &input, &output))?;
    // Before anything else that may fail: a port that is taken is found at once.
    let listener = TcpListener::bind(args.listen).await.map_err(|e| {
        format!(
            "cannot listen at {}: {e}; --listen takes another",
            args.listen
        )
    })?;
    let mut properties = args.property;
    let demo = match args.bootstrap_servers {
        Some(servers) => {
            properties.push(("bootstrap.servers".to_owned(), servers));
            None
        }
        None => {
            let demo = Demo::with_sample(&args.input, &args.output, 20_000, sample).await?;
            let servers = demo.cluster.bootstrap_servers();
            properties.push(("bootstrap.servers".to_owned(), servers));
            Some(demo)
        }
    };
    properties.push(("application.id".to_owned(), args.group_id.clone()));
    let config = Config::from_properties(properties)?;
    let inspector = Inspector::new();
    let (state, seen_state) = watch::channel(State::Running);
    let (end, ended) = watch::channel(false);
    let site = Arc::new(Site {
        application: args.group_id,
        inspector: inspector.clone(),
        state: seen_state,
        commit_max: Duration::from_secs(args.commit_max_s),
    });
    // Scripts read this line to learn the port.
    screen::print(&format!("listening at http://{}", listener.local_addr()?));
    let server = tokio::spawn(serve(listener, site, ended));
    if let Some(demo) = demo {
        tokio::spawn(async move { match demo.go_on().await {} });
    }

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let engine = async move {
        // A sender that is gone asks for the end as well.
        let stopped = async { drop(stopped.await) };
        app.run_until(&config, stopped, &inspector).await
    };
    let mut engine = std::pin::pin!(engine);
    let asked = stop::requested();
    let mut asked = std::pin::pin!(asked);
    let outcome = tokio::select! {
        outcome = engine.as_mut() => outcome,
        () = asked.as_mut() => {
            state.send_replace(State::Stopping);
            drop(stop);
            engine.await
        }
    };
    let outcome = outcome.map_err(|e| e.to_string());
    if let Err(why) = &outcome
        && *state.borrow() == State::Running
    {
        tracing::error!("the engine has failed: {why}");
        state.send_replace(State::Failed(why.clone()));
        asked.await;
    }
    end.send_replace(true);
    server.await?;
    Ok(outcome?)
}

fn main() -> ExitCode {
    let args = Args::parse();
    run::log_warnings();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(run(args)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::complain("web", &error),
    }
}

/// A view of one of seven pages, at the time at which it is made.
fn sample(n: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let page = ["/", "/cart", "/search", "/help", "/login", "/book", "/pay"][(n % 7) as usize];
    format!("{page} {}", now.map_or(0, |d| d.as_millis()))
}

#[cfg(test)]
mod tests {
    use engine::testing::Driver;

    use super::*;

    #[test]
    fn views_are_counted_by_page_and_ten_seconds() {
        let mut driver = Driver::new(|s| views(s, "views", "view-counts"));
        driver.feed("views", ["/a 1000", "/a 9999", "/b 5000", "/a", "/a 10000"]);
        driver.finish();
        let mut got: Vec<_> = driver
            .read("view-counts")
            .iter()
            .map(|r| {
                format!(
                    "{} {}",
                    r.key_str().unwrap_or(""),
                    r.value_str().unwrap_or("")
                )
            })
            .collect();
        got.sort();
        assert_eq!(
            got,
            [
                "/a 1970-01-01 00:00:00 2 views",
                "/a 1970-01-01 00:00:10 1 views",
                "/b 1970-01-01 00:00:00 1 views"
            ]
        );
    }

    #[test]
    fn health_is_good_only_while_commits_go_on() {
        let max = Duration::from_secs(30);
        let mut seen = Inspector::new().snapshot();
        let of = |seen: &Snapshot| health(&State::Running, seen, max);
        assert!(
            of(&seen)
                .unwrap_err()
                .starts_with("starting: no commit yet")
        );
        seen.since_commit = Some(max);
        assert_eq!(
            of(&seen).unwrap(),
            "running: last commit 30.0 s ago, 0 records to go"
        );
        seen.since_commit = Some(max + Duration::from_millis(1));
        assert!(of(&seen).unwrap_err().contains("--commit-max-s"));
        seen.since_commit = Some(Duration::ZERO);
        assert_eq!(
            health(&State::Stopping, &seen, max).unwrap_err(),
            "stopping"
        );
        let failed = State::Failed("the broker is gone".to_owned());
        assert_eq!(
            health(&failed, &seen, max).unwrap_err(),
            "failed: the broker is gone"
        );
        seen.standby = true;
        assert!(of(&seen).unwrap_err().starts_with("standing by"));
    }
}
