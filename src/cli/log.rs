//! The start of the log.

use std::io;

use tracing_subscriber::{
    EnvFilter,
    fmt::{format::JsonFields, writer::BoxMakeWriter},
};

use super::{
    Failure, Verbosity,
    log_form::{ForJournal, Form, Json, LogFormat},
    terminal::{self, Patience},
};
use crate::paint::{self, ForLocale};

/// Sends the log to standard error, or to the file of `-E`: what `-v`, `-q` or `RUST_LOG` ask for, else `usual`.
pub(super) fn start_log(
    verbosity: Verbosity,
    usual: &str,
    patience: Patience,
) -> Result<(), Failure> {
    let rust_log = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let filter = verbosity.filter(usual, rust_log);
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        Failure::Usage(format!(
            "RUST_LOG is '{filter}': {error}; expected for example RUST_LOG=ferryline=debug"
        ))
    })?;
    let out = terminal::start(patience).map_err(|error| {
        Failure::Failed(format!("cannot start: no thread for the log: {error}"))
    })?;
    let in_file = terminal::is_log_in_file();
    let form = Form {
        is_json: verbosity.log_format() == LogFormat::Json,
        is_journal: !in_file && is_journal(),
    };
    // A second start (in a test) keeps the first log.
    let form = form.settle();
    let writer = match form.is_json {
        true => BoxMakeWriter::new(move || out.clone()),
        false => BoxMakeWriter::new(move || ForLocale(out.clone())),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // The subscriber would panic if standard error is closed, as with a closed terminal.
        .log_internal_errors(false)
        .with_ansi(!in_file && !form.is_json && paint::is_wanted_on(&io::stderr()))
        .with_target(verbosity.verbose > 2);
    let is_dated = form.is_journal || !in_file && io::IsTerminal::is_terminal(&io::stderr());
    let _ = match (form.is_json, form.is_journal) {
        (true, _) => log
            .fmt_fields(JsonFields::new())
            .map_event_format(|_| ForJournal::new(form.is_journal, Json))
            .try_init(),
        (false, true) if verbosity.verbose == 0 => log
            .without_time()
            .map_event_format(|text| ForJournal::new(true, text))
            .try_init(),
        (false, true) => log
            .map_event_format(|text| ForJournal::new(true, text))
            .try_init(),
        (false, false) if verbosity.verbose == 0 && is_dated => log.without_time().try_init(),
        (false, false) => log.try_init(),
    };
    Ok(())
}

/// Whether systemd's journal reads standard error: `JOURNAL_STREAM` has the device and the inode of the stream that it
/// made (systemd.exec(5)). Programs that this one was started by may have had another.
#[cfg(unix)]
fn is_journal() -> bool {
    use std::os::{fd::AsFd, unix::fs::MetadataExt};

    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else {
        return false;
    };
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    let stat = stderr.and_then(|own| std::fs::File::from(own).metadata());
    stat.is_ok_and(|stat| stream.to_str() == Some(&format!("{}:{}", stat.dev(), stat.ino())))
}

#[cfg(not(unix))]
fn is_journal() -> bool {
    false
}
