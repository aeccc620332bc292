//! A consumer as a stream of records, and the same as a call.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use crate::client::error::{Error, Result};

use super::{consumer::Consumer, records::ConsumerRecord};

/// The records of all partitions, one by one, without an end.
///
/// A consumer is the stream itself, so that it can be asked for anything between two records: positions, commits, seeks. Asking for
/// the next record says that those before it are processed, as [`Consumer::poll`] does; partitions that are revoked are given up then,
/// committed before if `enable.auto.commit` is on.
///
/// It never stops silently: whatever keeps records from coming is an item, and the stream goes on behind it where it can. It ends only
/// when the membership has ended for good, after saying why. Nothing is lost by dropping a future that waits for an item, and an
/// adapter that borrowed the consumer (`(&mut consumer).take(10)`) may be dropped as well. [`Consumer::poll`] takes many records at
/// once and is cheaper.
///
/// ```
/// # use kafka_proto::client::{Consumer, Result};
/// use std::{future::poll_fn, pin::pin};
/// use futures_core::Stream;
///
/// # async fn read(mut consumer: Consumer) -> Result<()> {
/// // With `StreamExt` of any of the futures crates: `while let Some(record) = consumer.next().await`.
/// while let Some(record) = poll_fn(|cx| pin!(&mut consumer).poll_next(cx)).await {
///     println!("{:?}", record?.value());
/// }
/// # Ok(())
/// # }
/// ```
impl Stream for Consumer {
    type Item = Result<ConsumerRecord>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(self.get_mut().poll_record(cx)) {
            Err(Error::Closed { .. }) => Poll::Ready(None),
            record => Poll::Ready(Some(record)),
        }
    }
}

impl Consumer {
    /// Waits for the next record, however long that takes. See [`Consumer::poll`], which takes many at once and is cheaper.
    ///
    /// Asking for a record says that those before it are processed: partitions that are revoked are given up then, committed before if
    /// `enable.auto.commit` is on.
    ///
    /// Safe to drop: nothing is lost and nothing is delivered twice.
    ///
    /// # Errors
    /// As [`Consumer::poll_batches`].
    pub async fn recv(&mut self) -> Result<ConsumerRecord> {
        poll_fn(|cx| self.poll_record(cx)).await
    }

    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Result<ConsumerRecord>> {
        loop {
            // Each round, also when a revocation interrupted the wait: nothing is in the application's hands.
            if self.begin() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(record) = ready!(self.poll_records(cx, 1))?.pop() {
                return Poll::Ready(Ok(record));
            }
        }
    }
}
