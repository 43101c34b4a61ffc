//! The form of the log's lines: for people, for machines that read JSON, and for systemd's journal.

use std::{fmt, sync::OnceLock};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{Event, Level, Subscriber, field};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people. Under systemd, its journal is told how grave each line is
    Text,
    /// A JSON object in each line, for machines
    Json,
}

/// Who reads the lines: it decides their form. Set with the start of the log.
static FORM: OnceLock<Form> = OnceLock::new();

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) is_json: bool,
    /// Systemd's journal reads the lines.
    pub(super) is_journal: bool,
}

impl Form {
    /// Makes it the form of all lines, unless there is one already. Returns what it is.
    pub(super) fn settle(self) -> Self {
        *FORM.get_or_init(|| self)
    }
}

/// A line of the program's own, beside the log, in the form of the log.
pub(super) fn line(level: Level, text: &str) -> String {
    let form = FORM.get().copied().unwrap_or_default();
    let said = match form.is_json {
        true => Line {
            time: now(),
            level: level.as_str(),
            target: "ferryline",
            message: text.to_owned(),
            rest: Map::new(),
        }
        .text(),
        false => format!("ferryline: {text}"),
    };
    match form.is_journal {
        true => format!("<{}>{said}\n", priority(level)),
        false => format!("{said}\n"),
    }
}

/// The priority of syslog(3) that the journal reads in front of a line (sd-daemon(3)).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Writes the priority in front of each line, if that is wanted.
pub(super) struct ForJournal<F> {
    is_wanted: bool,
    line: F,
}

impl<F> ForJournal<F> {
    pub(super) fn new(is_wanted: bool, line: F) -> Self {
        Self { is_wanted, line }
    }
}

impl<S, N, F> FormatEvent<S, N> for ForJournal<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.is_wanted {
            write!(writer, "<{}>", priority(*event.metadata().level()))?;
        }
        self.line.format_event(context, writer, event)
    }
}

/// Writes a JSON object for each event.
pub(super) struct Json;

/// What the object has, in this order.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'a str,
    target: &'a str,
    message: String,
    /// The fields of the event, and the names of the spans that it is in: `"tunnel": "erp"`.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Line<'_> {
    fn text(&self) -> String {
        // Strings and numbers can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let said = extensions.get::<FormattedFields<N>>();
            let said: Option<Value> =
                said.and_then(|said| serde_json::from_str(said.fields.as_str()).ok());
            // A span with a name is called by it.
            let name = said.and_then(|mut said| said.get_mut("name").map(Value::take));
            fields
                .rest
                .insert(span.name().to_owned(), name.unwrap_or(Value::Bool(true)));
        }
        event.record(&mut fields);
        let line = Line {
            time: now(),
            level: event.metadata().level().as_str(),
            target: event.metadata().target(),
            message: fields.message,
            rest: fields.rest,
        };
        writeln!(writer, "{}", line.text())
    }
}

/// The time as RFC 3339 writes it, in UTC.
fn now() -> String {
    let mut time = String::new();
    // Writing to a String cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    time
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &field::Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            // The keys of each line stay what they are.
            (name @ ("time" | "level" | "target" | "message"), value) => {
                self.rest.insert(format!("{name}_"), value);
            }
            (name, value) => {
                self.rest.insert(name.to_owned(), value);
            }
        }
    }
}

impl field::Visit for Fields {
    fn record_bool(&mut self, field: &field::Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &field::Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &field::Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &field::Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}
