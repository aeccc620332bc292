//! One process of an application: it joins the group, starts workers on what it is given, drives the epochs, and ends in order.
//!
//! ```text
//! open topics ─▶ join ─▶ stand by ─assigned▶ restore ─▶ run ─stop, ends reached, revoked▶ last epoch ─▶ leave, or stand by again
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::alignment::Alignment;
use super::errand::{Command, Errand, Report};
use super::job::{Found, Job, Seat};
use super::settle::{Settled, Tie};
use super::stop::Stop;
use super::worker::Worker;
use super::{Config, exchange};
use crate::Error;
use crate::checkpoint::epoch::{Action, Epochs};
use crate::checkpoint::home::{self, Stores};
use crate::checkpoint::log::{Change, Log, Place, Position, Share, Worker as _};
use crate::checkpoint::offset_metadata::Reached;
use crate::inspect::Inspector;

/// Bytes that wait in one worker's inbox at one level before the senders stop reading.
const INBOX_BYTES: usize = 4 << 20;
/// Parts of the time that a stop may take: for the last epoch, for workers to come back from a plan call, and for leaving the group. What is
/// not committed then is processed again by the next run.
const STOP_PARTS: (u32, u32, u32) = (8, 1, 1);

/// One of [`STOP_PARTS`] of a time.
fn part(of: Duration, part: u32) -> Duration {
    of * part / (STOP_PARTS.0 + STOP_PARTS.1 + STOP_PARTS.2)
}

/// How the workers of one assignment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ending {
    /// Asked to stop, or the ends are reached: committed.
    Finished,
    /// The group divides the work anew: committed.
    Revoked,
    /// Another member has the work already: not committed.
    Lost(String),
}

/// Runs until `stop` completes, until the ends are reached where that was asked for, or until an error.
pub(crate) async fn run<L: Log>(
    job: Arc<Job>,
    config: &Config,
    mut log: L,
    stop: impl Future<Output = ()>,
    inspector: &Inspector,
    started: Instant,
) -> Result<(), Error> {
    let mut stop = std::pin::pin!(stop);
    let mut stop = Stop::new(stop.as_mut());
    let outcome = run_open(&job, config, &mut log, &mut stop, inspector, started).await;
    let mut close = std::pin::pin!(log.close());
    // A stop may come while it closes, too.
    if !stop.is_asked() {
        tokio::select! {
            () = close.as_mut() => return outcome,
            () = &mut stop => {}
        }
    }
    let timeout = part(config.stop_timeout, STOP_PARTS.2);
    if tokio::time::timeout(timeout, close).await.is_err() {
        tracing::warn!("the group could not be left in time; it finds out when the session ends");
    }
    outcome
}

async fn run_open<L: Log>(
    job: &Arc<Job>,
    config: &Config,
    log: &mut L,
    stop: &mut Stop<'_, impl Future<Output = ()>>,
    inspector: &Inspector,
    started: Instant,
) -> Result<(), Error> {
    let Some(partitions) = stop.or(log.open(&job.topics)).await? else {
        return Ok(());
    };
    let partitions: Arc<[i32]> = partitions.into();
    job.check_widths(&partitions)?;
    for warning in log.warnings() {
        inspector.counters.warn(warning);
    }
    let stores = if job.has_stores() {
        let dir = config.state_dir.clone().unwrap_or_else(home::default_dir);
        Some(Stores::enter(&dir, &job.application_id)?)
    } else {
        None
    };
    let log = &*log;
    let all_input = log.inputs();
    // Joining goes on while the ends are asked for. A member that stands by ends at the ends that it saw itself.
    let joined = async {
        log.join(&job.inputs, job.is_keyed()).await?;
        log.ends(&all_input, config.until_end).await
    };
    let Some(ends) = stop.or(joined).await? else {
        return Ok(());
    };
    let ends = Ends {
        until_end: config.until_end,
        ends,
        places: all_input,
    };
    loop {
        let change = tokio::select! {
            biased;
            () = &mut *stop => return Ok(()),
            change = log.change() => change?,
            () = others_finished(log, &ends) => return Ok(()),
        };
        let mine = match change {
            Change::Assigned(Share::Mine(mine)) => mine,
            Change::Assigned(Share::Standby) => {
                inspector.counters.standby.store(true, Ordering::Relaxed);
                tracing::info!(application = %job.application_id, "standing by: another process of this application has the work");
                continue;
            }
            Change::Revoked => {
                log.release();
                continue;
            }
            Change::Lost(_) => continue,
        };
        inspector.counters.standby.store(false, Ordering::Relaxed);
        let starting = Crew::start(
            job,
            config,
            log,
            &partitions,
            stores.as_ref(),
            mine,
            &ends,
            inspector,
            started,
        );
        // Its threads begin at its end: until then it may be dropped.
        let mut crew = match stop.or(starting).await {
            Ok(Some(crew)) => crew,
            Ok(None) => return Ok(()),
            // The first commit found that another process has the work. All that was written before it is acknowledged.
            Err(Error::Fenced(why)) => {
                tracing::warn!(application = %job.application_id, why, "the work was lost to another process; standing by");
                continue;
            }
            Err(error) => return Err(error),
        };
        let ending = crew.drive(config, log, stop, inspector).await;
        match &ending {
            // Everything was acknowledged.
            Ok(Ending::Finished) => {}
            // What workers have handed over must not be written after what the next owner writes.
            Ok(_) => {
                crew.abandon();
                log.revoke().await;
            }
            // The run ends, and what is not committed is processed again: nothing to wait for.
            Err(_) => {
                crew.abandon();
                drop(log.revoke());
            }
        }
        crew.dismiss(part(config.stop_timeout, STOP_PARTS.1)).await;
        match ending? {
            Ending::Finished => return Ok(()),
            Ending::Revoked => log.release(),
            Ending::Lost(why) => {
                tracing::warn!(application = %job.application_id, why, "the work was lost to another process; standing by")
            }
        }
    }
}

