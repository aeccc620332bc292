//! Consumer.
mod session;
mod state;
