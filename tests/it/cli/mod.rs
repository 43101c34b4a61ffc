//! The real program: its output, its input, and how it ends.

#[cfg(unix)]
mod audit;
#[cfg(unix)]
mod demo;
mod errors;
mod fingers;
mod forward;
mod help;
#[cfg(target_os = "linux")]
mod integrity;
#[cfg(unix)]
mod journal;
#[cfg(unix)]
mod log_file;
#[cfg(unix)]
mod log_form;
#[cfg(unix)]
mod secrets;
#[cfg(unix)]
mod ssh_config;
#[cfg(unix)]
mod unread;
