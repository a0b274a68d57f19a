//! Wire formats: one file each, the same eight functions in every one.
