//! Questions to the brokers about offsets, for the partitions of a consumer and for any others.

use std::collections::BTreeSet;

use crate::client::{
    Purpose,
    cluster::{ListedOffset, OffsetSpec},
    error::{Error, Result},
    group::TopicPartition,
};

use super::consumer::Consumer;

impl Consumer {
    /// The first offset of each partition that is still in the log, in their order.
    ///
    /// Safe to drop; positions do not move. Lasts up to `default.api.timeout.ms`.
    ///
    /// # Errors
    /// Of the first partition that has none: it does not exist, or its leader cannot be asked.
    pub async fn beginning_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>> {
        self.ends(partitions, OffsetSpec::Earliest).await
    }

    /// The offset behind the last record of each partition that can be read, in their order: the high watermark, or under read_committed
    /// the last stable offset.
    ///
    /// Safe to drop; positions do not move. Lasts up to `default.api.timeout.ms`.
    ///
    /// # Errors
    /// As [`Consumer::beginning_offsets`].
    pub async fn end_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>> {
        self.ends(partitions, OffsetSpec::Latest).await
    }

    /// For each partition and time (milliseconds since 1970) the first record with this timestamp or a later one, in their order; `None`
    /// where there is none that young. A request asks for one time of each partition: ask again for another.
    ///
    /// Safe to drop; positions do not move. Lasts up to `default.api.timeout.ms`.
    ///
    /// # Errors
    /// As [`Consumer::beginning_offsets`]; [`Error::Usage`] if a partition comes twice.
    pub async fn offsets_for_times(
        &self,
        times: &[(TopicPartition, i64)],
    ) -> Result<Vec<Option<ListedOffset>>> {
        let mut asked = BTreeSet::new();
        if let Some((twice, _)) = times.iter().find(|(of, _)| !asked.insert(of)) {
            return Err(Error::usage(format!(
                "{twice} is asked for twice; call once for each time"
            )));
        }
        let questions: Vec<_> = times
            .iter()
            .map(|(of, time)| (&*of.topic, of.partition, OffsetSpec::AtOrAfter(*time)))
            .collect();
        let listed = self.listed(&questions).await?;
        Ok(listed
            .into_iter()
            .map(|listed| listed.offset.is_some().then_some(listed))
            .collect())
    }

    async fn ends(&self, partitions: &[TopicPartition], which: OffsetSpec) -> Result<Vec<i64>> {
        let questions: Vec<_> = partitions
            .iter()
            .map(|of| (&*of.topic, of.partition, which))
            .collect();
        let listed = self.listed(&questions).await?;
        // A negative answer is not an offset: the log is empty, and begins where it ends.
        Ok(listed
            .into_iter()
            .map(|listed| listed.offset.unwrap_or(0))
            .collect())
    }

    async fn listed(&self, questions: &[(&str, i32, OffsetSpec)]) -> Result<Vec<ListedOffset>> {
        let isolation = self.cluster.config().isolation_level;
        let answers = self
            .cluster
            .list_offsets(questions, isolation, Purpose::Metadata)
            .await?;
        answers.into_iter().collect()
    }
}
