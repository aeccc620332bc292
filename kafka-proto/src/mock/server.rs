//! The running side: a supervisor that starts and stops brokers, their listeners, and the task that keeps the timers.
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::net::{BoxStream, Memory, MemoryListener};

use super::Received;
use super::clock::Clock;
use super::connection;
use super::faults::Faults;
use super::groups::{Reply, Ticket};
use super::state::State;

/// Every broker's port in memory; their hosts differ.
const MEMORY_PORT: u16 = 9092;
/// Requests remembered for tests to look at.
const RECEIVED_MAX: usize = 16 * 1024;

/// What every task of the cluster has.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Never held across an await.
    state: Mutex<State>,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    /// Counts whatever a waiting fetch may be waiting for.
    changed: watch::Sender<u64>,
    /// Deadlines of groups or transactions may have changed.
    pub(crate) rescheduled: Notify,
    /// Brokers that read and answer nothing.
    pub(crate) paused: watch::Sender<Vec<i32>>,
    /// Latest requests, the oldest first.
    received: Mutex<VecDeque<Received>>,
    /// Requests that the group coordinator answers later. Locked after the state, never before.
    waiting: Mutex<HashMap<Ticket, oneshot::Sender<Reply>>>,
}

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            clock: Clock::new(),
            faults: Faults::default(),
            changed: watch::Sender::new(0),
            rescheduled: Notify::new(),
            paused: watch::Sender::new(Vec::new()),
            received: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the fetches that wait.
    pub(crate) fn notify_changed(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Sees every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn note(&self, received: Received) {
        let mut all = self.all_received();
        if all.len() == RECEIVED_MAX {
            all.pop_front();
        }
        all.push_back(received);
    }

    pub(crate) fn all_received(&self) -> MutexGuard<'_, VecDeque<Received>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Ticket, oneshot::Sender<Reply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place to wait for the group coordinator's answer.
    pub(crate) fn ticket(&self, state: &mut State) -> (Ticket, oneshot::Receiver<Reply>) {
        let (sender, receiver) = oneshot::channel();
        let ticket = state.ticket();
        self.waiting().insert(ticket, sender);
        (ticket, receiver)
    }

    /// Hands out the group coordinator's answers, and has its deadlines looked at. Whoever has gone away meanwhile does
    /// not get his.
    pub(crate) fn settle(&self, mut state: MutexGuard<'_, State>) {
        let replies = state.groups.take_replies();
        if !replies.is_empty() {
            let mut waiting = self.waiting();
            for reply in replies {
                let (Reply::Join(ticket, _) | Reply::Sync(ticket, _)) = reply;
                if let Some(waiting) = waiting.remove(&ticket) {
                    let _ = waiting.send(reply);
                }
            }
        }
        drop(state);
        self.rescheduled.notify_one();
    }

    /// Waits while this broker is paused.
    pub(crate) async fn unpaused(&self, broker: i32) {
        if self.paused.borrow().contains(&broker) {
            let mut paused = self.paused.subscribe();
            let _ = paused.wait_for(|paused| !paused.contains(&broker)).await;
        }
    }
}

/// What the handle asks the supervisor.
#[derive(Debug)]
pub(crate) enum Command {
    Start(i32, oneshot::Sender<io::Result<()>>),
    Stop(i32, oneshot::Sender<()>),
    DropConnections(i32, oneshot::Sender<()>),
    CpuTime(oneshot::Sender<Option<Duration>>),
}

/// What the brokers listen on.
#[derive(Debug, Clone)]
pub(crate) enum Network {
    /// TCP.
    Tcp,
    /// Pipes inside the process.
    Memory(Memory),
}

/// Where one broker's connections come from.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Memory(MemoryListener),
}

