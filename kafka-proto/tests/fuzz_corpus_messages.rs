//! The saved corpora of the fuzz targets of messages and frames, each file once more.

#[path = "support/corpus.rs"]
mod corpus;
#[path = "../fuzz/src/messages.rs"]
mod messages;

use corpus::each_file_of;

#[test]
fn messages_that_can_be_read_can_be_written() {
    each_file_of("messages", messages::message);
}

#[test]
fn connections_are_followed_or_refused() {
    each_file_of("frames", messages::frames);
}
