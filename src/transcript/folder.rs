//! The folder of transcripts.

use std::{fs, io, path::Path};

/// Makes a folder that only its owner can look into, unless it is there. Its parents must be there: a name with
/// a slip in it makes nothing.
///
/// # Errors
///
/// The folder cannot be made.
pub(crate) fn make_private(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_transcripts_is_its_owners_and_a_slip_in_its_path_makes_none() {
        use std::os::unix::fs::PermissionsExt;

        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("records");
        make_private(&folder).unwrap();
        make_private(&folder).unwrap();
        let mode = fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(make_private(&home.path().join("reords/here")).is_err());
    }
}
