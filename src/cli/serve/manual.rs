//! ferryline.toml(5): made from the keys of the file, as `serve --keys` prints them.

use super::{DEFAULT_FILE, EXAMPLES, keys};
use crate::cli::generate::{FilePage, line_of_text};

const NAME: &str = "ferryline.toml";

/// The page.
pub(in crate::cli) fn page() -> FilePage {
    FilePage {
        name: NAME,
        text: text(),
    }
}

fn text() -> String {
    let mut page = format!(
        ".TH {NAME} 5 \"\" \"ferryline {}\"\n",
        env!("CARGO_PKG_VERSION")
    );
    section(
        &mut page,
        "NAME",
        "ferryline.toml - the tunnels of ferryline serve",
    );
    section(&mut page, "SYNOPSIS", DEFAULT_FILE);
    section(&mut page, "DESCRIPTION", DESCRIPTION);
    page.push_str(".SH KEYS\n");
    for line in keys().lines() {
        page.push_str(&match line.strip_prefix("      ") {
            Some(help) => format!("{}\n.br\n", line_of_text(help)),
            None => match line.strip_prefix("  ") {
                Some(key) => format!(".TP\n\\fB{}\\fR\n", line_of_text(key)),
                None if line.is_empty() => continue,
                None => format!(".SS {}\n", line_of_text(line)),
            },
        });
    }
    let example = EXAMPLES.rsplit("A file:\n").next().unwrap_or_default();
    page.push_str(".SH EXAMPLE\n.nf\n");
    for line in example.lines() {
        page.push_str(&line_of_text(line));
        page.push('\n');
    }
    page.push_str(".fi\n");
    section(
        &mut page,
        "SEE ALSO",
        "ferryline-serve(1), ferryline-check(1)",
    );
    page
}

fn section(page: &mut String, title: &str, text: &str) {
    page.push_str(&format!(".SH {title}\n"));
    for line in text.lines() {
        page.push_str(&match line {
            "" => ".PP\n".to_owned(),
            line => format!("{}\n", line_of_text(line)),
        });
    }
}

const DESCRIPTION: &str = "\
The file is TOML. It has a table [ssh.NAME] for each SSH connection and a table [tunnel.NAME] for each tunnel, with
names of your choice: letters, digits, - and _. Their keys are the options of ferryline-forward(1), spelt as the long
form.

What may be given several times takes a list. Times and sizes are strings (\"2h\") or numbers (of seconds). Paths do not
depend on the folder of the file; ~ is the home of the service's user. credential:NAME in place of a path is the file
that systemd hands over by that name (LoadCredential= of the unit).

'ferryline serve --check-config' says what is wrong with a file. 'systemctl reload ferryline', or SIGHUP, puts it in
force: no session is cut, and a file with a mistake in it changes nothing.";
