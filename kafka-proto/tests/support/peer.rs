//! A peer that is scripted frame by frame, over an in-memory network: what brokers should do, and what they should not.
#![allow(dead_code, reason = "each test uses its part of it")]

use bytes::Bytes;
use kafka_proto::messages::api_versions::ApiVersion;
use kafka_proto::messages::header::encode_response;
use kafka_proto::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, ErrorCode, Message, Request,
};
use kafka_proto::net::{Memory, MemoryListener};
use kafka_proto::wire::Reader;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// A request as the peer saw it.
pub(crate) struct Seen {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) frame: Bytes,
}

/// The peer's end of a connection.
pub(crate) struct Peer(pub(crate) DuplexStream);

impl Peer {
    pub(crate) async fn accept(listener: &mut MemoryListener) -> Self {
        Self(listener.accept().await.unwrap())
    }

    pub(crate) async fn request(&mut self) -> Seen {
        self.next().await.unwrap()
    }

    /// The next request; `None` once the client has closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Seen> {
        let size = self.0.read_i32().await.ok()?;
        let mut frame = vec![0; size as usize];
        self.0.read_exact(&mut frame).await.ok()?;
        let mut reader = Reader::new(frame.clone().into());
        Some(Seen {
            key: ApiKey(reader.i16().unwrap()),
            version: reader.i16().unwrap(),
            correlation: reader.i32().unwrap(),
            frame: frame.into(),
        })
    }

    pub(crate) async fn answer<R: Request>(
        &mut self,
        version: i16,
        correlation: i32,
        response: &R::Response,
    ) {
        let frame = encode_response::<R>(response, version, correlation).unwrap();
        self.0.write_all(&frame.into_bytes()).await.unwrap();
    }

    /// Reads the request for versions and answers that all of these are there.
    pub(crate) async fn agree(&mut self) {
        let seen = self.request().await;
        assert_eq!(seen.key, ApiKey::API_VERSIONS);
        self.answer::<ApiVersionsRequest>(seen.version, seen.correlation, &offers(0, 5))
            .await;
    }
}

/// An offer of these versions of ApiVersions, and of everything else that the tests use.
pub(crate) fn offers(min: i16, max: i16) -> ApiVersionsResponse {
    let apis = [
        (ApiKey::API_VERSIONS, min, max),
        (ApiKey::METADATA, 0, 13),
        (ApiKey::FIND_COORDINATOR, 0, 6),
        (ApiKey::INIT_PRODUCER_ID, 0, 5),
        (ApiKey::PRODUCE, 3, 12),
        (ApiKey::FETCH, 4, 18),
    ];
    ApiVersionsResponse {
        api_keys: apis
            .iter()
            .map(|(key, min_version, max_version)| ApiVersion {
                api_key: key.0,
                min_version: *min_version,
                max_version: *max_version,
            })
            .collect(),
        ..Default::default()
    }
}

impl Seen {
    /// The request itself.
    pub(crate) fn read<R: Request>(&self) -> R {
        let mut reader = Reader::new(self.frame.clone());
        let header = R::header_version(self.version);
        kafka_proto::messages::RequestHeader::decode(&mut reader, header).unwrap();
        R::decode(&mut reader, self.version).unwrap()
    }

    /// The frame of an answer to this request.
    pub(crate) fn answer<R: Request>(&self, response: &R::Response) -> Answer {
        let frame = encode_response::<R>(response, self.version, self.correlation).unwrap();
        Answer::Bytes(frame.into_bytes().to_vec())
    }
}

/// What a scripted broker does with a request.
pub(crate) enum Answer {
    Bytes(Vec<u8>),
    /// The same after a while, in which nothing else is looked at.
    Later(std::time::Duration, Vec<u8>),
    /// Nothing, and goes on reading.
    Silence,
    HangUp,
}

/// Serves an address: versions are agreed on, everything else is answered as `script` says. Runs until the listener is replaced.
pub(crate) fn serve(
    network: &Memory,
    host: &str,
    port: u16,
    script: impl Fn(&Seen) -> Answer + Clone + Send + 'static,
) {
    let mut listener = network.listen(host, port);
    tokio::spawn(async move {
        while let Some(stream) = listener.accept().await {
            let script = script.clone();
            tokio::spawn(async move {
                let mut peer = Peer(stream);
                while let Some(seen) = peer.next().await {
                    let answer = match seen.key {
                        ApiKey::API_VERSIONS => seen.answer::<ApiVersionsRequest>(&offers(0, 5)),
                        _ => script(&seen),
                    };
                    let answer = match answer {
                        Answer::Later(time, bytes) => {
                            tokio::time::sleep(time).await;
                            Answer::Bytes(bytes)
                        }
                        at_once => at_once,
                    };
                    match answer {
                        Answer::Bytes(bytes) => {
                            if peer.0.write_all(&bytes).await.is_err() {
                                return;
                            }
                        }
                        Answer::Silence | Answer::Later(..) => {}
                        Answer::HangUp => return,
                    }
                }
            });
        }
    });
}

pub(crate) fn unsupported(min: i16, max: i16) -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION,
        ..offers(min, max)
    }
}
