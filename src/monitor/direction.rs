//! Which way a transfer goes.

use ferryline_grammar::{Command, TransferDirection, Verb};

use crate::proxy::Moved;

/// Which way a transfer goes, by its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// RETR.
    Download,
    /// STOR, STOU and APPE.
    Upload,
    /// LIST, NLST and MLSD.
    Listing,
}

impl Direction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Download, Self::Upload, Self::Listing];

    /// The direction of this command. Of one that ferryline does not know, what has moved tells it.
    pub fn of(command: &[u8], moved: Moved) -> Self {
        let verb = Command::parse(command).map(|command| command.verb);
        match verb.and_then(Verb::transfer) {
            Some(TransferDirection::Upload) => Self::Upload,
            Some(TransferDirection::Download) if verb != Some(Verb::Retr) => Self::Listing,
            Some(TransferDirection::Download) => Self::Download,
            None if moved.is_upload() => Self::Upload,
            None => Self::Download,
        }
    }

    /// Its name in labels and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
            Self::Listing => "listing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tells_the_direction() {
        let moved = Moved {
            to_client: 0,
            to_server: 1,
        };
        for (command, direction) in [
            ("RETR a", Direction::Download),
            ("retr a", Direction::Download),
            ("STOR a", Direction::Upload),
            ("APPE a", Direction::Upload),
            ("STOU", Direction::Upload),
            ("LIST -la", Direction::Listing),
            ("NLST", Direction::Listing),
            ("MLSD", Direction::Listing),
            ("", Direction::Upload),
        ] {
            assert_eq!(Direction::of(command.as_bytes(), moved), direction);
        }
        assert_eq!(Direction::of(b"", Moved::default()), Direction::Download);
    }
}
