//! What a producer can be given beside its properties: a partitioner, interceptors, compression by topic.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use super::delivery::Delivered;
use super::partitioner::Partitioner;
use super::{Producer, ProducerRecord};
use crate::client::cluster::Cluster;
use crate::client::config::{CompressionType, Config};
use crate::client::error::{ConfigError, Result};
use crate::records::Compression;

/// Sees what a producer sends: for tracing, auditing, counting.
pub trait Interceptor: Debug + Send + Sync {
    /// Sees a record that was given to `send` or `enqueue`, before its partition is chosen, and may add headers to it. Called on the
    /// sender's thread: it must not block. Records of lent and of relayed batches do not pass here.
    fn on_send(&self, record: &ProducerRecord<'_>, added: &mut AddedHeaders) {
        let _ = (record, added);
    }

    /// Sees the end of a batch, however its records came. Called on the producer's task: it must not block.
    fn on_acknowledgement(&self, batch: &Result<Delivered>) {
        let _ = batch;
    }
}

/// Headers that interceptors add behind those of the record.
#[derive(Debug, Default)]
pub struct AddedHeaders(pub(super) Vec<(String, Option<Vec<u8>>)>);

impl AddedHeaders {
    /// Adds a header; `None` is a null value.
    pub fn add(&mut self, name: impl Into<String>, value: Option<&[u8]>) {
        self.0.push((name.into(), value.map(<[u8]>::to_vec)));
    }
}

/// What a producer has beside its properties.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mock = kafka_proto::mock::Cluster::builder().topic("lines", 1).start().await?;
/// # let config = kafka_proto::client::Config::new(&mock.bootstrap_servers());
/// use kafka_proto::client::{ProducerOptions, Partitioner, Producer, ProducerRecord};
/// use kafka_proto::client::{Cluster, CompressionType};
///
/// #[derive(Debug)]
/// struct First;
/// impl Partitioner for First {
///     fn partition(&self, _: &ProducerRecord<'_>, _: usize) -> Option<i32> {
///         Some(0)
///     }
/// }
///
/// let cluster = Cluster::connect(config).await?;
/// let options = ProducerOptions::default()
///     .partitioner(First)
///     .compression("lines", CompressionType::Zstd, Some(7));
/// let producer = Producer::with(&cluster, options)?;
/// let value = Some(&b"a line"[..]);
/// producer.send(ProducerRecord { topic: "lines", value, ..Default::default() }).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct ProducerOptions {
    pub(super) partitioner: Option<Arc<dyn Partitioner>>,
    pub(super) interceptors: Vec<Arc<dyn Interceptor>>,
    compression: Vec<(String, CompressionType, Option<i32>)>,
}

impl ProducerOptions {
    /// Chooses partitions by this instead of by `partitioner`.
    #[must_use]
    pub fn partitioner(mut self, partitioner: impl Partitioner + 'static) -> Self {
        self.partitioner = Some(Arc::new(partitioner));
        self
    }

    /// Adds an interceptor behind those that are there.
    #[must_use]
    pub fn interceptor(mut self, interceptor: impl Interceptor + 'static) -> Self {
        self.interceptors.push(Arc::new(interceptor));
        self
    }

    /// Compresses a topic's batches like this instead of by `compression.type`. Without a level, that of the properties holds
    /// (`compression.gzip.level`, `compression.lz4.level`, `compression.zstd.level`, KIP-390).
    #[must_use]
    pub fn compression(
        mut self,
        topic: &str,
        compression: CompressionType,
        level: Option<i32>,
    ) -> Self {
        self.compression
            .push((topic.to_owned(), compression, level));
        self
    }

    /// The compression of each topic that has one of its own.
    pub(super) fn compressions(
        &self,
        config: &Config,
    ) -> Result<HashMap<String, Compression>, ConfigError> {
        let each = self.compression.iter().map(|(topic, kind, level)| {
            let mut config = config.clone().compression_type(*kind);
            if let Some(level) = *level {
                config.compression_gzip_level = level;
                config.compression_lz4_level = level;
                config.compression_zstd_level = level;
            }
            Ok((topic.clone(), config.compression()?))
        });
        each.collect()
    }
}

impl Producer {
    /// A producer on a cluster's metadata, with more than its properties.
    ///
    /// # Errors
    /// As [`Producer::new`]; a level that its codec does not have.
    pub fn with(cluster: &Cluster, options: ProducerOptions) -> Result<Self> {
        Self::build(cluster, options)
    }
}
