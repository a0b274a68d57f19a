//! The scripted upstream and the open-loop load generator that tests and benchmarks share.
