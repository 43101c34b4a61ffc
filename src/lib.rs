//! ferryline.

#[cfg(feature = "demo")]
pub mod demo;
pub mod ssh;
