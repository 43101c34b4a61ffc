//! ferryline.

#[cfg(feature = "demo")]
pub mod demo;
