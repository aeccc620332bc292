//! Envelope (key 58): a broker forwards a client's request to the controller (KIP-590).

use bytes::Bytes;

use super::ErrorCode;

message! {
    /// The request, and whose it is.
    pub struct EnvelopeRequest [0..=0] flexible [0..] {
        /// The request with its header.
        request_data: Bytes [0..],
        /// Who sent it, as `DefaultPrincipalData` behind its version; null if the broker has no such serializer.
        request_principal: Option<Bytes> [0..],
        /// The address it came from, in raw bytes.
        client_host_address: Bytes [0..],
    }

    /// The response.
    pub struct EnvelopeResponse [0..=0] flexible [0..] {
        /// The response with its header; null after an error.
        response_data: Option<Bytes> [0..] = None,
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
    }
}
