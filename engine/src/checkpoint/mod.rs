//! What survives a crash, and in which order it is made to: epochs, the changelog's format, the identity of this process.

pub(crate) mod changelog;
pub(crate) mod epoch;
pub(crate) mod home;
pub mod log;
pub(crate) mod offset_metadata;
