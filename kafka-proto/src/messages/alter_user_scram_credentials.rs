//! AlterUserScramCredentials (key 51): sets and deletes SCRAM credentials (KIP-554).

use bytes::Bytes;

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// The changes.
    pub struct AlterUserScramCredentialsRequest [0..=0] flexible [0..] {
        /// The credentials to delete.
        deletions: Vec<ScramCredentialDeletion> [0..],
        /// The credentials to set.
        upsertions: Vec<ScramCredentialUpsertion> [0..],
    }

    /// A credential to delete.
    pub struct ScramCredentialDeletion {
        /// The user's name.
        name: Text [0..],
        /// The mechanism: 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8 [0..],
    }

    /// A credential to set.
    pub struct ScramCredentialUpsertion {
        /// The user's name.
        name: Text [0..],
        /// The mechanism: 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8 [0..],
        /// How often the password is hashed.
        iterations: i32 [0..],
        /// The random bytes that went into the salted password (RFC 5802).
        salt: Bytes [0..],
        /// The password hashed with the salt: the broker never sees it plain.
        salted_password: Bytes [0..],
    }

    /// What became of them.
    pub struct AlterUserScramCredentialsResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each thing asked for.
        results: Vec<AlterUserScramCredentialsResult> [0..],
    }

    /// One user.
    pub struct AlterUserScramCredentialsResult {
        /// The user's name.
        user: Text [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
    }
}
