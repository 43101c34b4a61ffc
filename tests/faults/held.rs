//! One of the two connections stalls while what goes over the other one ends. An end must not be passed on
//! before what it depends on.

use std::time::Duration;

use ferryline::demo::ftp_client::{FtpClient, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::common::{noise, reset, upload};
use crate::ftp_server::StoredEnd;
use crate::relay::{Harm, Way};
use crate::world::World;

/// The client breaks its upload off, and the end of the control connection is stuck. The end of the data
/// connection, which takes another way, must not overtake it.
pub async fn control_stalls_when_an_upload_is_broken_off() {
    let mut world = World::with_lanes(1, None).await;
    let mut client = FtpClient::connect(world.proxy).await.unwrap();
    client.login("demo", "x").await.unwrap();
    let command = format!("STOR {NAME}");
    let mut data = client.begin(Mode::Passive, &command).await.unwrap();
    data.write_all(&noise(100_000)).await.unwrap();

    let ordered = world.relay.order(world.control(), Way::Up, 0, Harm::Stall);
    reset(data);
    let reply = client.reply().await.unwrap();
    assert_eq!(reply.code.value(), 421);
    ordered.reached.cancelled().await;
    // There is no event for an end that does not come.
    sleep(LONG).await;
    ordered.go_on.cancel();

    drop(client);
    world.at_rest().await.unwrap();
    let stored = world.ftp_server.take_stored(NAME).unwrap();
    assert_eq!(stored.end, StoredEnd::ControlLost);
    world.stop().await.unwrap();
}

/// Both ends of file have been sent, and the upload is stuck on its way to the SSH server when the lane is
/// lost. The FTP server takes what it has for the whole file, and says so.
pub async fn a_lane_stalls_and_is_lost_when_both_have_ended_their_side() {
    let mut world = World::with_lanes(1, None).await;
    let mut client = FtpClient::connect(world.proxy).await.unwrap();
    client.login("demo", "x").await.unwrap();
    let command = format!("APPE {NAME}");
    let mut data = client.begin(Mode::Passive, &command).await.unwrap();
    assert_eq!(data.read(&mut [0]).await.unwrap(), 0);

    let lane = world.lane();
    let ordered = world.relay.order(lane, Way::Up, 0, Harm::Stall);
    upload(data, &noise(500_000)).await.unwrap();
    ordered.reached.cancelled().await;
    sleep(LONG).await;
    world.relay.cut(lane);

    let reply = client.reply().await.unwrap();
    assert_eq!(reply.code.value(), 426);
    client.quit().await.unwrap();
    world.at_rest().await.unwrap();
    let stored = world.ftp_server.take_stored(NAME).unwrap();
    assert_eq!(stored.end, StoredEnd::Eof);
    assert!(stored.content.len() < 500_000);
    world.stop().await.unwrap();
}

const NAME: &str = "held";

/// Longer than any wait for a last reply.
const LONG: Duration = Duration::from_secs(4);
