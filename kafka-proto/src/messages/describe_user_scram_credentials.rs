//! DescribeUserScramCredentials (key 50): which users can log in with SCRAM (KIP-554).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which users to tell about.
    pub struct DescribeUserScramCredentialsRequest [0..=0] flexible [0..] {
        /// The users; null is all.
        users: Option<Vec<UserName>> [0..],
    }

    /// One user.
    pub struct UserName {
        /// The user's name.
        name: Text [0..],
    }

    /// The users.
    pub struct DescribeUserScramCredentialsResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// What went wrong with the request as a whole.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
        /// One entry for each thing asked for.
        results: Vec<DescribeUserScramCredentialsResult> [0..],
    }

    /// One user.
    pub struct DescribeUserScramCredentialsResult {
        /// The user's name.
        user: Text [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
        /// The user's credentials.
        credential_infos: Vec<CredentialInfo> [0..],
    }

    /// One credential.
    pub struct CredentialInfo {
        /// The mechanism: 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8 [0..],
        /// How often the password is hashed.
        iterations: i32 [0..],
    }
}
