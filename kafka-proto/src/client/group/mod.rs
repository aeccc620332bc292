//! Consumer groups: membership by the classic protocol, assignors, commits.

mod assignor;
mod protocol;
mod state;

pub use assignor::{Assignor, GroupMember, MemberAssignment, RangeAssignor, TopicLayout};
