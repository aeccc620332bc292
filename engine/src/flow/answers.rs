//! Rows that wait for an answer from outside: the futures under way, in what order their answers come out, and how time passes them.
//!
//! Nothing here sleeps or reads a clock: whoever runs the task polls, and says what time it is.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use crate::{batch::Rows, state::State, time::Mark};

/// The future of one attempt.
pub(crate) type Attempt<O> = Pin<Box<dyn Future<Output = Result<O, String>> + Send>>;

/// What is asked for one row after another.
pub(crate) type Ask<T, O> = Box<dyn Fn(T) -> Attempt<O> + Send>;

/// First byte of a row that is given out: the answer follows.
pub(crate) const ANSWERED: u8 = 0;
/// First byte of a row that is given out: why there is no answer follows; the key is the row that asked.
pub(crate) const REFUSED: u8 = 1;

/// How answers are waited for. All times are of a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) is_ordered: bool,
    /// Rows under way at most.
    pub(crate) capacity: usize,
    /// For one row with all attempts.
    pub(crate) timeout_ms: i64,
    /// Attempts behind the first one.
    pub(crate) retries: u32,
    /// Before the first of them; doubled each time.
    pub(crate) backoff_ms: i64,
    pub(crate) backoff_max_ms: i64,
}

/// What the runtime sees of rows that wait for answers.
pub(crate) trait Answers: Send {
    /// Whether one more row may ask.
    fn has_room(&self) -> bool;
    /// Rows that have asked and are not given out.
    fn under_way(&self) -> usize;
    /// Looks after the futures that were woken and the times that have come; true when there is something to give out, or when
    /// [`Answers::next_due_ms`] may say another time than before.
    fn poll(&mut self, cx: &mut Context<'_>, elapsed_ms: i64) -> bool;
    /// When that clock next makes something due.
    fn next_due_ms(&self) -> Option<i64>;
    /// All rows before this mark have asked.
    fn note(&mut self, mark: Mark);
    /// Moves answers whose turn has come to `rows`, until those hold about `limit` bytes.
    fn take(&mut self, rows: &mut Rows, limit: usize);
    /// The next mark before which nothing is under way any more.
    fn pass(&mut self) -> Option<Mark>;
    /// To be downcast where the types are known.
    fn as_any(&mut self) -> &mut dyn std::any::Any;
}

/// Says which futures to poll: each has a flag of its own beside the one waker of the worker.
struct Woken {
    is_woken: AtomicBool,
    worker: Arc<Mutex<Waker>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        worker.wake_by_ref();
    }
}

/// Where a row stands.
enum Stage<O> {
    /// An attempt is under way.
    Asking(Attempt<O>),
    /// The next attempt begins then.
    Resting { until_ms: i64, last: String },
    /// To be given out.
    Done(Result<O, String>),
}

struct Entry<T, O> {
    item: T,
    timestamp: i64,
    /// Which marks it lies between.
    segment: u64,
    deadline_ms: i64,
    attempts: u32,
    stage: Stage<O>,
}

/// Rows between two marks.
struct Segment {
    /// Not given out yet.
    left: usize,
    /// Behind them; `None`: it has not come.
    mark: Option<Mark>,
}

/// See the module's head.
pub(crate) struct Waited<T, O> {
    ask: Ask<T, O>,
    waiting: Waiting,
    /// By slot; as many as the capacity at most.
    entries: Vec<Option<Entry<T, O>>>,
    woken: Vec<Arc<Woken>>,
    free: Vec<usize>,
    /// Slots in the order in which their rows asked.
    order: VecDeque<usize>,
    segments: VecDeque<Segment>,
    /// Number of the first of them.
    first_segment: u64,
    noted: Option<Mark>,
    done: usize,
    /// A pause has begun: whoever waits must ask again for how long.
    has_paused: bool,
    worker: Arc<Mutex<Waker>>,
    buffer: Vec<u8>,
    key: Vec<u8>,
}