fn places(topic: usize, partitions: &[i32]) -> impl Iterator<Item = Place> + use<> {
    (0..partitions.get(topic).copied().unwrap_or(0)).map(move |number| Place::single(topic, number))
}

/// Where the input ends, as it was settled at the start.
struct Ends {
    until_end: bool,
    places: Vec<Place>,
    ends: Vec<Option<i64>>,
}

impl Ends {
    /// Where a place ends. What was found later is not read by a run that ends at what was there.
    fn of(&self, place: Place) -> Option<i64> {
        match self.places.iter().position(|known| *known == place) {
            Some(at) => self.ends[at],
            None => self.until_end.then_some(i64::MIN),
        }
    }

    /// Whether the run ends when these are all at their ends.
    fn are_all(&self, mine: &[Place]) -> bool {
        self.until_end || !mine.is_empty()
    }
}

/// Completes when the committed positions, whoever committed them, have reached the ends; never when there are no ends.
async fn others_finished<L: Log>(log: &L, ends: &Ends) {
    let known: Option<Vec<i64>> = ends.ends.iter().copied().collect();
    let Some(known) = known.filter(|_| ends.until_end || !ends.places.is_empty()) else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(STANDBY_LOOK).await;
        // An error here is no reason to end: the next look may succeed, and the group tells of what matters.
        if let Ok(at) = log.committed(&ends.places).await
            && at
                .iter()
                .zip(&known)
                .all(|(at, end)| at.is_some_and(|at| at >= *end))
        {
            return;
        }
    }
}

/// How often a process that stands by looks whether the work is done.
const STANDBY_LOOK: Duration = Duration::from_millis(500);

/// A place for a future of the type that `f` gives.
fn nothing_of<F>(_: impl Fn() -> F) -> Option<Pin<Box<F>>> {
    None
}

async fn commit_to<L: Log>(
    log: &L,
    positions: Vec<Position>,
    metadata: String,
) -> Result<(), Error> {
    log.commit(&positions, &metadata).await
}

/// The workers of one assignment.
struct Crew {
    abandon: watch::Sender<bool>,
    commands: Vec<mpsc::UnboundedSender<Command>>,
    reports: mpsc::UnboundedReceiver<Report>,
    workers: usize,
    ended: usize,
    /// The run ends when all workers have reached their ends.
    may_finish: bool,
    /// What belongs beside the positions.
    tie: Tie,
    /// By worker, by changelog: how far time had come at the epoch on its way.
    reached: Vec<Vec<Reached>>,
    /// The worker of each key group.
    owners: Vec<usize>,
    /// Some operators delete what is past with the epoch after.
    deletes_later: bool,
}

