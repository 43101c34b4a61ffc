//! The service: many tunnels over several SSH connections, which change while it runs.
//!
//! # Layout
//!
//! - `configuration`: what is to be served, [`Configuration`]
//! - `prepare`: what can fail of a configuration: folders and sockets, before anything changes
//! - `supervisor`: what is served, and how one configuration takes the place of another
//! - `service`: the loop: reloads, the state that is told, the end, [`run`]
//! - `watchdog`: whether the loops run
//! - `notify`: what the service manager is told; `activation`: the sockets that it passes

mod activation;
mod configuration;
mod notify;
mod prepare;
mod service;
mod supervisor;
mod watchdog;

pub use self::{
    activation::passed_sockets,
    configuration::{Configuration, Reopen, TunnelSettings},
    service::{Service, StartError, run},
};
