//! ferryline.
