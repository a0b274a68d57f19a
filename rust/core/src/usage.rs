//! Token usage as upstreams report it, brought to one invariant.