impl Network {
    /// Opens the listener of a broker (port 0 is any free one) and gives its host and port.
    pub(crate) async fn listen(
        &self,
        broker: i32,
        at: SocketAddr,
    ) -> io::Result<(Listener, String, u16)> {
        match self {
            Self::Tcp => {
                let listener = TcpListener::bind(at).await.map_err(|error| {
                    let text = format!("broker {broker} cannot listen on {at}: {error}");
                    io::Error::new(error.kind(), text)
                })?;
                let address = listener.local_addr()?;
                let host = address.ip().to_string();
                Ok((Listener::Tcp(listener), host, address.port()))
            }
            Self::Memory(network) => {
                let host = format!("broker-{broker}");
                let listener = network.listen(&host, MEMORY_PORT);
                Ok((Listener::Memory(listener), host, MEMORY_PORT))
            }
        }
    }
}

impl Listener {
    /// The next client: where it comes from, and its stream. Safe to drop.
    async fn accept(&mut self) -> io::Result<(String, BoxStream)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((format!("/{}", peer.ip()), Box::new(stream)))
            }
            Self::Memory(listener) => match listener.accept().await {
                Some(stream) => Ok((String::from("/memory"), Box::new(stream))),
                // Another listener has taken the address: nobody comes here any more.
                None => std::future::pending().await,
            },
        }
    }
}

struct Running {
    /// Dropping it closes the listener and all connections.
    _tasks: JoinSet<()>,
    drop_connections: Arc<Notify>,
}

/// Runs the brokers until the handle is gone.
pub(crate) async fn supervise(
    shared: Arc<Shared>,
    network: Network,
    listeners: Vec<(i32, Listener)>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    own_thread: bool,
) {
    let mut timers = JoinSet::new();
    timers.spawn(keep_time(Arc::clone(&shared)));
    let mut running: HashMap<i32, Running> = listeners
        .into_iter()
        .map(|(id, listener)| (id, run_broker(&shared, id, listener)))
        .collect();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Start(id, done) => {
                let at = shared.state().broker(id).map(|broker| broker.listener);
                let started = match (running.entry(id), at) {
                    (Entry::Vacant(place), Some(at)) => {
                        network.listen(id, at).await.map(|(listener, ..)| {
                            place.insert(run_broker(&shared, id, listener));
                        })
                    }
                    _ => Ok(()),
                };
                let _ = done.send(started);
            }
            Command::Stop(id, done) => {
                running.remove(&id);
                // The tasks end when they are next scheduled; let that happen before the answer.
                tokio::task::yield_now().await;
                let _ = done.send(());
            }
            Command::DropConnections(id, done) => {
                if let Some(broker) = running.get(&id) {
                    broker.drop_connections.notify_one();
                    tokio::task::yield_now().await;
                }
                let _ = done.send(());
            }
            Command::CpuTime(answer) => {
                let _ = answer.send(own_thread.then(thread_cpu_time));
            }
        }
    }
}

fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

fn run_broker(shared: &Arc<Shared>, id: i32, listener: Listener) -> Running {
    let mut tasks = JoinSet::new();
    let drop_connections = Arc::new(Notify::new());
    tasks.spawn(accept(
        Arc::clone(shared),
        id,
        listener,
        Arc::clone(&drop_connections),
    ));
    Running {
        _tasks: tasks,
        drop_connections,
    }
}

async fn accept(
    shared: Arc<Shared>,
    broker: i32,
    mut listener: Listener,
    drop_connections: Arc<Notify>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((host, stream)) => {
                    connections.spawn(connection::serve(Arc::clone(&shared), broker, host, stream));
                }
                // Out of file descriptors, or a client that was gone at once: neither ends the broker.
                Err(error) => {
                    tracing::warn!(broker, %error, "mock: a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = drop_connections.notified() => connections.abort_all(),
        }
    }
}

/// Wakes the coordinators when a session, a rebalance or a transaction is due.
async fn keep_time(shared: Arc<Shared>) {
    loop {
        let deadline = shared.state().next_deadline();
        let due = async {
            match deadline {
                Some(deadline) => shared.clock.sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {
                let (now, now_ms) = (shared.clock.now(), shared.clock.unix_ms());
                let mut state = shared.state();
                state.tick(now, now_ms);
                shared.settle(state);
                shared.notify_changed();
            }
            () = shared.rescheduled.notified() => {}
        }
    }
}
