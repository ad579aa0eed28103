//! The program on a cluster: it finds each stream on the node that owns its slot.

use crate::program::{KEY, client, program};
use crate::redis_server::RedisServer;

const NODE: [&str; 4] = ["--cluster-enabled", "yes", "--appendonly", "yes"];

#[test]
fn provisions_verifies_publishes_and_watches_on_a_cluster() {
    let nodes = [RedisServer::start_with(&NODE), RedisServer::start_with(&NODE)];
    let mut clients = nodes.each_ref().map(client);
    clients[0].run("CLUSTER ADDSLOTSRANGE 0 8191");
    clients[1].run("CLUSTER ADDSLOTSRANGE 8192 16383");
    clients[0].run(&format!("CLUSTER MEET 127.0.0.1 {}", nodes[1].port()));
    let start = std::time::Instant::now();
    for client in &mut clients {
        while !format!("{:?}", client.run("CLUSTER INFO")).contains("cluster_state:ok") {
            assert!(start.elapsed().as_secs() < 30, "the cluster does not come up");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    let on = || {
        let seed = format!("127.0.0.1:{}", nodes[0].port());
        program().env("REDIS_CLUSTER_NODES", &seed).env("STREAMS_HMAC_KEY", KEY)
    };
    on().run("verify").with_code(1);
    on().run("provision").with_code(0);
    on().run("verify").with_code(0);
    on().run("publish revoke --zone z-1 --session ar-1 --reason test --yes").with_code(0);
    on().run("publish keys --zone z-1 --yes").with_code(0);
    let watched = on().run("watch --from 0 --until-idle --json").with_code(0);
    assert_eq!(watched.json().len(), 2, "{}", watched.out);
    clients[1].run("XADD caracal.sessions.revoke.dead * source_id 8-0 reason r payload {}");
    on().run("dead-letters list").with_code(0).prints(&["caracal.sessions.revoke"]);
    on().run("fleet --json").with_code(1);
    on().run("retention plan").with_code(0);
    assert!(on().run("doctor").code < 2);
    let one = program().env("REDIS_URL", &nodes[0].url());
    one.run("verify").with_code(2).prints(&["MOVED"]);
}
