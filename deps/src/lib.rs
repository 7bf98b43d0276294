//! The one Rust static library: it re-exports the C interface of what is Rust.
pub use rure as _rure;
