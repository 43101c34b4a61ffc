//! The demo's FTP client.

use std::net::SocketAddr;

use ferryline::demo::ftp_client::FtpClient;

/// A client that has logged in.
pub async fn logged_in(address: SocketAddr) -> FtpClient {
    let mut client = FtpClient::connect(address).await.unwrap();
    client.login("demo", "secret").await.unwrap();
    client
}
