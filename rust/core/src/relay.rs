//! One upstream stream in, one client stream out, the bytes untouched, with a scanner beside them.
