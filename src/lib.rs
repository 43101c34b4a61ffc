//! ferryline.
pub mod control;
