//! The commits of a group that wait for their turn, and the task that sends them: one after the other with all retries, so that an older one
//! never lands after a newer one.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use crate::{
    client::{deadline::Deadline, error::Result},
    messages::OffsetCommitRequest,
};

use super::{TopicPartition, offsets::Committing, state::Identity};

/// Offsets that are to be committed.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) request: OffsetCommitRequest,
    pub(super) partitions: BTreeSet<TopicPartition>,
    /// As whom the member committed.
    pub(super) standing: Option<Identity>,
    pub(super) started: Instant,
    /// Counted from when the commit was started, not from when those before it have ended.
    pub(super) deadline: Deadline,
}

impl Commit {
    /// Whether nothing is left of an older commit once this one has ended.
    fn covers(&self, older: &Self) -> bool {
        older.partitions.is_subset(&self.partitions) && older.standing == self.standing
    }
}

type Waiter = oneshot::Sender<Result<()>>;

#[derive(Debug)]
struct Job {
    /// `None` ends when all that were queued before have ended.
    commit: Option<Commit>,
    waiters: Vec<Waiter>,
}

/// What waits for its turn. A newer commit takes the place of those that it covers, whose waiters wait for it from then on: while the coordinator
/// stands still, no more waits than there are partitions.
#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Nobody can add anything any more.
    is_closed: bool,
    /// Nobody takes anything any more.
    is_over: bool,
}

impl Waiting {
    fn push(&mut self, commit: Option<Commit>, waiter: Waiter) {
        let is_barrier = |job: &Job| job.commit.is_none();
        let mut waiters = Vec::new();
        match &commit {
            None => {
                if let Some(last) = self.jobs.back_mut().filter(|job| is_barrier(job)) {
                    return add(&mut last.waiters, waiter);
                }
            }
            Some(new) => {
                // Not past somebody who waits for all that were before.
                let barrier = self.jobs.iter().rposition(is_barrier);
                let mut at = barrier.map_or(0, |at| at + 1);
                while let Some(older) = self.jobs.get(at) {
                    let is_covered = older.commit.as_ref().is_some_and(|old| new.covers(old));
                    match is_covered.then(|| self.jobs.remove(at)).flatten() {
                        Some(older) if waiters.is_empty() => waiters = older.waiters,
                        Some(mut older) => waiters.append(&mut older.waiters),
                        None => at += 1,
                    }
                }
            }
        }
        add(&mut waiters, waiter);
        self.jobs.push_back(Job { commit, waiters });
    }
}

/// Who does not wait any more is left out, now and then.
fn add(waiters: &mut Vec<Waiter>, waiter: Waiter) {
    const LOOK_FROM: usize = 64;
    if waiters.len() >= LOOK_FROM && waiters.len() == waiters.capacity() {
        waiters.retain(|waiter| !waiter.is_closed());
    }
    waiters.push(waiter);
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    more: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where commits are put. The task ends when this is gone and nothing waits any more.
#[derive(Debug)]
pub(super) struct Queue(Arc<Shared>);

impl Queue {
    /// Begins the task, on the runtime of the caller.
    pub(super) fn start(committing: Committing) -> Self {
        let shared = Arc::<Shared>::default();
        let turns = Turns(Arc::clone(&shared));
        tokio::spawn(turns.take(committing));
        Self(shared)
    }

    /// Queues a commit, or with `None` waits for all that are queued; the sender is dropped if nobody sends commits any more.
    pub(super) fn push(&self, commit: Option<Commit>, waiter: Waiter) {
        let mut waiting = self.0.lock();
        if !waiting.is_over {
            waiting.push(commit, waiter);
            self.0.more.notify_one();
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.more.notify_one();
    }
}

/// The task's side.
struct Turns(Arc<Shared>);

impl Turns {
    async fn take(self, committing: Committing) {
        while let Some(Job { commit, waiters }) = self.next().await {
            let result = match commit {
                Some(commit) => committing.commit(commit).await,
                None => Ok(()),
            };
            for waiter in waiters {
                // Who started it may not want to know.
                drop(waiter.send(result.clone()));
            }
        }
    }

    async fn next(&self) -> Option<Job> {
        loop {
            {
                let mut waiting = self.0.lock();
                if let Some(job) = waiting.jobs.pop_front() {
                    return Some(job);
                }
                if waiting.is_closed {
                    return None;
                }
            }
            self.0.more.notified().await;
        }
    }
}

/// Its runtime has ended, perhaps: whoever waits is told by the senders that are dropped.
impl Drop for Turns {
    fn drop(&mut self) {
        let jobs = {
            let mut waiting = self.0.lock();
            waiting.is_over = true;
            std::mem::take(&mut waiting.jobs)
        };
        drop(jobs);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn commit(partitions: &[i32], offset: i64) -> Commit {
        let partitions = partitions.iter().map(|of| TopicPartition::new("t", *of));
        Commit {
            request: OffsetCommitRequest {
                // Tells it from others.
                retention_time_ms: offset,
                ..OffsetCommitRequest::default()
            },
            partitions: partitions.collect(),
            standing: None,
            started: Instant::now(),
            deadline: Deadline::after(Duration::from_secs(60), "a test"),
        }
    }

    /// The commits that wait, with the number of those who wait for each; 0 is a barrier.
    fn shown(waiting: &Waiting) -> Vec<(i64, usize)> {
        let show = |job: &Job| {
            let commit = job.commit.as_ref();
            let offset = commit.map_or(0, |commit| commit.request.retention_time_ms);
            (offset, job.waiters.len())
        };
        waiting.jobs.iter().map(show).collect()
    }

    #[tokio::test]
    async fn a_newer_commit_takes_the_place_of_what_it_covers_and_of_nothing_else() {
        let mut waiting = Waiting::default();
        let mut answers = Vec::new();
        let mut push = |waiting: &mut Waiting, commit| {
            let (waiter, answer) = oneshot::channel();
            answers.push(answer);
            waiting.push(commit, waiter);
        };
        push(&mut waiting, Some(commit(&[0], 1)));
        push(&mut waiting, Some(commit(&[1, 2], 2)));
        push(&mut waiting, Some(commit(&[0, 3], 3)));
        assert_eq!(shown(&waiting), [(2, 1), (3, 2)]);
        // It has only one of two partitions.
        push(&mut waiting, Some(commit(&[1], 4)));
        assert_eq!(shown(&waiting), [(2, 1), (3, 2), (4, 1)]);
        // Whoever waits for all that were before waits for just these.
        push(&mut waiting, None);
        push(&mut waiting, None);
        push(&mut waiting, Some(commit(&[0, 1, 2, 3], 5)));
        assert_eq!(shown(&waiting), [(2, 1), (3, 2), (4, 1), (0, 2), (5, 1)]);
        // As another member of the group.
        let mut other = commit(&[0, 1, 2, 3], 6);
        let identity = Identity::of_modern("other".into());
        other.standing = Some(identity);
        push(&mut waiting, Some(other));
        assert_eq!(shown(&waiting).len(), 6);
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_is_forgotten() {
        let mut waiting = Waiting::default();
        for n in 0..100_000 {
            let (waiter, _) = oneshot::channel();
            waiting.push(Some(commit(&[0], n)), waiter);
        }
        assert_eq!(waiting.jobs.len(), 1);
        assert!(waiting.jobs[0].waiters.len() <= 128);
    }
}
