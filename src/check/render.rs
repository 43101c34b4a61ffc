//! A check on a terminal: one line for each step, the remedy under it.

use std::io::{self, Write};

use super::report::{Event, Report, Status, Step};
use crate::paint::Paint;

/// Output that shows the steps as they are done.
pub struct Screen<W> {
    out: W,
    paint: Paint,
}

impl<W: Write> Screen<W> {
    /// Shows the steps on `out`.
    pub fn new(out: W, paint: Paint) -> Self {
        Self { out, paint }
    }

    /// Shows one event.
    ///
    /// # Errors
    ///
    /// If the output cannot be written.
    pub fn show(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::Forward(forward) => {
                writeln!(self.out, "\n{}", self.paint.bold(forward))?;
            }
            Event::Step(step) => self.step(step)?,
        }
        self.out.flush()
    }

    /// Shows the result of the check.
    ///
    /// # Errors
    ///
    /// If the output cannot be written.
    pub fn finish(&mut self, report: &Report) -> io::Result<()> {
        writeln!(self.out)?;
        let several = report.forwards.len() > 1;
        for forward in &report.forwards {
            let name = match several {
                true => format!("{}: ", forward.forward),
                false => String::new(),
            };
            let line = format!("{name}{}", forward.summary);
            let line = match forward.ok {
                true => self.paint.good(&line),
                false => self.paint.bad(&line),
            };
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }

    fn step(&mut self, step: &Step) -> io::Result<()> {
        let mark = match step.status {
            Status::Ok => self.paint.good("✓"),
            Status::Failed => self.paint.bad("✗"),
            Status::Skipped => self.paint.faint("–"),
            Status::Warning => self.paint.doubtful("!"),
        };
        let label = step.name.replace('-', " ");
        let detail = match step.status {
            Status::Skipped => self.paint.faint(&step.detail),
            _ => step.detail.clone(),
        };
        writeln!(self.out, "{mark} {label:<LABEL$} {detail}")?;
        match &step.remedy {
            Some(remedy) => writeln!(self.out, "  {:<LABEL$} → {remedy}", ""),
            None => Ok(()),
        }
    }
}

/// Width of the longest name.
const LABEL: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(paint: Paint, status: Status, remedy: Option<&str>) -> String {
        let mut out = Vec::new();
        let step = Step {
            name: "host-key",
            status,
            detail: "detail".into(),
            remedy: remedy.map(str::to_owned),
        };
        Screen::new(&mut out, paint)
            .show(Event::Step(&step))
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_line_a_step_and_the_remedy_under_it() {
        let plain = Paint::new(false);
        assert_eq!(shown(plain, Status::Ok, None), "✓ host key       detail\n");
        assert_eq!(
            shown(plain, Status::Failed, Some("do this")),
            "✗ host key       detail\n                 → do this\n"
        );
        assert!(shown(plain, Status::Skipped, None).starts_with("– host key "));
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        assert!(!shown(Paint::new(false), Status::Failed, None).contains('\x1b'));
        assert!(shown(Paint::new(true), Status::Failed, None).contains("\x1b[31m✗"));
    }
}