impl<T: State, O: State> Waited<T, O> {
    pub(crate) fn new(waiting: Waiting, ask: Ask<T, O>) -> Self {
        Self {
            ask,
            waiting,
            entries: Vec::new(),
            woken: Vec::new(),
            free: Vec::new(),
            order: VecDeque::new(),
            segments: VecDeque::from([Segment {
                left: 0,
                mark: None,
            }]),
            first_segment: 0,
            noted: None,
            done: 0,
            has_paused: false,
            worker: Arc::new(Mutex::new(Waker::noop().clone())),
            buffer: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Asks for a row. There must be room.
    pub(crate) fn ask(&mut self, timestamp: i64, item: T, elapsed_ms: i64) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.woken.push(Arc::new(Woken {
                is_woken: AtomicBool::new(false),
                worker: Arc::clone(&self.worker),
            }));
            self.entries.len() - 1
        });
        // A future does nothing before it is polled.
        self.woken[slot].is_woken.store(true, Ordering::Release);
        let attempt = (self.ask)(item.clone());
        self.entries[slot] = Some(Entry {
            item,
            timestamp,
            segment: self.first_segment + self.segments.len() as u64 - 1,
            deadline_ms: elapsed_ms.saturating_add(self.waiting.timeout_ms),
            attempts: 1,
            stage: Stage::Asking(attempt),
        });
        if let Some(segment) = self.segments.back_mut() {
            segment.left += 1;
        }
        self.order.push_back(slot);
    }

    fn advance(&mut self, slot: usize, elapsed_ms: i64) {
        let Some(entry) = &mut self.entries[slot] else {
            return;
        };
        if matches!(entry.stage, Stage::Done(_)) {
            return;
        }
        let waiting = self.waiting;
        if let Stage::Resting { until_ms, .. } = &entry.stage
            && *until_ms <= elapsed_ms
            && elapsed_ms < entry.deadline_ms
        {
            entry.attempts += 1;
            self.woken[slot].is_woken.store(true, Ordering::Release);
            entry.stage = Stage::Asking((self.ask)(entry.item.clone()));
        }
        if let Stage::Asking(attempt) = &mut entry.stage
            && self.woken[slot].is_woken.swap(false, Ordering::AcqRel)
        {
            let waker = Waker::from(Arc::clone(&self.woken[slot]));
            if let Poll::Ready(answer) = attempt.as_mut().poll(&mut Context::from_waker(&waker)) {
                entry.stage = match answer {
                    Err(error) if entry.attempts <= waiting.retries => {
                        let doubled = waiting
                            .backoff_ms
                            .saturating_mul(1 << (entry.attempts - 1).min(32));
                        self.has_paused = true;
                        Stage::Resting {
                            until_ms: elapsed_ms
                                .saturating_add(doubled.min(waiting.backoff_max_ms)),
                            last: error,
                        }
                    }
                    Err(error) if waiting.retries > 0 => Stage::Done(Err(format!(
                        "{error} (the last of {} attempts)",
                        entry.attempts
                    ))),
                    answer => Stage::Done(answer),
                };
            }
        }
        let overdue = match &entry.stage {
            Stage::Done(_) => None,
            _ if elapsed_ms < entry.deadline_ms => None,
            Stage::Asking(_) => Some(format!("no answer within {} ms", waiting.timeout_ms)),
            Stage::Resting { last, .. } => Some(format!(
                "no answer within {} ms; the last of {} attempts failed: {last}",
                waiting.timeout_ms, entry.attempts
            )),
        };
        if let Some(why) = overdue {
            entry.stage = Stage::Done(Err(why));
        }
        self.done += usize::from(matches!(entry.stage, Stage::Done(_)));
    }

    /// The place in the order of the next row to be given out.
    fn next(&self, from: usize) -> Option<usize> {
        let entry = |slot: usize| self.entries[slot].as_ref();
        let is_first =
            |at: &usize| entry(self.order[*at]).is_some_and(|e| e.segment == self.first_segment);
        let is_done =
            |at: usize| entry(self.order[at]).is_some_and(|e| matches!(e.stage, Stage::Done(_)));
        let mut of_segment = (from..self.order.len()).take_while(is_first);
        if self.waiting.is_ordered {
            of_segment.next().filter(|at| is_done(*at))
        } else {
            of_segment.find(|at| is_done(*at))
        }
    }
}

impl<T: State, O: State> Answers for Waited<T, O> {
    fn has_room(&self) -> bool {
        self.order.len() < self.waiting.capacity
    }

