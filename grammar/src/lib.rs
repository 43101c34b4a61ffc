//! The language of FTP's control connection.
