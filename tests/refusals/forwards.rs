//! Forwards that an SSH server refuses, and FTP servers that are not there. The client is told.

use ferryline::control::ActiveMode;
use tokio::io::AsyncReadExt;

use crate::common::{self, Ferry, ScriptedClient, ScriptedServer, host_port, nobody};
use crate::{Row, row};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "no forward to the FTP server",
            "the SSH server forbids",
            "AllowTcpForwarding",
            &["421 ", "PermitOpen", "prohibited"],
            async {
                let server = ScriptedServer::new().start().await;
                let ferry = Ferry::to(server.address()).await;
                ferry
                    .ssh_server
                    .update(|faults| faults.refuse_direct = true);
                first_line(&ferry).await
            },
        ),
        row(
            "no forward to the data port",
            "the SSH server forbids",
            "PermitOpen",
            &["425 ", "has to allow 127.0.0.1:*"],
            async {
                let server = ScriptedServer::new()
                    .on("PASV", "227 Entering Passive Mode (127,0,0,1,200,1)\r\n")
                    .start()
                    .await;
                let ferry = Ferry::to(server.address()).await;
                let mut client = ScriptedClient::logged_in(ferry.v4).await;
                let address = host_port(&client.ask("PASV", "227 ").await).unwrap();
                ferry
                    .ssh_server
                    .update(|faults| faults.refuse_direct = true);
                let mut data = client.connect_data(address).await;
                // It is reset once the SSH server has refused.
                let _ = data.read(&mut [0]).await;
                client.ask("RETR f", "425 ").await
            },
        ),
        row(
            "data port closed",
            "the SSH server could not connect",
            "check host and port",
            &["425 ", "127.0.0.1:"],
            async {
                let (_nobody, closed) = nobody();
                let reply = format!(
                    "227 Entering Passive Mode ({})\r\n",
                    common::six_numbers(closed)
                );
                let server = ScriptedServer::new()
                    .on("PASV", reply.as_str())
                    .start()
                    .await;
                let ferry = Ferry::to(server.address()).await;
                let mut client = ScriptedClient::logged_in(ferry.v4).await;
                let address = host_port(&client.ask("PASV", "227 ").await).unwrap();
                let mut data = client.connect_data(address).await;
                let _ = data.read(&mut [0]).await;
                client.ask("RETR f", "425 ").await
            },
        ),
        row(
            "no remote forward",
            "the SSH server refused the remote forward",
            "AllowTcpForwarding",
            &["425 ", "PermitListen"],
            async {
                let server = ScriptedServer::new().start().await;
                let ferry = Ferry::plan(server.address())
                    .options(|options| options.active = ActiveMode::Remote)
                    .start()
                    .await;
                ferry
                    .ssh_server
                    .update(|faults| faults.refuse_forward = true);
                let mut client = ScriptedClient::logged_in(ferry.v4).await;
                client.ask("PORT 127,0,0,1,200,13", "425 ").await
            },
        ),
        row(
            "FTP port closed behind SSH",
            "FTP server 127.0.0.1:",
            "check host and port",
            &["421 ", "the SSH server could not connect"],
            async {
                let (_nobody, address) = nobody();
                first_line(&Ferry::to(address).await).await
            },
        ),
        row(
            "FTP host unknown behind SSH",
            "FTP server no-such-host.invalid:21",
            "check host and port",
            &["421 ", "the SSH server could not connect"],
            async {
                let address = "127.0.0.1:21".parse().unwrap();
                let plan = Ferry::plan(address)
                    .host("no-such-host.invalid")
                    .any_target();
                first_line(&plan.start().await).await
            },
        ),
        row(
            "FTP server that is an SSH server",
            "FTP server",
            "-L",
            &["421 ", "SSH-2.0-OpenSSH_9.2"],
            async {
                let server = ScriptedServer::new()
                    .greeting("SSH-2.0-OpenSSH_9.2\r\n")
                    .start()
                    .await;
                first_line(&Ferry::to(server.address()).await).await
            },
        ),
    ]
}

/// The first line that a client is sent.
async fn first_line(ferry: &Ferry) -> String {
    ScriptedClient::connect(ferry.v4).await.line().await
}