impl Crew {
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a run, each given once"
    )]
    async fn start<L: Log>(
        job: &Arc<Job>,
        config: &Config,
        log: &L,
        partitions: &Arc<[i32]>,
        stores: Option<&Stores>,
        mine: Vec<Place>,
        ends: &Ends,
        inspector: &Inspector,
        started: Instant,
    ) -> Result<Self, Error> {
        let settled = job.settle(log, partitions, &mine).await?;
        let Settled {
            seed,
            positions,
            warning,
            tie,
        } = settled;
        if let Some(warning) = warning {
            // Before anything is read: what was read before the last commit is not in this state, and will not be.
            inspector.counters.warn(warning);
        }
        let workers = if job.is_keyed() {
            config.threads.min(job.key_groups as usize)
        } else {
            config.threads.min(mine.len())
        }
        .max(1);
        let states = job.changelogs.iter().map(|c| c.id.clone());
        inspector.counters.begin_states(states, workers);
        let topics: Arc<[String]> = job.topics.iter().map(|(name, _)| name.clone()).collect();
        let alignment = Arc::new(Alignment::new(job.alignments.len(), workers));
        let mut errands: Vec<Errand> = (0..workers)
            .map(|_| Errand {
                linger: config.linger(),
                idle_after: config.idle_after(),
                is_bounded: ends.until_end,
                drains: config.drain,
                topics: Arc::clone(&topics),
                started: Some(started),
                wall_clock: config.wall_clock,
                alignment: Arc::clone(&alignment),
                ..Errand::default()
            })
            .collect();
        for (i, position) in positions.into_iter().enumerate() {
            let errand = &mut errands[i % workers];
            errand.ends.push(ends.of(position.place));
            errand.input.push(position);
        }
        let changelogs: Vec<Place> = job
            .changelogs
            .iter()
            .flat_map(|c| places(c.topic, partitions))
            .collect();
        for (&place, (start, end)) in changelogs.iter().zip(log.bounds(&changelogs, false).await?) {
            let owner = job.owner(place.number(), workers);
            errands[owner].restore.push((
                Position {
                    place,
                    offset: start,
                },
                end,
            ));
        }
        let groups = 0..job.key_groups as i32;
        let owners: Vec<usize> = groups.map(|group| job.owner(group, workers)).collect();
        let of_worker = |me: usize| tie.reached(|group| owners[group] == me);
        let reached: Vec<Vec<Reached>> = (0..workers).map(of_worker).collect();
        let (report, reports) = mpsc::unbounded_channel();
        let (abandon, abandoned) = watch::channel(false);
        let mut commands = Vec::new();
        for (me, (end, errand)) in exchange::connect(workers, job.levels(), INBOX_BYTES)
            .into_iter()
            .zip(errands)
            .enumerate()
        {
            let (command, inbox) = mpsc::unbounded_channel();
            commands.push(command);
            let (job, ends, report, partitions) = (
                Arc::clone(job),
                log.worker(),
                report.clone(),
                Arc::clone(partitions),
            );
            let outbox = log.outbox();
            let state_dir = stores.map(|stores| stores.of_worker(me));
            let reached = reached[me].clone();
            let record_bytes_max = log.record_bytes_max();
            let (counters, mut abandoned) = (Arc::clone(&inspector.counters), abandoned.clone());
            let body = move |report: mpsc::UnboundedSender<Report>| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|e| Error::Settings(format!("cannot start worker {me}: {e}")))?;
                runtime.block_on(async move {
                    let is_restoring = !errand.restore.is_empty();
                    let changelogs = is_restoring.then(|| ends.source()).transpose()?;
                    let seat = Seat { me, workers, seed };
                    let restore = errand.restore.iter();
                    let found = Found {
                        changelog_ends: restore.map(|(from, end)| (from.place, *end)).collect(),
                        reached,
                        record_bytes_max,
                    };
                    let work = job.work(seat, &partitions, outbox, state_dir, found)?;
                    let worker = Worker::new(
                        work,
                        ends.source()?,
                        changelogs,
                        ends.sink(),
                        end,
                        inbox,
                        report,
                        counters,
                        errand,
                    );
                    tokio::select! {
                        outcome = worker.run() => outcome,
                        _ = abandoned.wait_for(|abandon| *abandon) => Ok(()),
                    }
                })
            };
            let thread = move || {
                let outcome =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(report.clone())));
                let outcome = outcome.unwrap_or_else(|panic| {
                    Err(Error::Panic {
                        worker: me,
                        message: panic_text(&*panic),
                    })
                });
                // Without a coordinator nobody waits for these.
                if let Err(error) = outcome {
                    let _ = report.send(Report::Failed(error));
                }
                let _ = report.send(Report::Ended);
            };
            std::thread::Builder::new()
                .name(format!("worker-{me}"))
                .spawn(thread)
                .map_err(|e| {
                    Error::Settings(format!(
                        "cannot start worker {me}: {e}; num.stream.threads asks for fewer"
                    ))
                })?;
        }
        Ok(Self {
            abandon,
            commands,
            reports,
            workers,
            ended: 0,
            may_finish: ends.are_all(&mine),
            tie,
            reached,
            owners,
            deletes_later: job.changelogs.iter().any(|c| c.forgets_by_time),
        })
    }

    /// Drives epochs until the last one is committed.
    async fn drive<L: Log>(
        &mut self,
        config: &Config,
        log: &L,
        stop: &mut Stop<'_, impl Future<Output = ()>>,
        inspector: &Inspector,
    ) -> Result<Ending, Error> {
        let start = Instant::now();
        let mut epochs = Epochs::new(self.workers, config.commit_interval, Duration::ZERO);
        let (mut running, mut at_ends) = (0, 0);
        let mut ending = None;
        // A stop is heard also when the end has begun for another reason.
        let mut give_up = None;
        // As of the last commit; the workers report in any order.
        let mut committed: Vec<Position> = Vec::new();
        let mut commit = nothing_of(|| commit_to(log, Vec::new(), String::new()));
        loop {
            if let Some(reason) = &ending
                && running < self.workers
            {
                // Nothing was processed yet: there is nothing to commit.
                return Ok(Ending::clone(reason));
            }
            let due = (running == self.workers).then(|| epochs.due()).flatten();
            let action = tokio::select! {
                biased;
                () = &mut *stop, if give_up.is_none() => {
                    give_up = Some(Instant::now() + part(config.stop_timeout, STOP_PARTS.0));
                    if ending.replace(Ending::Finished).is_none() {
                        epochs.stop();
                    }
                    None
                }
                Some(report) = self.reports.recv() => match report {
                    Report::Running => {
                        running += 1;
                        if running == self.workers {
                            self.tell(Command::Start);
                        }
                        None
                    }
                    Report::Written { worker, epoch } => epochs.written(worker, epoch),
                    Report::Durable { worker, epoch, positions, reached } => {
                        self.reached[worker] = reached;
                        epochs.durable(worker, epoch, positions)
                    }
                    Report::Reached => {
                        at_ends += 1;
                        if self.may_finish && at_ends == self.workers && ending.is_none() {
                            self.tell(Command::Finish);
                            ending = Some(Ending::Finished);
                            // The next run does not know that time has come to its end: what has ended by it is deleted by this one.
                            epochs.stop_after(if self.deletes_later && config.drain { 2 } else { 1 });
                        }
                        None
                    }
                    Report::Failed(error) => return Err(error),
                    // In order only after the last epoch, whose commit may still be on its way.
                    Report::Ended => { self.ended += 1; None }
                },
                outcome = async { match &mut commit { Some(commit) => commit.await, None => std::future::pending().await } } => {
                    commit = None;
                    match outcome {
                        Ok(()) => {}
                        Err(Error::Fenced(why)) => return Ok(Ending::Lost(why)),
                        Err(error) => return Err(error),
                    }
                    inspector.counters.epoch_complete(true);
                    epochs.committed(start.elapsed())
                }
                change = log.change() => match change? {
                    Change::Revoked => {
                        if ending.is_none() {
                            ending = Some(Ending::Revoked);
                            epochs.stop();
                        }
                        None
                    }
                    Change::Lost(why) => return Ok(Ending::Lost(why)),
                    // Said again without having been taken away: nothing changes.
                    Change::Assigned(_) => None,
                },
                () = until(due.map(|due| start + due)) => epochs.tick(start.elapsed()),
                () = until(give_up) => {
                    return Err(Error::Cluster {
                        doing: "stopping".into(),
                        source: format!("the last outputs were not acknowledged and committed within {} s; the next run processes them again", part(config.stop_timeout, STOP_PARTS.0).as_secs()).into(),
                        retriable: true,
                    });
                }
            };
            let action = match action {
                Some(Action::Commit { epoch, positions }) => {
                    let has_moved = self.tie.move_to(&self.reached, &self.owners);
                    if committed == positions && !has_moved {
                        // Nothing was read since the last commit, and no time has passed, so nothing was written either.
                        inspector.counters.epoch_complete(false);
                        epochs.committed(start.elapsed())
                    } else {
                        Some(Action::Commit { epoch, positions })
                    }
                }
                other => other,
            };
            match action {
                None => {}
                Some(Action::Barrier { epoch, last }) => {
                    self.tell(Command::Barrier { epoch, last });
                }
                Some(Action::Log { .. }) => self.tell(Command::Log),
                Some(Action::Commit { positions, .. }) => {
                    committed.clone_from(&positions);
                    let (positions, metadata) = self.tie.begin_commit(positions);
                    commit = Some(Box::pin(commit_to(log, positions, metadata)));
                }
                Some(Action::Finished) => return Ok(ending.unwrap_or(Ending::Finished)),
            }
        }
    }

    fn tell(&self, command: Command) {
        for worker in &self.commands {
            // A worker that is gone has reported why.
            let _ = worker.send(command);
        }
    }

    /// Ends what still runs.
    fn abandon(&self) {
        let _ = self.abandon.send(true);
    }

    /// Ends what still runs, and waits for the threads within bounds: one that does not come back from a user's function is left behind.
    async fn dismiss(mut self, timeout: Duration) {
        self.abandon();
        let all_ended = async {
            while self.ended < self.workers {
                match self.reports.recv().await {
                    Some(Report::Ended) => self.ended += 1,
                    Some(_) => {}
                    None => return,
                }
            }
        };
        if tokio::time::timeout(timeout, all_ended).await.is_err() {
            tracing::warn!("a worker does not come back from its plan call; it is left behind");
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
