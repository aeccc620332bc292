//! Nothing of its own: the differential test and the benchmark of this package compare two codecs.
#![forbid(unsafe_code)]