    fn under_way(&self) -> usize {
        self.order.len()
    }

    fn poll(&mut self, cx: &mut Context<'_>, elapsed_ms: i64) -> bool {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if !worker.will_wake(cx.waker()) {
            worker.clone_from(cx.waker());
        }
        drop(worker);
        for slot in 0..self.entries.len() {
            self.advance(slot, elapsed_ms);
        }
        std::mem::take(&mut self.has_paused) || self.done > 0 && self.next(0).is_some()
    }

    fn next_due_ms(&self) -> Option<i64> {
        let due = self.entries.iter().flatten().filter_map(|e| match e.stage {
            Stage::Asking(_) => Some(e.deadline_ms),
            Stage::Resting { until_ms, .. } => Some(until_ms.min(e.deadline_ms)),
            Stage::Done(_) => None,
        });
        due.min()
    }

    fn note(&mut self, mark: Mark) {
        if self.noted.replace(mark) == Some(mark) {
            return;
        }
        let last = self.segments.len() - 1;
        let before = last.checked_sub(1).and_then(|i| self.segments[i].mark);
        if self.segments[last].left > 0 || before.is_none() {
            self.segments[last].mark = Some(mark);
            self.segments.push_back(Segment {
                left: 0,
                mark: None,
            });
        } else {
            // Nothing lies between it and the one before.
            self.segments[last - 1].mark = Some(mark);
        }
    }

    fn take(&mut self, rows: &mut Rows, limit: usize) {
        let mut from = 0;
        while self.done > 0
            && rows.size_bytes() < limit
            && let Some(at) = self.next(from)
        {
            from = at;
            let Some(slot) = self.order.remove(at) else {
                return;
            };
            let Some(entry) = self.entries[slot].take() else {
                return;
            };
            self.free.push(slot);
            self.done -= 1;
            self.segments[0].left -= 1;
            self.buffer.clear();
            self.key.clear();
            match entry.stage {
                Stage::Done(Ok(answer)) => {
                    self.buffer.push(ANSWERED);
                    answer.encode_last(&mut self.buffer);
                }
                Stage::Done(Err(why)) => {
                    self.buffer.push(REFUSED);
                    self.buffer.extend_from_slice(why.as_bytes());
                    entry.item.encode_last(&mut self.key);
                }
                Stage::Asking(_) | Stage::Resting { .. } => return,
            }
            let pushed = rows.push(0, entry.timestamp, &self.buffer, &self.key);
            assert!(pushed.is_ok(), "an answer stays below 4 GiB");
        }
    }

    fn pass(&mut self) -> Option<Mark> {
        let first = self.segments.front()?;
        if first.left > 0 {
            return None;
        }
        let mark = first.mark?;
        self.segments.pop_front();
        self.first_segment += 1;
        Some(mark)
    }

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers are given by hand: what is in the list when a future is polled.
    type Given = Arc<Mutex<std::collections::BTreeMap<u64, Result<u64, String>>>>;

    fn waited(waiting: Waiting) -> (Waited<u64, u64>, Given, Arc<Mutex<Vec<u64>>>) {
        let (given, asked) = (Given::default(), Arc::new(Mutex::new(Vec::new())));
        let (answers, log) = (Arc::clone(&given), Arc::clone(&asked));
        let ask: Ask<u64, u64> = Box::new(move |n| {
            log.lock().unwrap().push(n);
            let answers = Arc::clone(&answers);
            Box::pin(std::future::poll_fn(move |cx| {
                // Polled again whenever it is looked at.
                cx.waker().wake_by_ref();
                match answers.lock().unwrap().get(&n) {
                    Some(answer) => Poll::Ready(answer.clone()),
                    None => Poll::Pending,
                }
            }))
        });
        (Waited::new(waiting, ask), given, asked)
    }

    const UNORDERED: Waiting = Waiting {
        is_ordered: false,
        capacity: 4,
        timeout_ms: 1000,
        retries: 0,
        backoff_ms: 0,
        backoff_max_ms: 0,
    };

    fn at(at: i64) -> Mark {
        Mark { at, idle: false }
    }

    /// What comes out now: the timestamps of answers and refusals, and marks, each with the letter.
    fn out(waited: &mut Waited<u64, u64>, now_ms: i64) -> Vec<String> {
        waited.poll(&mut Context::from_waker(Waker::noop()), now_ms);
        let (mut rows, mut out) = (Rows::new(), Vec::new());
        loop {
            waited.take(&mut rows, usize::MAX);
            out.extend(rows.iter().map(|(head, _, value)| {
                format!("{}{}", ["a", "r"][usize::from(value[0])], head.timestamp)
            }));
            rows.clear();
            match waited.pass() {
                Some(mark) => out.push(format!("m{}", mark.at)),
                None => return out,
            }
        }
    }

    fn give(given: &Given, n: u64, answer: Result<u64, &str>) {
        let answer = answer.map_err(str::to_owned);
        given.lock().unwrap().insert(n, answer);
    }

    #[test]
    fn unordered_answers_do_not_pass_a_watermark() {
        let (mut waited, given, _) = waited(UNORDERED);
        waited.ask(1, 1, 0);
        waited.ask(2, 2, 0);
        waited.note(at(2));
        waited.ask(3, 3, 0);
        waited.note(at(3));
        give(&given, 2, Ok(0));
        give(&given, 3, Ok(0));
        assert_eq!(
            out(&mut waited, 0),
            ["a2"],
            "1 is under way, so the mark waits, and 3 with it"
        );
        give(&given, 1, Ok(0));
        assert_eq!(out(&mut waited, 0), ["a1", "m2", "a3", "m3"]);
        waited.note(at(4));
        waited.note(at(5));
        assert_eq!(out(&mut waited, 0).last().unwrap(), "m5");
    }

    #[test]
    fn ordered_answers_come_in_the_order_of_their_rows() {
        let (mut waited, given, _) = waited(Waiting {
            is_ordered: true,
            ..UNORDERED
        });
        for n in 1..=4 {
            assert!(waited.has_room());
            waited.ask(n as i64, n, 0);
        }
        assert!(
            !waited.has_room(),
            "no more than the capacity are under way"
        );
        give(&given, 2, Ok(0));
        give(&given, 3, Err("no"));
        assert_eq!(out(&mut waited, 0), [""; 0]);
        give(&given, 1, Ok(0));
        assert_eq!(out(&mut waited, 0), ["a1", "a2", "r3"]);
        assert_eq!(waited.under_way(), 1);
    }

    #[test]
    fn whoever_waits_looks_at_the_time_again_when_a_pause_begins() {
        let (mut waited, given, _) = waited(Waiting {
            retries: 1,
            backoff_ms: 5,
            backoff_max_ms: 5,
            ..UNORDERED
        });
        let mut cx = Context::from_waker(Waker::noop());
        waited.ask(1, 7, 0);
        assert!(!waited.poll(&mut cx, 0));
        assert_eq!(waited.next_due_ms(), Some(1000));
        give(&given, 7, Err("busy"));
        assert!(waited.poll(&mut cx, 0), "the next time is another now");
        assert_eq!(waited.next_due_ms(), Some(5));
        assert!(!waited.poll(&mut cx, 1));
    }

    #[test]
    fn a_row_is_tried_again_with_growing_pauses_and_not_beyond_its_time() {
        let (mut waited, given, asked) = waited(Waiting {
            retries: 9,
            backoff_ms: 100,
            backoff_max_ms: 300,
            ..UNORDERED
        });
        give(&given, 7, Err("busy"));
        waited.ask(1, 7, 0);
        let mut times = Vec::new();
        for now_ms in 0..=1000 {
            let before = asked.lock().unwrap().len();
            let came = out(&mut waited, now_ms);
            if now_ms < 1000 {
                assert_eq!(came, [""; 0]);
            } else {
                assert_eq!(came, ["r1"], "its time is over");
            }
            if asked.lock().unwrap().len() > before {
                times.push(now_ms);
            }
            let due = waited.next_due_ms();
            assert!(
                now_ms == 1000 || due.is_some_and(|due| due > now_ms),
                "{due:?}"
            );
        }
        assert_eq!(times, [100, 300, 600, 900]);
        waited.ask(2, 7, 2000);
        out(&mut waited, 2000);
        give(&given, 7, Ok(1));
        assert_eq!(out(&mut waited, 2100), ["a2"]);
    }
}
