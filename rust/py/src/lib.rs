//! The border: builds `fastroute._core`. The only crate that knows Python exists.
